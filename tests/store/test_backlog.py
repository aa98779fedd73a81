"""What waits in the database is counted by indexes, up to a bound."""

from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from cinema_grpc.adapters.database.backlog_reader import (
    COMMITS,
    FAILED_REFUNDS,
    PAYMENTS,
    REFUNDS,
    REFUNDS_AT_PROVIDER,
    SqlBacklogReader,
)
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.event_store import SqlEventStore
from cinema_grpc.adapters.database.postgresql import PARAMETERS
from cinema_grpc.adapters.database.statements import Query
from cinema_grpc.application.backlog import MAX_COUNTED, Backlog, Waiting
from tests.builders import NOW, FakeClock
from tests.postgresql import libpq_url, make_tables

INDEXES = [
    (REFUNDS, "refund_"),
    (REFUNDS_AT_PROVIDER, "refund_"),
    (FAILED_REFUNDS, "refund_"),
    (PAYMENTS, "payment_attempt_open_index"),
    (COMMITS, "event_outbox"),
]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("query", "index"), INDEXES)
async def test_an_index_finds_them_on_sqlite(database_url: str, query: Query, index: str) -> None:
    database = Database(database_url)
    statement = query.sqlite
    async with database.engine.connect() as connection:
        found = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement.text}", dict(statement.constants))
        steps = "\n".join(row.detail for row in found)
    await database.close()
    assert index in steps
    assert "TEMP B-TREE" not in steps


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(("query", "index"), INDEXES)
async def test_an_index_finds_them_on_postgresql(empty_url: str, query: Query, index: str) -> None:
    await make_tables(empty_url)
    statement = query.postgresql
    connection = await asyncpg.connect(libpq_url(empty_url), server_settings=PARAMETERS)
    await connection.execute(f"PREPARE it AS {statement.text}")
    values = ", ".join(str(each) for each in statement.values({}))
    plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN EXECUTE it ({values})"))
    await connection.close()
    assert index in plan
    assert "Seq Scan" not in plan
    assert "Sort" not in plan


async def test_commits_whose_events_wait(database_url: str) -> None:
    """Where positions are given later; here a server of another kind has left the rows."""
    clock = FakeClock()
    database = Database(database_url, clock)
    reader = SqlBacklogReader(database, SqlEventStore(database))
    assert await reader.read() == Backlog()

    def leave(connection: Any) -> None:
        for number in range(3):
            time = int(NOW.timestamp() * 1_000_000) + number
            connection.execute(
                text("INSERT INTO event_outbox VALUES (:time, 'a showtime', :number, '[]')"),
                {"time": time, "number": number},
            )

    await database.transact(leave)
    clock.advance(timedelta(seconds=7))
    found = await reader.read()
    await database.close()
    assert found.commits == Waiting(3, 7)
    assert (found.refunds, found.payments, found.position) == (Waiting(), Waiting(), 0)


def test_the_bound() -> None:
    """A reading of a large backlog stays cheap."""
    for query, _ in INDEXES:
        assert MAX_COUNTED in query.postgresql.constants.values()
