"""A disk that is full: writes are refused as STORAGE_UNAVAILABLE, and health says so until writes work again.

Here files may not grow beyond a limit (RLIMIT_FSIZE), which holds for any user.
"""

import resource
import secrets
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from cinema.v1 import catalog_service_pb2
from google.protobuf.duration_pb2 import Duration
from grpc_health.v1 import health_pb2, health_pb2_grpc
from sqlalchemy import insert

from cinema_grpc.adapters.database import schema
from tests.builders import NOW
from tests.conftest import Lend
from tests.database import writing
from tests.postgresql import SPEED, PostgresServer, in_thread, make_tables
from tests.rpc.conftest import App, refusal, running

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
MEBIBYTE = 1024 * 1024


def limit_own_files(size: int) -> None:
    """Keep files that this process writes to from growing beyond a size; -1 is no limit."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def synopsis() -> str:
    """Write something that can't be compressed."""
    return secrets.token_hex(2_400)


async def enter_movie(app: App) -> None:
    """Write some 5 KB."""
    request = catalog_service_pb2.CreateMovieRequest(
        title="A Film", runtime=Duration(seconds=7_200), synopsis=synopsis()
    )
    await app.catalog.CreateMovie(request, metadata=await app.staff())


async def enter_movies(app: App) -> None:
    """Write until that fails, which it does before long."""
    for _ in range(50):
        await enter_movie(app)


async def check(app: App, limit: Callable[[int], None], size: int) -> None:
    """Write until the disk is full, and again when there is room."""
    await enter_movie(app)
    watch = health_pb2_grpc.HealthStub(app.channel).Watch(health_pb2.HealthCheckRequest(), timeout=20)
    assert (await watch.read()).status == SERVING
    limit(size)
    try:
        assert (await refusal(enter_movies(app))).reason == "STORAGE_UNAVAILABLE"
        app.server.watch_storage.wake()
        assert (await watch.read()).status == NOT_SERVING
    finally:
        limit(-1)
    app.server.watch_storage.wake()
    assert (await watch.read()).status == SERVING
    await enter_movie(app)
    watch.cancel()


async def test_sqlite(lend: Lend, tmp_path: Path) -> None:
    with lend("sqlite", tmp_path) as url:
        async with running(url) as app:
            await check(app, limit_own_files, (tmp_path / "cinema.db").stat().st_size)


async def test_postgresql() -> None:
    """The limit is the size of a file of its write-ahead log; beyond that its server would end."""
    with closing(PostgresServer((*SPEED, "min_wal_size=2MB"), initdb=("--wal-segsize=1",))) as server:
        server.start()
        in_thread(make_tables(server.url()))
        async with running(server.url()) as app:
            movies = [
                {
                    "movie_id": f"m{number}",
                    "title": "A Film",
                    "runtime": timedelta(hours=2),
                    "rating": "",
                    "synopsis": synopsis(),
                    "create_time": NOW,
                    "archived": False,
                }
                for number in range(400)
            ]
            async with writing(app.server.database) as connection:
                await connection.execute(insert(schema.movie), movies)
            await check(app, server.limit_files, MEBIBYTE)
