"""What a call waits for is cancelled, and the call itself is not: it has to get an answer that it can act on."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from cinema.v1 import auth_service_pb2, showtime_service_pb2
from sqlalchemy.engine import Connection

from cinema_grpc.adapters.database.database import Database
from cinema_grpc.application.errors import StorageUnavailable
from tests.database import reading
from tests.faults import failing, make_breakable
from tests.rpc.conftest import PASSWORD, App, refusal


async def log_in(app: App, _: str) -> None:
    await app.auth.Login(auth_service_pb2.LoginRequest(username="ada", password=PASSWORD))


async def list_showtimes(app: App, _: str) -> None:
    await app.showtimes.ListShowtimes(showtime_service_pb2.ListShowtimesRequest(page_size=7))


async def book(app: App, showtime_id: str) -> None:
    await app.book(showtime_id, "A1", "A2")


@pytest.mark.parametrize("call", [log_in, list_showtimes, book])
async def test_statements_that_are_cancelled(app: App, call: Callable[[App, str], Awaitable[Any]]) -> None:
    """As by a timeout in the driver: STORAGE_UNAVAILABLE, and what serves calls lives on."""
    showtime_id = (await app.showtime()).showtime_id
    await app.customer()
    with failing(app.server.database, lambda _statement: True, error=asyncio.CancelledError) as failed:
        assert (await refusal(call(app, showtime_id))).reason == "STORAGE_UNAVAILABLE"
        assert failed
    await call(app, showtime_id)


@pytest.mark.parametrize("cancelled", ["BEGIN", "ROLLBACK"])
async def test_a_connection_whose_preparation_is_cancelled(postgresql_url: str, cancelled: str) -> None:
    """It can be used again, and is not left in a transaction."""
    # A connection that is left in a transaction stays so, and is counted.
    database = Database(f"{postgresql_url}&idle_in_transaction_session_timeout=0")
    make_breakable(database)

    def fails(statement: str) -> bool:
        return statement.startswith(cancelled)

    with failing(database, fails, error=asyncio.CancelledError), pytest.raises(StorageUnavailable):
        async with database.transaction():
            raise AssertionError(f"{cancelled} was not cancelled")
    async with asyncio.timeout(30):  # PostgreSQL shows a connection until it has noticed that it was closed
        while await database.transact(left_open):
            pass
    async with database.transaction():
        pass
    await database.close()


def left_open(connection: Connection) -> int:
    """Count the other connections to this database that were left in a transaction."""
    found = connection.exec_driver_sql(
        "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
        " AND datname = current_database() AND pid <> pg_backend_pid()"
    )
    count: int = found.scalar_one()
    return count


async def test_a_transaction_that_is_ended_as_the_database_is_closed(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cinema_grpc.adapters.database.database.SECONDS_TO_CLOSE", 0.05)
    database = Database(database_url)

    opened = asyncio.Event()

    async def hang() -> None:
        async with reading(database):
            opened.set()
            await asyncio.Event().wait()

    waiting = asyncio.create_task(database.run_to_completion(hang()))
    await asyncio.wait_for(opened.wait(), 30)
    await database.close()
    with pytest.raises(StorageUnavailable):
        await waiting
