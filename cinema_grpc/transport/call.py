"""A call under way: which client makes it, for which principal, and what it is doing."""

import asyncio
import re
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import unquote

import uuid_utils
from structlog.typing import EventDict, WrappedLogger

from cinema_grpc.application.account_ports import Principal
from cinema_grpc.domain.errors import CinemaError

REQUEST_ID_HEADER = "x-request-id"
USER_AGENT_HEADER = "user-agent"
LONGEST_USER_AGENT = 200
"""Characters of a user agent that are logged."""
WELL_FORMED_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
IPV6_PREFIX = 64
"""Length of the smallest prefix that a provider assigns to one customer (RFC 6177)."""
CACHED_CLIENTS = 8_192
"""Number of connections whose client network is cached. Parsing one takes 5 us."""

Metadata = tuple[tuple[str, str | bytes], ...]


@dataclass(frozen=True, slots=True)
class Client:
    """The origin of a call.

    Attributes:
        connection: Address and port as gRPC writes them, such as "ipv4:192.0.2.1:50412".
        network: Client network: an IPv4 address or an IPv6 /64, such as "192.0.2.1" or "2001:db8::/64".
    """

    connection: str
    network: str


class CallState(Enum):
    """What a call is doing."""

    STARTING = auto()  # it can't be interrupted yet
    RECEIVING = auto()  # it waits for a request message
    RUNNING = auto()
    WAITING = auto()  # for response memory; nothing was done yet, unless it is a stream
    WRITING = auto()  # a stream waits for its client to read a response
    ENDING = auto()  # gRPC has the response or the error; the client has not read all of it yet
    ABANDONED = auto()  # the client did not read it in time; its stream is about to be reset


@dataclass(slots=True, eq=False)
class Call:
    """A call, from the arrival of its metadata until its response is sent.

    Attributes:
        method: Full name of the method.
        metadata: Metadata from the client, names in lower case.
        client: Connection and client network.
        certificate_names: Names in the client's TLS certificate, if it has one.
        principal: The authenticated user; None before authentication and in a public method.
        is_stream: Whether the method returns a stream.
        state: What the call is doing.
        state_time: When it began to, on the clock of `time.monotonic`.
        response_bytes: Bytes of response memory that the call holds.
        task: Runs the handler and sends the response; None before and after.
        interruption: The error that `interrupt` ended the handler with, if it did.
        span: Its span, for the tracer; None for none.
        trace_id: The identifier of its trace, in hexadecimal; "" for none.
        start: Arrival time on the clock of `time.perf_counter`.
        idempotency_key: The request_id of its request, in lower case; "" for none.
    """

    method: str
    metadata: Metadata
    client: Client = field(init=False)
    certificate_names: tuple[str, ...] = ()
    principal: Principal | None = None
    is_stream: bool = False
    state: CallState = CallState.STARTING
    state_time: float = 0.0
    response_bytes: int = 0
    task: "asyncio.Task[Any] | None" = None
    interruption: CinemaError | None = None
    start: float = field(default_factory=time.perf_counter)
    span: Any = None
    trace_id: str = ""
    idempotency_key: str = ""
    _x_request_id: str = ""

    def enter(self, state: CallState) -> None:
        """Change the state."""
        self.state = state
        self.state_time = time.monotonic()

    def interrupt(self, error: CinemaError) -> bool:
        """End the handler with an error for the client; return False if it was interrupted before."""
        if self.interruption is not None or self.task is None:
            return False
        self.interruption = error
        self.task.cancel()
        return True

    @property
    def is_interruptible(self) -> bool:
        """Whether nothing was done yet, or the call is a stream whose end was not sent yet."""
        if self.is_stream and self.state in {CallState.RUNNING, CallState.WAITING, CallState.WRITING}:
            return True
        return self.state is CallState.RECEIVING

    @property
    def x_request_id(self) -> str:
        """The x-request-id of its response and its log lines: the client's own if well-formed, else a new one."""
        if not self._x_request_id:
            self._x_request_id = _sent_request_id(self.metadata) or str(uuid_utils.uuid7())
        return self._x_request_id

    @property
    def user_agent(self) -> str:
        """The beginning of what the client calls itself; "" if it does not."""
        for name, value in self.metadata:
            if name == USER_AGENT_HEADER:
                return value[:LONGEST_USER_AGENT] if isinstance(value, str) else ""
        return ""


current_call: ContextVar[Call] = ContextVar("current_call")


def principal() -> Principal:
    """Return the principal of the current call.

    Raises:
        LookupError: The method is public.
    """
    found = current_call.get().principal
    if found is None:
        raise LookupError("a public method has no principal")
    return found


def add_request_id(_logger: WrappedLogger, _level: str, event: EventDict) -> EventDict:
    """Add the current call's x-request-id, and its trace, to a log line; a processor for structlog."""
    call = current_call.get(None)
    if call is not None:
        event.setdefault("request_id", call.x_request_id)
        if call.trace_id:
            event.setdefault("trace_id", call.trace_id)
    return event


@lru_cache(CACHED_CLIENTS)
def client_of(peer: str) -> Client:
    """Return the client of a peer as gRPC writes it."""
    return Client(peer, network_of(peer))


def network_of(peer: str) -> str:
    """Return the client network of a peer: an IPv4 address or an IPv6 /64.

    Args:
        peer: As gRPC writes it, such as "ipv4:192.0.2.1:50412" or "ipv6:%5B2001:db8::1%5D:50412". Anything else, such
            as a Unix socket, is returned unchanged.
    """
    scheme, _, rest = unquote(peer).partition(":")
    if scheme not in {"ipv4", "ipv6"}:
        return peer
    host = rest.rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        address = ip_address(host)
    except ValueError:
        return peer
    mapped = getattr(address, "ipv4_mapped", None)
    if address.version == 4 or mapped is not None:
        return str(mapped or address)
    return str(ip_network((address, IPV6_PREFIX), strict=False))


def _sent_request_id(metadata: Metadata) -> str | None:
    """Return the first x-request-id of the metadata if it is well-formed."""
    for name, value in metadata:
        if name == REQUEST_ID_HEADER:
            return value if isinstance(value, str) and WELL_FORMED_REQUEST_ID.fullmatch(value) else None
    return None
