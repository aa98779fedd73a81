"""Cinema gRPC sells cinema seats: holds, payments, tickets and refunds, served over gRPC."""

import os
from importlib.metadata import version

__version__ = version("cinema-grpc")

# Keeps gRPC's C core from writing to standard error in a format of its own. It reads the variable at import.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
