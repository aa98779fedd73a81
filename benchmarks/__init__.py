"""Measurements: real servers, driven over real gRPC, side by side in one run."""
