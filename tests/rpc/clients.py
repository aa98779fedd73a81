"""Clients that respect the limits, and clients that exceed them."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from cinema.v1 import auth_service_pb2, catalog_service_pb2
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from cinema_grpc.transport.call import CallState
from cinema_grpc.transport.open_calls import OpenCalls
from tests.proofs.http2 import RawConnection
from tests.rpc.conftest import App

SECONDS = 30
SERVING = health_pb2.HealthCheckResponse.SERVING
GET_MOVIE = "/cinema.v1.CatalogService/GetMovie"
GET_BOOKING = "/cinema.v1.BookingService/GetBooking"
CREATE_BOOKING = "/cinema.v1.BookingService/CreateBooking"
LIST_MOVIES = "/cinema.v1.CatalogService/ListMovies"
LOGIN = "/cinema.v1.AuthService/Login"
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
LIST_SERVICES = reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString()
HEALTH_CHECK, HEALTH_WATCH = "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"


@asynccontextmanager
async def connection(app: App, *options: tuple[str, int]) -> AsyncIterator[grpc.aio.Channel]:
    """Open a channel with its own connection."""
    own = ("grpc.use_local_subchannel_pool", 1)
    async with grpc.aio.insecure_channel(app.server.address, options=(own, *options)) as channel:
        yield channel


def get_movie(channel: grpc.aio.Channel, movie_id: str = "none", **options: Any) -> Any:
    """Call GetMovie."""
    request = catalog_service_pb2.GetMovieRequest(movie_id=movie_id).SerializeToString()
    options.setdefault("timeout", SECONDS)
    method: Any = channel.unary_unary(GET_MOVIE)
    return method(request, **options)


async def failed(call: Any) -> grpc.aio.AioRpcError:
    """Return the error of a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value


async def served(channel: grpc.aio.Channel) -> bool:
    """Return whether a call reached the catalog, which has no such movie."""
    return (await get_movie(channel).code()) is StatusCode.NOT_FOUND


@asynccontextmanager
async def watching(channel: grpc.aio.Channel) -> AsyncIterator[Any]:
    """Keep a stream open."""
    watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=SECONDS)
    assert (await watch.read()).status == SERVING
    yield watch
    watch.cancel()


@asynccontextmanager
async def raw(app: App, window: int = 65_535) -> AsyncIterator[RawConnection]:
    """Open a connection that can break the protocol's customs, as no library does."""
    opened = await RawConnection.open(app.server.address, window)
    try:
        yield opened
    finally:
        await opened.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a change of state in the server."""
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110 (it is a state, not an event)
            await asyncio.sleep(0.01)


def open_calls_of(app: App) -> OpenCalls:
    """Return the open calls of a server."""
    assert app.server._server is not None
    return app.server._server._calls.pipeline._open_calls


def count(app: App, *states: CallState) -> int:
    """Return the number of calls in these states."""
    return sum(call.state in states for call in open_calls_of(app)._open)


async def peers_of(app: App, connection: RawConnection) -> set[str]:
    """Return a connection as gRPC writes it; makes a call on it."""
    await connection.call(GET_MOVIE)
    await until(lambda: count(app, CallState.RECEIVING) == 1)
    return {call.client.connection for call in open_calls_of(app)._open if call.state is CallState.RECEIVING}


@asynccontextmanager
async def watching_passwords(app: App) -> AsyncIterator[bytes]:
    """Yield a Login request, and keep all Logins running."""
    may_end = threading.Event()
    passwords = app.server._passwords
    check = passwords._matches

    def check_slowly(secret: bytes, password_hash: str) -> bool:
        may_end.wait(SECONDS)
        return check(secret, password_hash)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_matches", check_slowly)
        try:
            yield auth_service_pb2.LoginRequest(username="ada", password="a wrong password").SerializeToString()
        finally:
            may_end.set()
