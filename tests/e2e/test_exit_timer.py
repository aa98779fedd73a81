"""A server exits in bounded time after SIGTERM, even if a part of it hangs. Its exit code then is not 0."""

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
from cinema.v1 import catalog_service_pb2, catalog_service_pb2_grpc

from cinema_grpc.cli.exit_timer import NOT_CLEAN, SECONDS_BEYOND_GRACE
from tests.e2e.conftest import SECONDS, serving
from tests.postgresql import PostgresServer, in_thread, make_tables

SLACK = 15.0
"""Seconds that a busy machine may add."""


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this test, which freezes it."""
    server = PostgresServer()
    server.start()
    in_thread(make_tables(server.url()))
    yield server
    server.send(signal.SIGCONT)
    server.close()


async def test_a_database_server_that_is_frozen(own_server: PostgresServer, tmp_path: Path) -> None:
    """By SIGSTOP during a call: a single server exits in time, and so do a supervisor and its worker."""
    settings = {"CINEMA_DATABASE_URL": own_server.url(), "CINEMA_SHUTDOWN_SECONDS": "0.5"}
    request = catalog_service_pb2.ListMoviesRequest()
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(tmp_path, *each, **settings)) for each in ((), ("--workers", "1"))]
        channels = [grpc.aio.insecure_channel(each.address) for each in servers]
        stubs = [catalog_service_pb2_grpc.CatalogServiceStub(each) for each in channels]
        for stub in stubs:
            await stub.ListMovies(request, timeout=SECONDS)
        own_server.send(signal.SIGSTOP)
        for stub in stubs:
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.ListMovies(request, timeout=0.2)
        start = time.monotonic()
        for each in servers:
            each.process.send_signal(signal.SIGTERM)
        codes = [await asyncio.to_thread(each.process.wait, SECONDS) for each in servers]
        assert time.monotonic() - start < 0.5 + SECONDS_BEYOND_GRACE + SLACK
        assert codes == [NOT_CLEAN, NOT_CLEAN]
        for each in servers:
            assert each.wait_for("did not stop in time")
        for channel in channels:
            await channel.close()
