"""gRPC: what callers see of the service, from bytes to the application and back."""
