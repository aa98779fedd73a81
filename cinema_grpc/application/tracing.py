"""What the box office needs of a tracer. Without one, tracing costs a check."""

from contextlib import AbstractContextManager
from typing import Protocol

from cinema_grpc.application.box_office.command import Batch


class BatchTracer(Protocol):
    """Traces the wait of commands, and the batches that carry them out."""

    def current(self) -> object:
        """Return the trace of the current call; None if it is not traced."""
        ...

    def batch(self, batch: Batch) -> AbstractContextManager[object]:
        """Record how long commands have waited, and the work on their batch, which is the body."""
        ...
