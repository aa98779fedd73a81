"""Limits on requests and on open calls, each exceeded by a real client while others are served."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cinema.v1 import booking_service_pb2
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cinema_grpc.transport.call import CallState
from tests.conftest import Lend
from tests.rpc.clients import (
    CREATE_BOOKING,
    GET_MOVIE,
    SECONDS,
    SERVING,
    connection,
    count,
    failed,
    get_movie,
    raw,
    served,
    until,
    watching,
)
from tests.rpc.conftest import read_refusal, running


@pytest.fixture
def url(lend: Lend, tmp_path: Path) -> Iterator[str]:
    with lend("sqlite", tmp_path) as url:
        yield url


async def test_the_size_of_a_request(url: str) -> None:
    """A larger one is RESOURCE_EXHAUSTED, unread; the largest allowed is validated."""
    async with running(url, largest_request_bytes=100_000) as app, connection(app) as channel:
        error = await failed(get_movie(channel, "x" * 100_000))
        assert error.code() is StatusCode.RESOURCE_EXHAUSTED
        assert "100000" in (error.details() or "")
        assert await get_movie(channel, "x" * 99_990).code() is StatusCode.INVALID_ARGUMENT
        assert await served(channel)


async def test_the_size_of_metadata(url: str) -> None:
    """More is RESOURCE_EXHAUSTED, in one entry or in many; less is never refused at random."""
    async with running(url, largest_metadata_bytes=8_192) as app, connection(app) as channel:
        for metadata in ((("x", "y" * 8_192),), tuple((f"x{number}", "y" * 500) for number in range(20))):
            error = await failed(get_movie(channel, metadata=metadata))
            assert error.code() is StatusCode.RESOURCE_EXHAUSTED
            assert "metadata size exceeds" in (error.details() or "")
        for _ in range(20):
            assert await get_movie(channel, metadata=(("x", "y" * 7_500),)).code() is StatusCode.NOT_FOUND


async def test_calls_at_once(url: str) -> None:
    """The next call is OVERLOADED, with RetryInfo. Calls whose message has not come count too."""
    async with running(url, calls_at_once=2) as app, connection(app) as other, raw(app) as silent:
        for _ in range(2):  # a network may hold as many as are free
            await silent.call(GET_MOVIE)
        await until(lambda: count(app, CallState.RECEIVING) == 2)
        refused = read_refusal(await failed(get_movie(other)))
        assert (refused.code, refused.reason) == (StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
        assert refused.metadata == {"calls_at_once": "2", "retry_after_seconds": "1"}
        assert refused.details["RetryInfo"].retry_delay.seconds == 1
        health = health_pb2_grpc.HealthStub(other)
        assert (await health.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)).status == SERVING
        async with watching(other):
            await silent.close()
            async with asyncio.timeout(SECONDS):
                while not await served(other):
                    pass


async def test_the_reserve_for_sales(url: str) -> None:
    """Only changes by signed-in users may use it, not reads or calls with made-up tokens."""
    async with (
        running(url, calls_at_once=4, sales_reserve=0.5) as app,
        raw(app) as silent,
        connection(app) as other,
    ):
        booking = booking_service_pb2.CreateBookingRequest(showtime_id="none", seats=["A1"]).SerializeToString()
        create: Any = other.unary_unary(CREATE_BOOKING)
        token = await app.customer()
        for _ in range(2):
            await silent.call(GET_MOVIE)
        await until(lambda: count(app, CallState.RECEIVING) == 2)
        assert read_refusal(await failed(get_movie(other))).reason == "OVERLOADED"
        made_up = (("authorization", "Bearer made.up.token"),)
        for metadata in ((), made_up):
            assert read_refusal(await failed(create(booking, metadata=metadata))).reason == "OVERLOADED"
        assert read_refusal(await failed(create(booking, metadata=token))).reason == "SHOWTIME_NOT_FOUND"


async def test_streams_at_once(url: str) -> None:
    """The client with most streams gives one up for another client. Health checks count as streams, calls do not."""
    async with (
        running(url, streams_at_once=2) as app,
        connection(app) as greedy,
        connection(app) as other,
        watching(greedy) as first,
        watching(greedy),
    ):
        watch = health_pb2_grpc.HealthStub(greedy).Watch(health_pb2.HealthCheckRequest(), timeout=SECONDS)
        refused = read_refusal(await failed(watch.read()))
        assert (refused.reason, refused.metadata["streams_at_once"]) == ("OVERLOADED", "2")
        assert await served(greedy)
        async with watching(other):
            assert read_refusal(await failed(first.read())).reason == "OVERLOADED"
        health = health_pb2_grpc.HealthStub(other)
        assert (await health.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)).status == SERVING
