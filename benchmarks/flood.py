"""A flood of calls, many more than a server can answer, sent at next to no cost.

A gRPC client in Python works about as hard for a call as a server does, so it can't offer ten times what a server
manages, least of all beside it on the same machine. This one writes the frames of HTTP/2 itself: calls are alike but
for the stream's number and the message, and of an answer nothing is read but its status.
"""

import asyncio
import re
import struct
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from typing import TypeAlias

from benchmarks.load import CONNECTIONS, Call, Sample

DATA, HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 3, 4, 6, 8
END_STREAM, END_HEADERS, ACKNOWLEDGED = 1, 4, 1
HEADER_TABLE_SIZE, INITIAL_WINDOW_SIZE = 1, 4
FIRST_WINDOW, LARGEST_WINDOW = 2**16 - 1, 2**31 - 1
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
STATUS = re.compile(rb"grpc-status[\x01\x02](\d\d?)")
SECONDS_BETWEEN_WRITES = 0.002
SECONDS_TO_FINISH = 15.0
CANCELLED = 1

_Headers: TypeAlias = Mapping[tuple[str, str], bytes]


@dataclass(frozen=True, slots=True)
class Flood:
    """What to send, and how fast. One of `rate`, with `seconds`, and `in_flight` is set.

    Attributes:
        address: Where to; connections are spread over several addresses with commas between them.
        rate: Open loop: round and round the calls, so many a second, evenly spread over time and connections.
        in_flight: Closed loop: each call once, so many at a time.
    """

    address: str
    calls: Sequence[Call]
    rate: float = 0
    seconds: float = 0
    in_flight: int = 0
    connections: int = CONNECTIONS


def pour(flood: Flood) -> list[Sample]:
    """Send the calls from this process and wait for all statuses; what gets none in 15 s counts as CANCELLED."""
    return asyncio.run(_pour(flood))


async def _pour(flood: Flood) -> list[Sample]:
    loop = asyncio.get_running_loop()
    connections = []
    for address in islice(cycle(flood.address.split(",")), flood.connections):
        host, _, port = address.rpartition(":")
        connections.append((await loop.create_connection(_Connection, host, int(port)))[1])
    headers = {(call.method, call.token): _headers(call, flood.address) for call in flood.calls}
    if flood.in_flight:
        await _keep_in_flight(flood, connections, headers)
    else:
        await _keep_the_rate(flood, connections, headers)
    return [sample for connection in connections for sample in connection.close()]


async def _keep_in_flight(flood: Flood, connections: "Sequence[_Connection]", headers: "_Headers") -> None:
    calls = iter(enumerate(flood.calls))

    def send_next(connection: _Connection) -> None:
        number, call = next(calls, (0, None))
        if call is not None:
            connection.send(number, time.monotonic(), headers[call.method, call.token], call.request)

    for connection in connections:
        connection.when_answered = partial(send_next, connection)
    for connection in islice(cycle(connections), flood.in_flight):
        send_next(connection)
    for connection in connections:
        connection.flush()
    for connection in connections:
        await connection.answered()


async def _keep_the_rate(flood: Flood, connections: "Sequence[_Connection]", headers: "_Headers") -> None:
    numbers = cycle(range(len(flood.calls)))
    start, sent, in_all = time.monotonic(), 0, int(flood.rate * flood.seconds)
    while sent < in_all:
        due_by_now = min(int((time.monotonic() - start) * flood.rate), in_all)
        for step in range(sent, due_by_now):
            number = next(numbers)
            call = flood.calls[number]
            connection = connections[step % len(connections)]
            connection.send(number, start + step / flood.rate, headers[call.method, call.token], call.request)
        sent = due_by_now
        for connection in connections:
            connection.flush()
        await asyncio.sleep(SECONDS_BETWEEN_WRITES)
    with suppress(TimeoutError):
        async with asyncio.timeout(SECONDS_TO_FINISH):
            for connection in connections:
                await connection.answered()


class _Connection(asyncio.Protocol):
    """One connection, and the calls that wait for an answer on it: by stream, its number, and when it was due."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self.when_answered: Callable[[], None] = lambda: None
        self._idle = asyncio.Event()
        self._waiting: dict[int, tuple[int, float]] = {}
        self._samples: list[Sample] = []
        self._unsent: deque[tuple[bytes, bytes]] = deque()
        self._next_stream = 1
        self._window = FIRST_WINDOW
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 (for mypy)
        self._transport = transport
        # Without a table each header comes in full, and a status can be found without decoding what came before.
        settings = struct.pack(">HIHI", HEADER_TABLE_SIZE, 0, INITIAL_WINDOW_SIZE, LARGEST_WINDOW)
        # The window is wide enough for all answers of a run, so it is never widened again.
        wider = struct.pack(">I", LARGEST_WINDOW - FIRST_WINDOW)
        transport.write(PREFACE + _frame(SETTINGS, 0, 0, settings) + _frame(WINDOW_UPDATE, 0, 0, wider))

    def send(self, number: int, due: float, headers: bytes, request: bytes) -> None:
        """Put a call in line; `flush` sends what the server is ready to take."""
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        self._waiting[stream] = number, due
        message = struct.pack(">BI", 0, len(request)) + request
        self._unsent.append((_frame(HEADERS, END_HEADERS, stream, headers), _frame(DATA, END_STREAM, stream, message)))

    def flush(self) -> None:
        """Send what the window has room for, headers and message together."""
        frames: list[bytes] = []
        while self._unsent and len(self._unsent[0][1]) <= self._window:
            headers, message = self._unsent.popleft()
            self._window -= len(message)
            frames += headers, message
        self._transport.write(b"".join(frames))

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        data, offset = self._unread + data, 0
        while len(data) - offset >= 9:
            length, kind, flags, stream = _HEAD.unpack_from(b"\0" + data[offset : offset + 9])
            if len(data) - offset < 9 + length:
                break
            payload = data[offset + 9 : offset + 9 + length]
            offset += 9 + length
            if kind == HEADERS and flags & END_STREAM:
                status = STATUS.search(payload)
                self._settle(stream, now, int(status[1]) if status else CANCELLED)
            elif kind == RST_STREAM:
                self._settle(stream, now, CANCELLED)
            elif kind == WINDOW_UPDATE and stream == 0:
                self._window += int.from_bytes(payload)
                self.flush()
            elif kind in {SETTINGS, PING} and not flags & ACKNOWLEDGED:
                self._transport.write(_frame(kind, ACKNOWLEDGED, 0, payload if kind == PING else b""))
        self._unread = data[offset:]
        if self._unsent:
            self.flush()

    async def answered(self) -> None:
        """Wait until no call waits."""
        while self._waiting:
            self._idle.clear()
            await self._idle.wait()

    def close(self) -> list[Sample]:
        """End the connection and give the samples."""
        self.when_answered = lambda: None
        self._transport.abort()
        now = time.monotonic()
        for stream in list(self._waiting):
            self._settle(stream, now, CANCELLED)
        return self._samples

    def _settle(self, stream: int, now: float, code: int) -> None:
        waiting = self._waiting.pop(stream, None)
        if waiting is not None:
            number, due = waiting
            self._samples.append(Sample(number, due, now - due, code, b""))
            self.when_answered()
        if not self._waiting:
            self._idle.set()


# A length of three bytes, a kind, flags and the number of the stream.
_HEAD = struct.Struct(">IBBI")


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return _HEAD.pack(len(payload), kind, flags, stream)[1:] + payload


def _headers(call: Call, authority: str) -> bytes:
    """Write the headers of a call down, each in full, as HPACK's "literal header field without indexing"."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": call.method,
        ":authority": authority,
        "te": "trailers",
        "content-type": "application/grpc",
    }
    if call.token:
        fields["authorization"] = f"Bearer {call.token}"
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in fields.items())


def _text(text: str) -> bytes:
    """Write a string down with its length before it: seven bits, and if these are too few, seven more a byte."""
    length = len(text)
    if length < 127:
        return bytes([length]) + text.encode()
    length -= 127
    digits = [127]
    while length >= 128:
        digits.append(length % 128 + 128)
        length //= 128
    return bytes([*digits, length]) + text.encode()
