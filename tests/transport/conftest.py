"""What tests of the transport begin with: a server on a port of its own, and a channel to it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest_asyncio

from cinema_grpc.transport.handlers import Handler

Serve = Callable[[dict[str, Handler], Sequence[grpc.aio.ServerInterceptor]], Awaitable[Any]]
"""Takes methods by their full names, and interceptors; gives a channel, untyped since the methods are anything."""


@pytest_asyncio.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serves methods, by their full names, behind interceptors."""
    async with AsyncExitStack() as stack:

        async def start(methods: dict[str, Handler], interceptors: Sequence[grpc.aio.ServerInterceptor]) -> Any:
            handlers = []
            for method, handler in methods.items():
                service, _, name = method.strip("/").rpartition("/")
                handlers.append(grpc.method_handlers_generic_handler(service, {name: handler}))
            server = grpc.aio.server(handlers=handlers, interceptors=interceptors, options=(("grpc.so_reuseport", 0),))
            port = server.add_insecure_port("127.0.0.1:0")
            await server.start()
            stack.push_async_callback(server.stop, None)
            return await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))

        yield start
