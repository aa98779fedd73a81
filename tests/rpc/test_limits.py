"""The limits, each broken by a real client: what it is told, and that others are served as before."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from cinema.v1 import catalog_service_pb2
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

from tests.conftest import Lend
from tests.rpc.conftest import House, read_refusal, running

SECONDS = 30
SERVING = health_pb2.HealthCheckResponse.SERVING
GET_MOVIE = "/cinema.v1.CatalogService/GetMovie"
GET_BOOKING = "/cinema.v1.BookingService/GetBooking"


@pytest.fixture
def url(lend: Lend, tmp_path: Path) -> Iterator[str]:
    with lend("sqlite", tmp_path) as url:
        yield url


@asynccontextmanager
async def connection(house: House, *options: tuple[str, int]) -> AsyncIterator[grpc.aio.Channel]:
    """Open a channel with a connection of its own."""
    own = ("grpc.use_local_subchannel_pool", 1)
    async with grpc.aio.insecure_channel(house.server.address, options=(own, *options)) as channel:
        yield channel


def get_movie(channel: grpc.aio.Channel, movie_id: str = "none", **options: Any) -> Any:
    """Ask for a movie."""
    request = catalog_service_pb2.GetMovieRequest(movie_id=movie_id).SerializeToString()
    options.setdefault("timeout", SECONDS)
    method: Any = channel.unary_unary(GET_MOVIE)
    return method(request, **options)


async def failed(call: Any) -> grpc.aio.AioRpcError:
    """Wait for a call to fail."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value


async def served(channel: grpc.aio.Channel) -> bool:
    """Tell whether a call got through to where nothing is found."""
    return (await get_movie(channel).code()) is StatusCode.NOT_FOUND


@asynccontextmanager
async def watching(channel: grpc.aio.Channel) -> AsyncIterator[Any]:
    """Keep a stream running."""
    watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=SECONDS)
    assert (await watch.read()).status == SERVING
    yield watch
    watch.cancel()


async def test_the_size_of_a_request(url: str) -> None:
    """RESOURCE_EXHAUSTED, unread; one that is just small enough is looked at."""
    async with running(url, largest_request_bytes=100_000) as house, connection(house) as channel:
        error = await failed(get_movie(channel, "x" * 100_000))
        assert error.code() is StatusCode.RESOURCE_EXHAUSTED
        assert "100000" in (error.details() or "")
        assert await get_movie(channel, "x" * 99_990).code() is StatusCode.INVALID_ARGUMENT
        assert await served(channel)


async def test_the_size_of_metadata(url: str) -> None:
    """RESOURCE_EXHAUSTED, in one piece or in many, and never by chance below the limit."""
    async with running(url, largest_metadata_bytes=8_192) as house, connection(house) as channel:
        for metadata in ((("x", "y" * 8_192),), tuple((f"x{number}", "y" * 500) for number in range(20))):
            error = await failed(get_movie(channel, metadata=metadata))
            assert error.code() is StatusCode.RESOURCE_EXHAUSTED
            assert "metadata size exceeds" in (error.details() or "")
        for _ in range(20):
            assert await get_movie(channel, metadata=(("x", "y" * 7_500),)).code() is StatusCode.NOT_FOUND


async def test_calls_at_once(url: str) -> None:
    """OVERLOADED, with the time after which to try again; streams count; health checks are answered all the same."""
    async with (
        running(url, calls_at_once=2) as house,
        connection(house) as other,
        watching(other),
        watching(other) as watch,
    ):
        refused = read_refusal(await failed(get_movie(other)))
        assert (refused.code, refused.reason) == (StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
        assert refused.metadata == {"calls_at_once": "2", "retry_after_seconds": "1"}
        assert refused.details["RetryInfo"].retry_delay.seconds == 1
        health = health_pb2_grpc.HealthStub(other)
        assert (await health.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)).status == SERVING
        watch.cancel()
        async with asyncio.timeout(SECONDS):
            while not await served(other):
                pass


async def test_calls_on_a_connection(url: str) -> None:
    """The client holds the next one back until one has ended, or its deadline has passed; other connections go on."""
    async with (
        running(url, calls_per_connection=2) as house,
        connection(house) as channel,
        watching(channel) as watch,
        watching(channel),
    ):
        assert (await failed(get_movie(channel, timeout=0.3))).code() is StatusCode.DEADLINE_EXCEEDED
        async with connection(house) as other:
            assert await served(other)
        held_back = get_movie(channel)
        watch.cancel()
        assert await held_back.code() is StatusCode.NOT_FOUND


async def test_the_age_of_a_connection(url: str) -> None:
    """The client connects anew, and no call fails."""
    async with running(url, connection_age_seconds=1) as house, connection(house) as channel:
        get_booking: Any = channel.unary_unary(GET_BOOKING)
        end = time.monotonic() + 2.5
        codes = []
        with capture_logs() as logs:
            while time.monotonic() < end:
                codes.append(await get_booking(b"", timeout=SECONDS).code())
                await asyncio.sleep(0.01)
        assert set(codes) == {StatusCode.UNAUTHENTICATED}
        assert len({line["peer"] for line in logs if "peer" in line}) > 1


async def test_an_idle_connection(url: str) -> None:
    """Is closed; the next call opens another."""
    async with running(url, connection_idle_seconds=1) as house, connection(house) as channel:
        assert await served(channel)
        before = channel.get_state()
        assert before is grpc.ChannelConnectivity.READY
        async with asyncio.timeout(SECONDS):
            await channel.wait_for_state_change(before)
        assert await served(channel)


async def test_too_many_pings(url: str) -> None:
    """The connection is closed, with the reason; who pings as seldom as is asked is left alone."""
    often = (
        ("grpc.keepalive_time_ms", 100),
        ("grpc.http2.min_time_between_pings_ms", 100),
        ("grpc.http2.max_pings_without_data", 0),
    )
    async with (
        running(url, ping_seconds=10) as house,
        connection(house, *often) as channel,
        connection(house) as calm,
        watching(channel) as watch,
        watching(calm),
    ):
        error = await failed(watch.read())
        assert error.code() is StatusCode.UNAVAILABLE
        assert "Too many pings" in (error.details() or "")
        assert await served(calm)


async def test_a_client_that_has_vanished(url: str) -> None:
    """Without a word, as when its machine loses power: its connection is given up."""
    async with running(url, keepalive_seconds=1) as house, connection(house) as channel:
        host, _, port = house.server.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        empty_settings = b"\0\0\0\4\0\0\0\0\0"
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + empty_settings)
        async with asyncio.timeout(SECONDS), watching(channel) as watch:
            await reader.read()  # to the end
            assert await served(channel)
            watch.cancel()
        writer.close()
        await writer.wait_closed()
