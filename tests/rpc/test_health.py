"""The health of a whole server: SERVING while storage is available, and NOT_SERVING while it is not."""

import asyncio
import time
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub
from structlog.testing import capture_logs

from cinema_grpc import storage
from cinema_grpc.storage import SECONDS_TO_CHECK
from cinema_grpc.transport.health_list import HealthListRequest, HealthListResponse
from tests.faults import failing
from tests.rpc.conftest import App, refusal, running

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICES = ("", *(f"cinema.v1.{name}Service" for name in ("Auth", "Catalog", "Showtime", "Booking")))


async def statuses(app: App) -> set[int]:
    """Return the statuses of all services and of the server."""
    health = health_pb2_grpc.HealthStub(app.channel)
    return {(await health.Check(health_pb2.HealthCheckRequest(service=name))).status for name in SERVICES}


async def test_storage_that_fails_and_comes_back(app: App) -> None:
    """All services and the server turn NOT_SERVING, and SERVING again; a watcher is notified both times."""
    watch = health_pb2_grpc.HealthStub(app.channel).Watch(health_pb2.HealthCheckRequest(), timeout=60)
    assert (await watch.read()).status == SERVING
    assert await statuses(app) == {SERVING}
    with failing(app.server.database, lambda _statement: True):
        app.server.watch_storage.wake()
        assert (await watch.read()).status == NOT_SERVING
        assert await statuses(app) == {NOT_SERVING}
        live = health_pb2.HealthCheckRequest(service="liveness")  # a restart would not help
        assert (await health_pb2_grpc.HealthStub(app.channel).Check(live)).status == SERVING
    app.server.watch_storage.wake()
    assert (await watch.read()).status == SERVING
    assert await statuses(app) == {SERVING}
    watch.cancel()


async def test_a_commit_that_does_not_end(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """As without a standby: other connections are answered, but nothing is sold."""
    watch = health_pb2_grpc.HealthStub(app.channel).Watch(health_pb2.HealthCheckRequest(), timeout=60)
    assert (await watch.read()).status == SERVING
    with monkeypatch.context() as patch:
        patch.setattr(app.server._selling.box_office, "_batch_start", time.monotonic() - SECONDS_TO_CHECK)
        app.server.watch_storage.wake()
        assert (await watch.read()).status == NOT_SERVING
    app.server.watch_storage.wake()
    assert (await watch.read()).status == SERVING
    watch.cancel()


async def test_a_check_that_does_not_end(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one waits for it: each would take a connection, until reads get none."""
    checks, end = 0, asyncio.Event()

    async def check(*, by_writing: bool) -> None:  # noqa: ARG001
        nonlocal checks
        checks += 1
        await end.wait()

    await app.server.watch_storage.stop()
    assert await app.server._storage_check.can_sell()  # none is under way
    monkeypatch.setattr(storage, "SECONDS_TO_CHECK", 0.01)
    monkeypatch.setattr(app.server.database.driver, "check", check)
    sought = storage.StorageCheck(app.server.database)
    assert [await sought.can_sell() for _ in range(5)] == [False] * 5
    assert checks <= 1  # none if what precedes it took long
    end.set()
    monkeypatch.setattr(storage, "SECONDS_TO_CHECK", 60)
    assert await sought.can_sell()
    assert checks == 1


async def test_the_list_of_all(app: App) -> None:
    """With the status of the server and of each service, as Check returns them."""
    list_all = app.channel.unary_unary(
        "/grpc.health.v1.Health/List", HealthListRequest.SerializeToString, HealthListResponse.FromString
    )
    listed = (await list_all(HealthListRequest(), timeout=60)).statuses
    assert {*SERVICES} < {*listed}
    assert {each.status for each in listed.values()} == {SERVING}
    watch = health_pb2_grpc.HealthStub(app.channel).Watch(health_pb2.HealthCheckRequest(), timeout=60)
    assert (await watch.read()).status == SERVING
    with failing(app.server.database, lambda _statement: True):
        app.server.watch_storage.wake()
        assert (await watch.read()).status == NOT_SERVING
        listed = (await list_all(HealthListRequest(), timeout=60)).statuses
        assert {each.status for each in listed.values()} == {NOT_SERVING}
    watch.cancel()


async def test_a_database_file_that_is_gone(tmp_path: Path) -> None:
    """What is written now would be lost: NOT_SERVING, and no booking is acknowledged."""
    async with running(f"sqlite+aiosqlite:///{tmp_path}/cinema.db") as app:
        showtime = await app.showtime()
        await app.customer()
        watch = health_pb2_grpc.HealthStub(app.channel).Watch(health_pb2.HealthCheckRequest(), timeout=60)
        assert (await watch.read()).status == SERVING
        with capture_logs() as logs:
            await asyncio.to_thread((tmp_path / "cinema.db").unlink)
            app.server.watch_storage.wake()
            assert (await watch.read()).status == NOT_SERVING
        assert any("No such file" in line.get("error", "") for line in logs)
        refused = await refusal(app.book(showtime.showtime_id, "A1", "A2"))
        assert refused.reason == "STORAGE_UNAVAILABLE"
        watch.cancel()


async def test_a_database_file_that_is_replaced(tmp_path: Path) -> None:
    """SQLite itself says only that it may not write to it."""
    async with running(f"sqlite+aiosqlite:///{tmp_path}/cinema.db") as app:
        watch = health_pb2_grpc.HealthStub(app.channel).Watch(health_pb2.HealthCheckRequest(), timeout=60)
        assert (await watch.read()).status == SERVING
        (tmp_path / "copy.db").write_bytes((tmp_path / "cinema.db").read_bytes())
        with capture_logs() as logs:
            (tmp_path / "copy.db").replace(tmp_path / "cinema.db")
            app.server.watch_storage.wake()
            assert (await watch.read()).status == NOT_SERVING
        assert any("file was replaced" in line.get("error", "") for line in logs)
        watch.cancel()


async def test_a_server_that_stops_does_not_turn_healthy_again(app: App) -> None:
    """Not even when storage is found available a moment later."""
    assert await statuses(app) == {SERVING}
    app.server.watch_storage.wake()
    await app.server.announce_stop()
    assert await statuses(app) == {NOT_SERVING}


async def test_an_unknown_service(app: App) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await health_pb2_grpc.HealthStub(app.channel).Check(health_pb2.HealthCheckRequest(service="none"))
    assert raised.value.code() == grpc.StatusCode.NOT_FOUND


async def test_a_name_that_is_too_long_is_refused(app: App) -> None:
    """A stream keeps its request, and one client may open thousands."""
    health, longest = health_pb2_grpc.HealthStub(app.channel), "x" * 997
    watch = health.Watch(health_pb2.HealthCheckRequest(service=longest), timeout=60)
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    watch.cancel()
    too_long = health_pb2.HealthCheckRequest(service=longest + "x")
    for call in (health.Check(too_long), health.Watch(too_long).read()):
        refused = await refusal(call)
        assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    reflection = ServerReflectionStub(app.channel)
    requests = [ServerReflectionRequest(file_containing_symbol=longest + "x")]
    assert (await refusal(reflection.ServerReflectionInfo(iter(requests)).read())).reason == "INVALID_REQUEST"
