"""How those who watch the server's health are told, and for how long whoever has news waits for that."""

import asyncio
from typing import Any, cast

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from cinema_grpc.transport import health as module
from cinema_grpc.transport.handlers import Context, Handler
from cinema_grpc.transport.health import Health
from cinema_grpc.transport.pipeline import CallPipeline
from tests.transport.conftest import Serve

WATCH = f"/{module.SERVICE}/Watch"
SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING


class Slow:
    """A context of gRPC's whose writes of NOT_SERVING take many turns of the event loop, or, with None, all time.

    Attributes:
        written: Each status, once it is.
    """

    def __init__(self, context: Context, turns: int | None, written: list[object]) -> None:
        self._context = context
        self._turns = turns
        self.written = written

    async def write(self, answer: Any) -> None:
        """Write an answer, after the turns."""
        if answer.status == NOT_SERVING:
            if self._turns is None:
                await asyncio.Event().wait()
            for _ in range(self._turns or 0):
                await asyncio.sleep(0)
        await self._context.write(answer)
        self.written.append(answer.status)


def watching(health: Health, turns: int | None, written: list[object]) -> dict[str, Handler]:
    """Serve Watch with slow writes."""

    async def watch(request: object, context: Context) -> None:
        await health.Watch(request, cast("Context", Slow(context, turns, written)))

    handler: Handler = grpc.unary_stream_rpc_method_handler(
        watch, HealthCheckRequest.FromString, HealthCheckResponse.SerializeToString
    )
    return {WATCH: handler}


async def test_who_is_slow_to_be_told_is_told_before_the_news_goes_on(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that stops announces it, and ends streams next: a watcher has to hear why."""
    monkeypatch.setattr(module, "SECONDS_TO_BE_TOLD", 60)  # whatever else the machine does
    health, written = Health([]), list[object]()
    channel = await serve(CallPipeline(watching(health, 100, written)))
    await health.set_serving(serving=True)
    call = channel.unary_stream(WATCH, response_deserializer=HealthCheckResponse.FromString)(b"", timeout=60)
    assert (await call.read()).status == SERVING
    async with asyncio.timeout(30):  # nor does it wait when all have been told
        await health.set_serving(serving=False)
    assert written == [SERVING, NOT_SERVING]
    assert (await call.read()).status == NOT_SERVING
    call.cancel()


async def test_who_never_reads_holds_up_the_news_for_a_moment_only(serve: Serve) -> None:
    health, written = Health([]), list[object]()
    channel = await serve(CallPipeline(watching(health, None, written)))
    await health.set_serving(serving=True)
    call = channel.unary_stream(WATCH, response_deserializer=HealthCheckResponse.FromString)(b"", timeout=60)
    assert (await call.read()).status == SERVING
    async with asyncio.timeout(30):
        await health.set_serving(serving=False)
    assert written == [SERVING]
    call.cancel()
