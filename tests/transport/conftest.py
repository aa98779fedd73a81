"""What tests of the transport begin with: a server on a port of its own, and a channel to it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest_asyncio

from cinema_grpc.transport.pipeline import CallPipeline

Serve = Callable[[CallPipeline], Awaitable[Any]]
"""Takes a call pipeline; returns a channel, untyped since the methods are anything."""


@pytest_asyncio.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serves the methods of a call pipeline."""
    async with AsyncExitStack() as stack:

        async def start(pipeline: CallPipeline) -> Any:
            server = grpc.aio.server(handlers=[pipeline], options=(("grpc.so_reuseport", 0),))
            port = server.add_insecure_port("127.0.0.1:0")
            await server.start()
            stack.push_async_callback(server.stop, None)
            return await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))

        yield start
