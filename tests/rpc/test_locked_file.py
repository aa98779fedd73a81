"""An SQLite file that another process has locked: callers wait for a bounded time, and health says so meanwhile."""

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from cinema.v1 import auth_service_pb2, catalog_service_pb2, showtime_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.conftest import Lend
from tests.rpc.conftest import PASSWORD, App, refusal, running

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
LONGEST_WAIT = 2.0
SLACK = 6.0
"""In seconds, what a busy machine may add. With it, five calls that waited one after the other would take too long."""


@contextmanager
def locked(file: Path, *statements: str) -> Iterator[None]:
    """Lock a file by statements of another connection."""
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        for statement in statements:
            other.execute(statement).fetchall()
        yield
        other.execute("ROLLBACK")


async def waited(app: App, showtime_id: str) -> float:
    """Make calls of several kinds, one shortly after the other; return how long the slowest waited for its refusal."""

    async def refused(number: int) -> float:
        await asyncio.sleep(0.05 * number)
        login = auth_service_pb2.LoginRequest(username="ada", password=PASSWORD)
        start = time.monotonic()
        call = app.book(showtime_id, f"A{number + 1}") if number % 2 else app.auth.Login(login)
        assert (await refusal(call)).reason in {"STORAGE_UNAVAILABLE", "OVERLOADED"}
        return time.monotonic() - start

    return max(await asyncio.gather(*(refused(number) for number in range(10))))


@pytest.mark.parametrize("statements", [("BEGIN EXCLUSIVE",), ("BEGIN", "SELECT * FROM movie")])
async def test_calls_and_health(lend: Lend, tmp_path: Path, statements: tuple[str, ...]) -> None:
    """Whether the other process writes, or reads, which keeps ours from committing."""
    with lend("sqlite", tmp_path) as url:
        async with running(url, longest_wait_seconds=LONGEST_WAIT) as app:
            # A refusal that rests on committed seats needs no commit, so no booking here may leave a gap.
            showtime_id = (await app.showtime(policy=showtime_pb2.SEAT_GAP_POLICY_ALLOW)).showtime_id
            await app.customer()
            watch = health_pb2_grpc.HealthStub(app.channel).Watch(health_pb2.HealthCheckRequest(), timeout=60)
            assert (await watch.read()).status == SERVING
            with locked(tmp_path / "cinema.db", *statements):
                assert await waited(app, showtime_id) < LONGEST_WAIT + SLACK
                app.server.watch_storage.wake()
                assert (await watch.read()).status == NOT_SERVING
            app.server.watch_storage.wake()
            assert (await watch.read()).status == SERVING
            assert (await app.book(showtime_id, "A1", "A2")).seats
            await app.catalog.ListMovies(catalog_service_pb2.ListMoviesRequest())
            watch.cancel()


async def test_a_lock_that_is_short_is_waited_for(lend: Lend, tmp_path: Path) -> None:
    """Also after one that was too long."""
    file = tmp_path / "cinema.db"
    with lend("sqlite", tmp_path) as url:
        async with running(url, longest_wait_seconds=LONGEST_WAIT) as app:
            showtime_id = (await app.showtime()).showtime_id
            await app.customer()
            with locked(file, "BEGIN EXCLUSIVE"):
                assert (await refusal(app.book(showtime_id, "A1"))).reason == "STORAGE_UNAVAILABLE"
            await app.book(showtime_id, "A1", "A2")
            with locked(file, "BEGIN EXCLUSIVE"):
                booking = asyncio.create_task(app.book(showtime_id, "A3", "A4"))
                await asyncio.sleep(0.1)
            assert (await booking).seats
