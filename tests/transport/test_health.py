"""How watchers of the server's health are notified, and for how long a change of it waits for them."""

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
    """A context whose writes of NOT_SERVING take many turns of the event loop, or never end if `turns` is None.

    Attributes:
        written: The statuses that were written.
    """

    def __init__(self, context: Context, turns: int | None, written: list[object]) -> None:
        self._context = context
        self._turns = turns
        self.written = written

    async def write(self, answer: Any) -> None:
        """Write a response, after the turns."""
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


async def test_a_slow_watcher_is_notified_before_a_change_returns(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that stops reports it before it ends streams, so that watchers learn why."""
    monkeypatch.setattr(module, "SECONDS_TO_NOTIFY", 60)  # whatever else the machine does
    health, written = Health([]), list[object]()
    channel = await serve(CallPipeline(watching(health, 100, written)))
    await health.set_serving(serving=True)
    call = channel.unary_stream(WATCH, response_deserializer=HealthCheckResponse.FromString)(b"", timeout=60)
    assert (await call.read()).status == SERVING
    async with asyncio.timeout(30):  # nor does it wait once all are notified
        await health.set_serving(serving=False)
    assert written == [SERVING, NOT_SERVING]
    assert (await call.read()).status == NOT_SERVING
    call.cancel()


async def test_a_watcher_that_never_reads_delays_a_change_by_a_moment_only(serve: Serve) -> None:
    health, written = Health([]), list[object]()
    channel = await serve(CallPipeline(watching(health, None, written)))
    await health.set_serving(serving=True)
    call = channel.unary_stream(WATCH, response_deserializer=HealthCheckResponse.FromString)(b"", timeout=60)
    assert (await call.read()).status == SERVING
    async with asyncio.timeout(30):
        await health.set_serving(serving=False)
    assert written == [SERVING]
    call.cancel()
