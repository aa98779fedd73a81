"""A client of HTTP/2 that does what no library would: calls without a message, answers that are never read."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GO_AWAY = 0, 1, 3, 4, 6, 7
END_STREAM = ACKNOWLEDGED = 1
END_HEADERS = 4
INITIAL_WINDOW = 4


def frame(kind: int, flags: int, stream: int, body: bytes, length: int | None = None) -> bytes:
    """Write a frame of HTTP/2, which may say that it is longer or shorter than it is."""
    said = len(body) if length is None else length
    return said.to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body


def headers(fields: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Write headers, each in full (RFC 7541, 6.2.2); a name or a value has at most 126 bytes."""
    return b"".join(b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value for name, value in fields)


def call_headers(path: str) -> Sequence[tuple[bytes, bytes]]:
    """Return the headers of a gRPC call."""
    return (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path.encode()),
        (b":authority", b"x"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
    )


def message(request: bytes) -> bytes:
    """Write a request as gRPC frames it."""
    return b"\0" + len(request).to_bytes(4, "big") + request


class RawConnection:
    """A connection that answers pings, and otherwise does as it is told.

    Attributes:
        answered: How many bytes of answers have come.
        closed: Whether the server has closed the connection.
        pongs: How many pings it has answered.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._next_stream = 1
        self._ended: set[int] = set()
        self.answered = 0
        self.closed = False
        self.pongs = 0
        self._news = asyncio.Event()
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def open(cls, address: str, window: int = 65_535) -> "RawConnection":
        """Connect, and allow so many bytes of each answer to be sent."""
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(PREFACE + frame(SETTINGS, 0, 0, INITIAL_WINDOW.to_bytes(2, "big") + window.to_bytes(4, "big")))
        return cls(reader, writer)

    @property
    def ended(self) -> int:
        """How many calls the server has ended."""
        return len(self._ended)

    @property
    def under_way(self) -> int:
        """How many calls are neither answered nor refused."""
        return self._next_stream // 2 - self.ended

    async def call(self, path: str, body: bytes = b"", *, end: bool = False) -> int:
        """Begin a call; return its stream."""
        stream = self._next_stream
        self._next_stream += 2
        flags = END_HEADERS | (END_STREAM if end and not body else 0)
        self._writer.write(frame(HEADERS, flags, stream, headers(call_headers(path))))
        if body:
            self._writer.write(frame(DATA, END_STREAM if end else 0, stream, body))
        with suppress(ConnectionError):
            await self._writer.drain()
        return stream

    def ping(self) -> None:
        """Send a ping."""
        self._writer.write(frame(PING, 0, 0, b"01234567"))

    async def wait_until_ended(self, number: int) -> None:
        """Wait until the server has ended so many calls."""
        while self.ended < number:
            self._news.clear()
            await self._news.wait()

    async def close(self) -> None:
        """Hang up without a word."""
        self._listening.cancel()
        self._writer.transport.abort()
        with suppress(asyncio.CancelledError):
            await self._listening

    async def _listen(self) -> None:
        try:
            while True:
                head = await self._reader.readexactly(9)
                body = await self._reader.readexactly(int.from_bytes(head[:3], "big"))
                self._take(head[3], head[4], int.from_bytes(head[5:], "big"), body)
                self._news.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            self.closed = True
            self._news.set()

    def _take(self, kind: int, flags: int, stream: int, body: bytes) -> None:
        if kind in {SETTINGS, PING} and not flags & ACKNOWLEDGED:
            self._writer.write(frame(kind, ACKNOWLEDGED, 0, body if kind == PING else b""))
        elif kind == PING:
            self.pongs += 1
        elif kind == DATA:
            self.answered += len(body)
        if kind == RESET or (kind in {HEADERS, DATA} and flags & END_STREAM):
            self._ended.add(stream)
