"""Requests whose message does not come: they are ended, others are served, and their connection is closed at last."""

import asyncio
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode

from cinema_grpc.transport.call import CallState
from tests.conftest import Lend
from tests.proofs.http2 import message
from tests.rpc.clients import (
    CREATE_BOOKING,
    GET_MOVIE,
    HEALTH_CHECK,
    HEALTH_WATCH,
    LIST_SERVICES,
    LOGIN,
    REFLECTION,
    SECONDS,
    connection,
    count,
    failed,
    open_calls_of,
    raw,
    served,
    until,
    watching_passwords,
)
from tests.rpc.conftest import METHODS, read_refusal, running


@pytest.fixture
def url(lend: Lend, tmp_path: Path) -> Iterator[str]:
    with lend("sqlite", tmp_path) as url:
        yield url


@pytest.mark.parametrize("body", [b"", message(b"\x0a\x04none")[:-1]])
async def test_a_message_that_does_not_come(url: str, body: bytes) -> None:
    """Its call is INVALID_REQUEST after CINEMA_RECEIVE_SECONDS, whether all of it or its last byte is missing."""
    async with running(url, receive_seconds=0.4) as app, connection(app) as channel:
        method: Any = channel.stream_stream(GET_MOVIE)
        call = method(timeout=SECONDS)
        begin = time.monotonic()
        refused = read_refusal(await failed(call.read()))
        assert (refused.code, refused.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
        assert "0.4 s" in refused.message
        assert time.monotonic() - begin >= 0.4
        async with raw(app) as silent:
            await silent.call(GET_MOVIE, body)
            async with asyncio.timeout(SECONDS):
                await silent.wait_until_ended(1)
        assert open_calls_of(app)._receiving._used == 0


async def test_a_message_that_comes_while_the_process_stands_still(url: str) -> None:
    """As while its machine is moved. It came in time, but was not read in time."""
    async with running(url, receive_seconds=0.4) as app, connection(app) as channel:
        method: Any = channel.stream_stream(GET_MOVIE)
        call = method(timeout=SECONDS)
        await until(lambda: open_calls_of(app)._receiving._used == 1)
        writing = asyncio.create_task(call.write(b"\x0a\x04none"))
        await asyncio.sleep(0)
        time.sleep(2)  # noqa: ASYNC251 (gRPC's own threads send and receive meanwhile)
        await writing
        await call.done_writing()
        assert read_refusal(await failed(call.read())).reason == "MOVIE_NOT_FOUND"


async def test_a_call_without_a_message_is_answered(url: str) -> None:
    """With INVALID_REQUEST, in every method; the token is checked first."""
    async with running(url) as app:
        token = await app.staff()
        for method in (*METHODS, HEALTH_CHECK, HEALTH_WATCH):
            stream: Any = app.channel.stream_stream(method)
            refused = read_refusal(await failed(stream(iter(()), metadata=token, timeout=SECONDS).read()))
            assert (refused.code, refused.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"), method
            assert "without a message" in refused.message
        create: Any = app.channel.stream_stream(CREATE_BOOKING)
        assert read_refusal(await failed(create(iter(()), timeout=SECONDS).read())).reason == "TOKEN_MISSING"


async def test_a_call_that_ends_in_the_middle_of_its_message_is_answered(url: str) -> None:
    async with running(url) as app, raw(app) as broken:
        for method in (GET_MOVIE, HEALTH_CHECK):
            await broken.call(method, message(b"\x0a\x04none")[:-1], end=True)
        async with asyncio.timeout(SECONDS):
            await broken.wait_until_ended(2)


async def test_messages_of_a_stream(url: str) -> None:
    """Each has to come within CINEMA_RECEIVE_SECONDS, the first one and those after it."""
    async with running(url, receive_seconds=0.4, reflection=True) as app, raw(app) as silent:
        await silent.call(REFLECTION)
        await silent.call(REFLECTION, message(b"x" * 100)[:-1])
        async with asyncio.timeout(SECONDS):
            await silent.wait_until_ended(2)
            await silent.call(REFLECTION, message(LIST_SERVICES))
            await until(lambda: silent.answered > 0)
            await silent.wait_until_ended(3)
        assert open_calls_of(app)._receiving._used == 0


@pytest.mark.parametrize("limit", [2, 0])
async def test_a_connection_with_other_calls_is_kept(url: str, limit: int) -> None:
    """It may be a proxy's. Without a limit, every connection is kept."""
    async with (
        running(url, receiving_at_once=2, late_requests_per_connection=limit) as app,
        raw(app) as proxy,
        watching_passwords(app) as busy,
    ):
        if limit:
            await proxy.call(LOGIN, message(busy), end=True)
            await until(lambda: app.server._passwords._running > 0)
        for _ in range(8):
            await proxy.call(GET_MOVIE)
        await until(lambda: proxy.ended >= 5)
        assert not proxy.closed


async def test_a_fault_in_a_sweep_does_not_end_the_sweeps(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(url, receive_seconds=0.2) as app, raw(app) as silent:
        open_calls = open_calls_of(app)
        end_overdue, faults = open_calls._end_overdue, iter([ValueError("a fault")])

        def fail_once() -> None:
            if (fault := next(faults, None)) is not None:
                raise fault
            end_overdue()

        monkeypatch.setattr(open_calls, "_end_overdue", fail_once)
        await silent.call(GET_MOVIE)
        async with asyncio.timeout(SECONDS):
            await silent.wait_until_ended(1)


async def test_messages_awaited_at_once(url: str) -> None:
    """The client with most calls that wait gives way to another, and at last loses its connection."""
    async with (
        running(url, receiving_at_once=5, late_requests_per_connection=7) as app,
        raw(app) as silent,
        raw(app) as other,
        connection(app) as honest,
    ):
        open_calls_of(app)._late_until = math.inf  # a sweep would forget late requests, if these here take long
        for _ in range(3):
            await silent.call(GET_MOVIE)
        await until(lambda: count(app, CallState.RECEIVING) == 3)
        await other.call(GET_MOVIE)
        async with asyncio.timeout(SECONDS):
            await silent.wait_until_ended(1)
            assert await served(honest)
            for _ in range(5):
                await silent.call(GET_MOVIE)
            await until(lambda: silent.ended == 6)
            assert not silent.closed
            await silent.call(GET_MOVIE)
            await until(lambda: silent.closed)
            assert await served(honest)
        assert not other.closed
