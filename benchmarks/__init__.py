"""The measured claims of docs/performance.md: real servers, driven over real gRPC, side by side in one run."""
