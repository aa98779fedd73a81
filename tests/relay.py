"""A TCP relay with a client address of its own, so that a test can call a server from several addresses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import grpc

CHUNK = 65_536


@asynccontextmanager
async def channel_from(host: str, target: str) -> AsyncIterator[grpc.aio.Channel]:
    """Open a channel to a server, which sees its connection come from `host`, an address of loopback.

    Args:
        host: Such as "127.0.0.2".
        target: The server's address, HOST:PORT.
    """
    connections: set[asyncio.Task[None]] = set()
    ends: set[asyncio.StreamWriter] = set()

    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(CHUNK):
                sink.write(data)
                await sink.drain()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None
        connections.add(connection)
        connection.add_done_callback(connections.discard)
        server_host, _, port = target.rpartition(":")
        answers, requests = await asyncio.open_connection(server_host, int(port), local_addr=(host, 0))
        ends.update((writer, requests))
        ways = [asyncio.create_task(carry(reader, requests)), asyncio.create_task(carry(answers, writer))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, requests):
            end.transport.abort()
        await asyncio.wait(ways)

    relay = await asyncio.start_server(accept, "127.0.0.1", 0)
    relay_host, relay_port = relay.sockets[0].getsockname()
    try:
        async with grpc.aio.insecure_channel(f"{relay_host}:{relay_port}") as channel:
            yield channel
    finally:
        relay.close()
        for end in ends:  # a closed channel may keep its connection for a while
            end.transport.abort()
        if connections:
            await asyncio.wait(connections)
