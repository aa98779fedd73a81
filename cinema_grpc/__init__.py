"""Cinema gRPC sells cinema seats: holds, payments, tickets and refunds, served over gRPC."""

import os
from importlib.metadata import version

__version__ = version("cinema-grpc")

# What gRPC's own core would write to standard error, past every log format, is told by us. It reads this at import.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
