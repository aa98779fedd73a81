"""Shutdown: new calls are refused, running calls finish, and streams end with SHUTTING_DOWN."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc import StatusCode
from structlog.testing import capture_logs

from cinema_grpc.transport.call import CallState
from cinema_grpc.transport.handlers import Context, Handler, MethodTraits
from cinema_grpc.transport.pipeline import CallPipeline
from tests.transport.conftest import Serve
from tests.transport.wire import failure, in_state, reason_of

UNARY, STREAM, HEALTH = "/test.Service/Unary", "/test.Service/Stream", "/test.Service/Health"


class Work:
    """A call that runs until `let_go` is set."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.let_go = asyncio.Event()
        self.cleaned = False

    async def unary(self, request: bytes, _context: object) -> bytes:
        self.started.set()
        try:
            await self.let_go.wait()
        finally:
            self.cleaned = True
        return request

    async def stream(self, request: bytes, _context: object) -> AsyncIterator[bytes]:
        self.started.set()
        try:
            yield request
            await self.let_go.wait()
        finally:
            self.cleaned = True


def methods(unary: Any, stream: Any) -> dict[str, Handler]:
    async def healthy(request: bytes, _context: object) -> bytes:
        return request

    return {
        UNARY: grpc.unary_unary_rpc_method_handler(unary),
        STREAM: grpc.unary_stream_rpc_method_handler(stream),
        HEALTH: grpc.unary_unary_rpc_method_handler(healthy),
    }


async def test_new_calls_are_refused(serve: Serve) -> None:
    work = Work()
    pipeline = CallPipeline(methods(work.unary, work.stream))
    channel = await serve(pipeline)
    pipeline.begin_shutdown()
    error = await failure(channel.unary_unary(UNARY)(b""))
    assert error.code() is StatusCode.UNAVAILABLE
    assert reason_of(error) == "SHUTTING_DOWN"
    assert reason_of(await failure(channel.unary_stream(STREAM)(b"").read())) == "SHUTTING_DOWN"


async def test_health_checks_are_answered_to_the_last(serve: Serve) -> None:
    work = Work()
    pipeline = CallPipeline(methods(work.unary, work.stream), traits={HEALTH: MethodTraits(probe=True)})
    channel = await serve(pipeline)
    pipeline.begin_shutdown()
    assert await channel.unary_unary(HEALTH)(b"well") == b"well"


async def test_calls_that_run_may_finish_and_are_waited_for(serve: Serve) -> None:
    work = Work()
    pipeline = CallPipeline(methods(work.unary, work.stream))
    channel = await serve(pipeline)
    call = channel.unary_unary(UNARY)(b"done")
    await work.started.wait()
    pipeline.begin_shutdown()
    idle = asyncio.create_task(pipeline.idle())
    assert reason_of(await failure(channel.unary_unary(UNARY)(b""))) == "SHUTTING_DOWN"
    assert not idle.done()
    work.let_go.set()
    assert await call == b"done"
    await asyncio.wait_for(idle, 20)
    assert work.cleaned


async def test_a_server_without_calls_is_idle_at_once() -> None:
    pipeline = CallPipeline({})
    pipeline.begin_shutdown()
    await asyncio.wait_for(pipeline.idle(), 20)


async def test_streams_are_told_and_clean_up(serve: Serve) -> None:
    work = Work()
    pipeline = CallPipeline(methods(work.unary, work.stream))
    channel = await serve(pipeline)
    call = channel.unary_stream(STREAM)(b"first")
    assert await call.read() == b"first"
    with capture_logs() as logs:
        pipeline.begin_shutdown()
        pipeline.begin_shutdown()
        error = await failure(call.read())
        await asyncio.wait_for(pipeline.idle(), 20)
    assert error.code() is StatusCode.UNAVAILABLE
    assert reason_of(error) == "SHUTTING_DOWN"
    assert work.cleaned
    assert [line["reason"] for line in logs] == ["SHUTTING_DOWN"]
    assert not len(pipeline._open_calls)


async def test_a_stream_in_the_middle_of_its_first_answer_is_told_too(serve: Serve) -> None:
    work = Work()

    async def write(_request: bytes, context: Context) -> None:
        asyncio.get_running_loop().call_soon(pipeline.begin_shutdown)
        await context.write(b"first")
        await work.let_go.wait()

    pipeline = CallPipeline(methods(work.unary, write))
    channel = await serve(pipeline)
    call = channel.unary_stream(STREAM)(b"")
    async with asyncio.timeout(20):
        assert await call.read() == b"first"
        assert reason_of(await failure(call.read())) == "SHUTTING_DOWN"


async def test_a_stream_that_is_about_to_begin_is_refused(serve: Serve) -> None:
    """Whether its message is still to come, or has come in the same moment."""
    for method in (STREAM, UNARY):
        work = Work()
        pipeline = CallPipeline(methods(work.unary, work.stream))
        channel = await serve(pipeline)
        call = channel.stream_stream(method)()
        async with asyncio.timeout(20):
            while not in_state(pipeline, CallState.RECEIVING):  # noqa: ASYNC110 (it is the state of the pipeline, not an event)
                await asyncio.sleep(0.001)
            pipeline.begin_shutdown()
            assert reason_of(await failure(call.read())) == "SHUTTING_DOWN"
        assert not work.started.is_set()


async def test_a_stream_that_writes_more_than_its_client_reads_is_told_too(serve: Serve) -> None:
    work = Work()

    async def flood(_request: bytes, context: Context) -> None:
        while True:
            await context.write(b"x" * 1_000_000)

    pipeline = CallPipeline(methods(work.unary, flood))
    channel = await serve(pipeline)
    call = channel.unary_stream(STREAM)(b"")
    await call.read()
    pipeline.begin_shutdown()
    await asyncio.wait_for(pipeline.idle(), 20)

    async def drain() -> None:
        while True:
            assert len(await call.read()) == 1_000_000

    assert reason_of(await failure(drain())) == "SHUTTING_DOWN"


async def test_a_client_that_hangs_up_in_the_same_moment(serve: Serve) -> None:
    work = Work()
    pipeline = CallPipeline(methods(work.unary, work.stream))
    channel = await serve(pipeline)
    call = channel.unary_stream(STREAM)(b"first")
    await call.read()
    (stream,) = pipeline._open_calls._open
    assert stream.task is not None
    with capture_logs() as logs:
        stream.task.cancel()
        pipeline.begin_shutdown()
        await asyncio.wait_for(pipeline.idle(), 20)
    assert [line["code"] for line in logs] == ["CANCELLED"]
    call.cancel()
