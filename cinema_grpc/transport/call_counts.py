"""Counts of calls, for metrics: plain numbers, so that counting costs next to nothing."""

import time
from collections import Counter

from grpc import StatusCode

from cinema_grpc.application.distribution import SECONDS, Distribution
from cinema_grpc.application.errors import Overloaded
from cinema_grpc.domain.errors import CinemaError
from cinema_grpc.transport.errors import TooManyCalls


class MethodCounts:
    """Counts of the calls of a method.

    Attributes:
        kind: "unary", "server_stream" or "bidi_stream".
        started: Calls that began.
        received, sent: Messages.
        codes: Calls that ended, by status code.
        seconds: How long calls took.
    """

    __slots__ = ("codes", "kind", "received", "seconds", "sent", "started")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.started = self.received = self.sent = 0
        self.codes = {StatusCode.OK: 0}
        self.seconds = Distribution(SECONDS)

    def end(self, code: StatusCode, start: float) -> None:
        """Count the end of a call that began at `start`, on the clock of `time.perf_counter`."""
        self.codes[code] = self.codes.get(code, 0) + 1
        self.seconds.add(time.perf_counter() - start)


class CallCounts:
    """Counts of all calls, over all ports.

    Attributes:
        methods: By full name.
        errors: Calls that ended with an error of the contract, by reason.
        sheds: Calls that were refused because the server had too much to do, by the limit that was reached: a setting
            in lower case without its prefix.
        serving: Whether the health service reports SERVING.
    """

    def __init__(self) -> None:
        self.methods: dict[str, MethodCounts] = {}
        self.errors: Counter[str] = Counter()
        self.sheds: Counter[str] = Counter()
        self.serving = False

    def of(self, name: str, kind: str) -> MethodCounts:
        """Return the counts of a method."""
        return self.methods.setdefault(name, MethodCounts(kind))

    def note_error(self, error: CinemaError) -> None:
        """Count an error that a client gets."""
        self.errors[error.reason] += 1
        if isinstance(error, TooManyCalls):
            self.sheds[error.limit] += 1
        elif isinstance(error, Overloaded):
            self.sheds["longest_wait_seconds"] += 1
