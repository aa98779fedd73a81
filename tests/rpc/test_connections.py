"""Limits on connections: their calls, age, idle time and pings."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import StatusCode
from structlog.testing import capture_logs

from cinema_grpc.transport.limits import Limits
from cinema_grpc.transport.pipeline import CallPipeline
from tests.conftest import Lend
from tests.proofs.http2 import RawConnection
from tests.rpc.clients import (
    GET_BOOKING,
    SECONDS,
    connection,
    failed,
    get_movie,
    served,
    until,
    watching,
)
from tests.rpc.conftest import running


@pytest.fixture
def url(lend: Lend, tmp_path: Path) -> Iterator[str]:
    with lend("sqlite", tmp_path) as url:
        yield url


async def test_calls_on_a_connection(url: str) -> None:
    """A client holds back the next call until one has ended or its deadline passes; other connections go on."""
    async with (
        running(url, calls_per_connection=2) as app,
        connection(app) as channel,
        watching(channel) as watch,
        watching(channel),
    ):
        assert (await failed(get_movie(channel, timeout=0.3))).code() is StatusCode.DEADLINE_EXCEEDED
        async with connection(app) as other:
            assert await served(other)
        held_back = get_movie(channel)
        watch.cancel()
        assert await held_back.code() is StatusCode.NOT_FOUND


async def test_the_age_of_a_connection(url: str) -> None:
    """The client reconnects, and no call fails."""
    async with running(url, connection_age_seconds=1) as app, connection(app) as channel:
        get_booking: Any = channel.unary_unary(GET_BOOKING)
        with capture_logs() as logs:
            async with asyncio.timeout(SECONDS):
                while len({line["peer"] for line in logs if "peer" in line}) < 3:
                    assert await get_booking(b"", timeout=SECONDS).code() is StatusCode.UNAUTHENTICATED
                    await asyncio.sleep(0.01)


async def test_an_idle_connection(url: str) -> None:
    """It is closed; the next call opens another."""
    async with running(url, connection_idle_seconds=1) as app, connection(app) as channel:
        assert await served(channel)
        before = channel.get_state()
        assert before is grpc.ChannelConnectivity.READY
        async with asyncio.timeout(SECONDS):
            await channel.wait_for_state_change(before)
        assert await served(channel)


async def test_too_many_pings(url: str) -> None:
    """The connection is closed with a reason; that of a client which pings less often is kept."""
    often = (
        ("grpc.keepalive_time_ms", 100),
        ("grpc.http2.min_time_between_pings_ms", 100),
        ("grpc.http2.max_pings_without_data", 0),
    )
    async with (
        running(url, ping_seconds=10) as app,
        connection(app, *often) as channel,
        connection(app) as calm,
        watching(channel) as watch,
        watching(calm),
    ):
        error = await failed(watch.read())
        assert error.code() is StatusCode.UNAVAILABLE
        assert "Too many pings" in (error.details() or "")
        assert await served(calm)


@pytest.mark.parametrize(("interval", "kept"), [(0.1, True), (10, False)])
async def test_the_interval_between_pings(interval: float, kept: bool) -> None:
    """A client that pings no more often than it may keeps its connection; one that pings more often loses it."""
    pipeline = CallPipeline({})
    server = grpc.aio.server(handlers=[pipeline], options=Limits(ping_seconds=interval).options())
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    client = await RawConnection.open(f"127.0.0.1:{port}")
    for _ in range(5):
        await asyncio.sleep(0.5)  # more than the interval that is allowed, or a fraction of it
        client.ping()
    if kept:
        answered = client.pongs
        client.ping()
        await until(lambda: client.pongs > answered)
    else:
        await until(lambda: client.closed)
    await client.close()
    await server.stop(0)


async def test_a_client_that_has_vanished(url: str) -> None:
    """As when its machine loses power: its connection is closed."""
    async with running(url, keepalive_seconds=1) as app, connection(app) as channel:
        host, _, port = app.server.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        empty_settings = b"\0\0\0\4\0\0\0\0\0"
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + empty_settings)
        async with asyncio.timeout(SECONDS), watching(channel) as watch:
            await reader.read()  # to the end
            assert await served(channel)
            watch.cancel()
        writer.close()
        await writer.wait_closed()
