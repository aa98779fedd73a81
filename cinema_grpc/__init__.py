"""Cinema gRPC sells cinema seats: holds, payments, tickets and refunds, served over gRPC."""

from importlib.metadata import version

__version__ = version("cinema-grpc")
