"""A call under way: what is known of it, for those who handle it and for the log."""

import asyncio
import re
import time
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import uuid_utils
from structlog.typing import EventDict, WrappedLogger

from cinema_grpc.application.account_ports import Principal
from cinema_grpc.domain.errors import CinemaError
from cinema_grpc.transport.handlers import Context
from cinema_grpc.transport.peers import Client

REQUEST_ID_HEADER = "x-request-id"
WELL_FORMED_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

Metadata = tuple[tuple[str, str | bytes], ...]


@dataclass(frozen=True, slots=True)
class Peer:
    """Where a call comes from.

    Attributes:
        address: As gRPC has it, such as "ipv4:192.0.2.1:50412".
        identities: The names in the certificate that was shown; none if none was.
    """

    address: str
    identities: tuple[str, ...]

    @classmethod
    def of(cls, context: Context) -> "Peer":
        """Read it off gRPC's side of a call."""
        identities = context.peer_identities() or ()
        return cls(context.peer(), tuple(each.decode(errors="replace") for each in identities))


class Call:
    """A call, from the arrival of its metadata until its answer is sent.

    Attributes:
        metadata: What the client sent along, names in lower case.
        method: The full name of what is called.
        caller: Who is calling, once an access token has proved it.
        context: gRPC's side of the call, while a handler has it.
        peer: Who calls, by address and by the names in a certificate, once the caller has hung up.
        start: When it arrived, on the clock of `time.perf_counter`.
        client: The connection and the network that it came from, once it is open.
        task: What runs its handler and sends its answer, while that goes on.
        interruption: What ended its handler from outside, if anything did.
        room: How many bytes are set aside for its answer.
    """

    __slots__ = (
        "_request_id",
        "caller",
        "client",
        "context",
        "interruption",
        "metadata",
        "method",
        "peer",
        "room",
        "start",
        "task",
    )

    client: Client

    def __init__(self, method: str, metadata: Metadata) -> None:
        self.start = time.perf_counter()
        self.method = method
        self.metadata = metadata
        self.caller: Principal | None = None
        self.context: Context | None = None
        self.peer: Peer | None = None
        self.task: asyncio.Task[Any] | None = None
        self.interruption: CinemaError | None = None
        self.room = 0
        self._request_id = ""

    def interrupt(self, error: CinemaError) -> None:
        """End its handler, so that the client gets this error; one that was interrupted before stays so."""
        if self.interruption is None and self.task is not None:
            self.interruption = error
            self.task.cancel()

    @property
    def request_id(self) -> str:
        """The x-request-id of its answer and its log lines: the caller's own if well-formed, else a new one."""
        if not self._request_id:
            self._request_id = _own_request_id(self.metadata) or str(uuid_utils.uuid7())
        return self._request_id


current_call: ContextVar[Call] = ContextVar("current_call")


def add_request_id(_logger: WrappedLogger, _level: str, event: EventDict) -> EventDict:
    """Put the call's x-request-id into a log line; a processor for structlog."""
    call = current_call.get(None)
    if call is not None:
        event.setdefault("request_id", call.request_id)
    return event


def _own_request_id(metadata: Metadata) -> str | None:
    """Give the first one that came along, if it is well-formed."""
    for name, value in metadata:
        if name == REQUEST_ID_HEADER:
            return value if isinstance(value, str) and WELL_FORMED_REQUEST_ID.fullmatch(value) else None
    return None
