"""The health of a whole server: SERVING while storage is available, and NOT_SERVING while it is not."""

import asyncio
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.faults import failing
from tests.rpc.conftest import House, refusal, running

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICES = ("", *(f"cinema.v1.{name}Service" for name in ("Auth", "Catalog", "Showtime", "Booking")))


async def statuses(house: House) -> set[int]:
    """Return the statuses of all services and of the server."""
    health = health_pb2_grpc.HealthStub(house.channel)
    return {(await health.Check(health_pb2.HealthCheckRequest(service=name))).status for name in SERVICES}


async def test_storage_that_fails_and_comes_back(house: House) -> None:
    """All services and the server turn NOT_SERVING, and SERVING again; a watcher is notified both times."""
    watch = health_pb2_grpc.HealthStub(house.channel).Watch(health_pb2.HealthCheckRequest(), timeout=60)
    assert (await watch.read()).status == SERVING
    assert await statuses(house) == {SERVING}
    with failing(house.server.database, lambda _statement: True):
        house.server.watch_storage.wake()
        assert (await watch.read()).status == NOT_SERVING
        assert await statuses(house) == {NOT_SERVING}
    house.server.watch_storage.wake()
    assert (await watch.read()).status == SERVING
    assert await statuses(house) == {SERVING}
    watch.cancel()


async def test_a_database_file_that_is_gone(tmp_path: Path) -> None:
    """What is written now would be lost: NOT_SERVING, and no booking is acknowledged."""
    async with running(f"sqlite+aiosqlite:///{tmp_path}/cinema.db") as house:
        showtime = await house.showtime()
        await house.customer()
        watch = health_pb2_grpc.HealthStub(house.channel).Watch(health_pb2.HealthCheckRequest(), timeout=60)
        assert (await watch.read()).status == SERVING
        await asyncio.to_thread((tmp_path / "cinema.db").unlink)
        house.server.watch_storage.wake()
        assert (await watch.read()).status == NOT_SERVING
        refused = await refusal(house.book(showtime.showtime_id, "A1", "A2"))
        assert refused.reason == "STORAGE_UNAVAILABLE"
        watch.cancel()


async def test_a_server_that_stops_does_not_turn_healthy_again(house: House) -> None:
    """Not even when storage is found available a moment later."""
    assert await statuses(house) == {SERVING}
    house.server.watch_storage.wake()
    await house.server.announce_stop()
    assert await statuses(house) == {NOT_SERVING}


async def test_an_unknown_service(house: House) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await health_pb2_grpc.HealthStub(house.channel).Check(health_pb2.HealthCheckRequest(service="none"))
    assert raised.value.code() == grpc.StatusCode.NOT_FOUND
