"""What the call pipeline needs of a tracer. Without one, tracing costs a check."""

from typing import Protocol

from grpc import StatusCode

from cinema_grpc.transport.call import Call


class CallTracer(Protocol):
    """Traces calls."""

    def begin(self, call: Call) -> None:
        """Begin the span of a call, as the current one of its task."""
        ...

    def end(self, call: Call, code: StatusCode, reason: str | None) -> None:
        """End the span of a call; `reason` is that of an error of the contract."""
        ...
