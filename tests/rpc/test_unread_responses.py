"""Responses that are not read: their streams are reset, and what they hold goes to other clients."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cinema.v1 import catalog_service_pb2
from google.protobuf.duration_pb2 import Duration
from grpc import StatusCode

from cinema_grpc.transport import open_calls
from cinema_grpc.transport.call import CallState
from cinema_grpc.transport.open_calls import SECONDS_TO_READ_WHEN_SHORT
from tests.conftest import Lend
from tests.proofs.http2 import message
from tests.rpc.clients import (
    GET_MOVIE,
    HEALTH_WATCH,
    LIST_MOVIES,
    LIST_SERVICES,
    REFLECTION,
    SECONDS,
    connection,
    count,
    open_calls_of,
    peers_of,
    raw,
    served,
    until,
)
from tests.rpc.conftest import running


@pytest.fixture
def url(lend: Lend, tmp_path: Path) -> Iterator[str]:
    with lend("sqlite", tmp_path) as url:
        yield url


async def test_a_response_that_is_not_read(url: str) -> None:
    """The stream is reset after CINEMA_SEND_SECONDS and frees what it held; other calls on the connection go on."""
    async with (
        running(url, send_seconds=0.4) as app,
        raw(app, window=0) as lazy,
        connection(app) as other,
    ):
        await lazy.call(GET_MOVIE, message(b"\x0a\x04none"), end=True)  # an error has no message to read
        async with asyncio.timeout(SECONDS):
            await lazy.wait_until_ended(1)
            await lazy.call(LIST_MOVIES, message(b""), end=True)
            await until(lambda: count(app, CallState.ENDING) == 1)
            await until(lambda: not count(app, CallState.ENDING))
            assert await served(other)  # gRPC holds the latest call until the next one
            await lazy.wait_until_ended(2)
            await lazy.call(HEALTH_WATCH, message(b""), end=True)
            await until(lambda: count(app, CallState.RUNNING) == 1)
        assert not lazy.closed
        await until(lambda: not count(app, CallState.ENDING))
        assert count(app, CallState.RUNNING) == 1, "a health watch is not reset"


async def test_responses_of_a_stream_that_are_not_read(url: str) -> None:
    """The stream is reset after CINEMA_SEND_SECONDS and frees what it held."""
    async with (
        running(url, send_seconds=0.4, reflection=True) as app,
        raw(app, window=0) as lazy,
        connection(app) as other,
    ):
        await lazy.call(REFLECTION, message(LIST_SERVICES))
        await until(lambda: open_calls_of(app).memory._used > 0)
        await until(lambda: open_calls_of(app).memory._used == 0)
        assert await served(other)  # gRPC holds the latest call until the next one
        async with asyncio.timeout(SECONDS):
            await lazy.wait_until_ended(1)


async def test_unread_responses_give_way_when_calls_are_scarce(url: str) -> None:
    async with (
        running(url, calls_at_once=2, send_seconds=10 * SECONDS) as app,
        raw(app, window=0) as lazy,
        connection(app) as other,
    ):
        for _ in range(2):
            await lazy.call(LIST_MOVIES, message(b""), end=True)
        await until(lambda: count(app, CallState.ENDING) == 2)
        await asyncio.sleep(SECONDS_TO_READ_WHEN_SHORT)  # until then they count as running
        await lazy.call(LIST_MOVIES, message(b""), end=True)
        async with asyncio.timeout(SECONDS):
            await lazy.wait_until_ended(1)  # a client's own calls do not give way to it
        assert await served(other)
        await until(lambda: not count(app, CallState.ABANDONED))
        assert await served(other)
        async with asyncio.timeout(SECONDS):
            await lazy.wait_until_ended(2)


async def test_unsent_bytes(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls on a connection that does not read its responses wait for memory, then are OVERLOADED; others go on."""
    limits: dict[str, Any] = {"unsent_bytes_per_connection": 4 * 1024 * 1024, "unsent_bytes": 5 * 1024 * 1024}
    async with running(url) as app:  # whose calls may wait for longer than 0.3 s
        staff = await app.staff()
        create = catalog_service_pb2.CreateMovieRequest(
            title="A Film", runtime=Duration(seconds=60), synopsis="\U0001f3ac" * 5_000
        )
        for _ in range(90):
            await app.catalog.CreateMovie(create, metadata=staff)
    async with (
        running(url, **limits, largest_page_bytes=2 * 1024 * 1024, longest_wait_seconds=0.3) as app,
        raw(app, window=0) as lazy,
        connection(app) as other,
    ):
        page = message(catalog_service_pb2.ListMoviesRequest(page_size=200).SerializeToString())
        list_movies: Any = other.unary_unary(LIST_MOVIES)
        with monkeypatch.context() as patch:
            patch.setattr(open_calls, "SECONDS_TO_READ_WHEN_SHORT", 10 * SECONDS)
            for _ in range(3):
                await lazy.call(LIST_MOVIES, page, end=True)
            async with asyncio.timeout(SECONDS):
                await lazy.wait_until_ended(1)
            assert await served(other)
            assert await list_movies(page[5:], timeout=SECONDS).code() is StatusCode.RESOURCE_EXHAUSTED
        # No memory is left. The connection that holds most loses what it has not read for a second, when a sweep finds
        # that calls wait.
        async with asyncio.timeout(SECONDS):
            while await list_movies(page[5:], timeout=SECONDS).code() is not StatusCode.OK:
                pass
        await lazy.close()
        await until(lambda: open_calls_of(app).memory._used == 0)


async def test_calls_that_wait_for_memory_give_way(url: str) -> None:
    """Nothing of them was done, so a client that does not read its responses can't keep other clients out."""
    async with (
        running(url, calls_at_once=8, unsent_bytes_per_connection=4 * 1024 * 1024) as app,
        raw(app, window=0) as lazy,
        connection(app) as other,
    ):
        open_calls_of(app).memory.add(str(next(iter(await peers_of(app, lazy)))), 4 * 1024 * 1024)
        for _ in range(4):
            await lazy.call(LIST_MOVIES, message(b""), end=True)
        await until(lambda: count(app, CallState.WAITING) == 4)
        assert await served(other)
        async with asyncio.timeout(SECONDS):
            await lazy.wait_until_ended(1)
