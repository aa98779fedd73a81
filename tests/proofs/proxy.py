"""A network that fails: a TCP proxy that delays, swallows and resets what goes through it."""

import asyncio
import random
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

CHUNK = 65_536
LONGEST_DELAY = 0.03
RESET_AT_ONCE = struct.pack("ii", 1, 0)
"""The socket option SO_LINGER: on, for 0 seconds, so that closing sends a reset instead of a goodbye."""


class FaultyProxy:
    """Stands between clients and a server.

    Attributes:
        rate: How many of a thousand pieces of traffic meet with each kind of fault.
        faults: How often each kind of fault happened.
    """

    def __init__(self, target: str, chance: random.Random, rate: float) -> None:
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._chance = chance
        self.rate = rate
        self.faults: Counter[str] = Counter()
        self._connections: set[asyncio.Task[None]] = set()
        self._ends: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        """Where clients connect to."""
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()
        return f"{host}:{port}"

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def stop(self) -> None:
        """End every connection."""
        assert self._server is not None
        self._server.close()
        while self._connections:
            for end in self._ends:
                end.transport.abort()
            await asyncio.wait(self._connections)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)
        ends = {writer}
        self._ends.add(writer)
        try:
            answers, requests = await asyncio.open_connection(self._host, self._port)
            ends.add(requests)
            self._ends.add(requests)
            ways = [
                asyncio.create_task(self._carry(reader, requests, "request")),
                asyncio.create_task(self._carry(answers, writer, "answer")),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except OSError:
            self.faults["no server"] += 1
        finally:
            self._ends -= ends
            for end in ends:
                self._drop(end)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, what: str) -> None:
        """Carry one way's traffic, until the connection ends by itself or by a fault."""
        with suppress(OSError):
            while data := await source.read(CHUNK):
                fault = self._fault()
                if fault:
                    self.faults[f"{what} {fault}"] += 1
                if fault == "delayed":
                    await asyncio.sleep(self._chance.uniform(0, LONGEST_DELAY))
                elif fault == "lost":
                    return  # with the connection: TCP itself loses nothing
                sink.write(data)
                await sink.drain()
                if fault == "carried, then reset":
                    return

    def _fault(self) -> str:
        kinds = ("delayed", "lost", "carried, then reset")
        return self._chance.choice(kinds) if self._chance.random() * 1_000 < self.rate else ""

    def _drop(self, end: asyncio.StreamWriter) -> None:
        link = end.get_extra_info("socket")
        if link is not None and self._chance.random() < 0.5:
            with suppress(OSError):
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_ONCE)
        end.transport.abort()


@asynccontextmanager
async def faulty_network(target: str, chance: random.Random, rate: float) -> AsyncIterator[FaultyProxy]:
    """Open a way to a server that fails now and then."""
    proxy = FaultyProxy(target, chance, rate)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
