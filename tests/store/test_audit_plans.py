"""The audit of a large auditorium that is sold out takes seconds, and that of many showtimes too."""

import asyncio
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.audit import _snapshot, audit
from cinema_grpc.adapters.database.column_types import microseconds
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.event_store import SqlEventStore
from cinema_grpc.adapters.database.invariants import invariants
from cinema_grpc.cli.import_catalog import import_catalog
from cinema_grpc.config import Settings
from tests.database import writing
from tests.postgresql import TEMPLATE, execute, with_database
from tests.store.desk_rows import booking, claims, furnished, write
from tests.store.test_import_store import write as write_files

SECONDS = 30
"""It takes 2. A plan that compares each seat of a booking with each of the auditorium takes minutes."""
ROWS = [f"{first}{second}" for first in "AB" for second in "ABCDEFGHIJKLMNOPQRST"]
SEATS_A_ROW = 50
OURS = "SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace"


async def test_of_two_thousand_bookings(database_url: str) -> None:
    labels = [f"{row}{number}" for row in ROWS for number in range(1, SEATS_A_ROW + 1)]
    bookings = [
        booking(number, seats=[[label, 0, "standard", "adult", "", True]]) for number, label in enumerate(labels)
    ]
    plan = {"rows": json.dumps([[row, [SEATS_A_ROW]] for row in ROWS]), "total_seats": len(labels)}
    async with furnished(database_url) as database:
        async with writing(database) as connection:
            await connection.execute(
                update(schema.auditorium).where(schema.auditorium.c.auditorium_id == "a1").values(plan)
            )
        await write(database, schema.booking, bookings)
        await write(database, schema.seat_claim, claims(bookings))
        async with asyncio.timeout(SECONDS):
            report = await audit(database)
    broken = {finding.rule for finding in report.findings if finding.breaches and "seat of a booking" in finding.rule}
    assert broken == set()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_tables_without_statistics_are_read_once(database_url: str, tmp_path: Path) -> None:
    """As they are after pg_restore. No rule looks for a showtime among all the others, for each of them."""
    number, name = 400, "cinema_test_without_statistics"
    await execute(database_url, f"DROP DATABASE IF EXISTS {name}")
    await execute(database_url, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    url = with_database(database_url, name)  # no other test gets its tables, whose statistics stay as they are
    await import_catalog(Settings(database_url=url), write_files(tmp_path, number), dry_run=False)
    database = Database(url)
    while await SqlEventStore(database).assign_positions(number):
        pass
    await execute(url, f"ANALYZE; DELETE FROM pg_statistic WHERE starelid IN ({OURS})")  # noqa: S608 (a text of ours)
    seen = {}
    async with _snapshot(database) as connection:
        for each in invariants("postgresql"):
            query = re.sub(":(now|later)", str(microseconds(datetime.now(UTC))), each.breaches)
            explained = await connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}")
            seen[each.rule] = rows_seen(explained.scalar_one()[0]["Plan"])
    await database.close()
    await execute(database_url, f"DROP DATABASE {name}")
    assert {rule: rows for rule, rows in seen.items() if rows > number**2 / 4} == {}


def rows_seen(plan: dict[str, Any]) -> float:
    """Return how many rows a plan went through, kept ones and others."""
    kinds = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Join Filter")
    own = sum(plan.get(kind, 0) for kind in kinds) * plan["Actual Loops"]
    return float(own + sum(map(rows_seen, plan.get("Plans", []))))
