"""The command line, `cinema`."""

from cinema_grpc.cli.commands import main

__all__ = ["main"]
