"""What bounds the use of PostgreSQL, each shown at work: connections, statements, transactions; and never a COMMIT."""

import asyncio
import time
from contextlib import closing

import pytest
from sqlalchemy import text
from sqlalchemy.engine import Connection

from cinema_grpc.adapters.database.database import Database
from cinema_grpc.application.errors import StorageUnavailable
from cinema_grpc.domain.booking import Booking
from tests.application.conftest import open_app
from tests.postgresql import PostgresServer, execute, fetch, make_tables

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

OURS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'limited'"


async def test_statements(database_url: str) -> None:
    """One that takes longer is broken off, and the connection goes on."""
    database = Database(f"{database_url}&statement_timeout=500")
    with pytest.raises(StorageUnavailable):
        await database.transact(lambda connection: connection.execute(text("SELECT pg_sleep(10)")).close())
    await database.check()
    await database.close()


async def test_idle_transactions(database_url: str) -> None:
    """One that idles is ended, and its locks are released."""
    database = Database(f"{database_url}&idle_in_transaction_session_timeout=100")

    def lock_and_idle(connection: Connection) -> None:
        connection.execute(text("LOCK TABLE showtime")).close()
        time.sleep(0.3)
        connection.execute(text("SELECT 1")).close()

    with pytest.raises(StorageUnavailable):
        await database.transact(lock_and_idle)
    await execute(database_url, "SET lock_timeout = '10s'; LOCK TABLE showtime")
    await database.close()


async def test_the_number_of_connections(database_url: str) -> None:
    """However many reads and commands there are; pg_stat_activity shows their application_name."""
    async with open_app(f"{database_url}&application_name=limited", pool_size=8) as app:
        asked = [app.reader.find(f"b{number:04}") for number in range(60)]
        held = [app.hold(f"A{number}", at=f"s{number % 3 + 1}") for number in range(1, 11)]
        await asyncio.gather(*asked, *held)
        ((connections,),) = await fetch(database_url, OURS)
        assert 1 < connections <= 8


async def test_connections_that_were_lost(database_url: str) -> None:
    """Are replaced before they are used: the next caller notices nothing."""
    async with open_app(f"{database_url}&application_name=limited") as app:
        await app.hold("A1")
        ended = await fetch(database_url, OURS.replace("count(*)", "pg_terminate_backend(pid)"))
        assert ended
        while await fetch(database_url, OURS) != [(0,)]:  # noqa: ASYNC110 (the server's doing)
            await asyncio.sleep(0.01)
        assert isinstance(await app.hold("A2"), Booking)


async def test_no_limit_cuts_a_commit_short(database_url: str) -> None:  # noqa: ARG001 (a server of its own)
    """It waits for a standby for as long as that takes, here four times as long as any limit."""
    with closing(PostgresServer()) as server:
        await asyncio.to_thread(server.start)
        await make_tables(server.url())
        limits = "&statement_timeout=1000&lock_timeout=1000&idle_in_transaction_session_timeout=1000"
        async with open_app(server.url() + limits) as app:
            await app.hold("A1", at="s2")
            await execute(server.url(), "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
            await execute(server.url(), "SELECT pg_reload_conf()")
            waits = "SELECT query FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
            held: list[asyncio.Task[Booking]] = []
            while not await fetch(server.url(), waits):  # until the server has heard of it
                held.append(asyncio.create_task(app.hold(f"A{len(held) + 1}")))
                await asyncio.sleep(0.05)
            await asyncio.sleep(4)
            assert await fetch(server.url(), waits) == [("COMMIT",)]
            assert not held[-1].done()
            await execute(server.url(), "ALTER SYSTEM SET synchronous_standby_names = ''")
            await execute(server.url(), "SELECT pg_reload_conf()")
            assert all(isinstance(each, Booking) for each in await asyncio.gather(*held))
