"""How the box office locks and loads showtimes, bookings, stored responses and holds: by indexes."""

from itertools import pairwise

import asyncpg
import pytest

from cinema_grpc.adapters.database import booking_reader, desk_reader
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.postgresql import PARAMETERS
from cinema_grpc.adapters.database.statements import read_statements
from cinema_grpc.domain.booking import BookingStatus
from tests.builders import FakeClock
from tests.database import furnish
from tests.postgresql import libpq_url, make_tables
from tests.store.test_booking_lists import booking, write

NAMES = read_statements("sqlite")["load"].names
TABLES = {"showtime", "booking", "seat_claim", "stored", "auditorium", "ticket", "attempt", "refund", "block", "other"}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_an_index_finds_each_row_on_sqlite(database_url: str) -> None:
    database = Database(database_url)
    async with database.engine.connect() as connection:
        query = f"EXPLAIN QUERY PLAN {read_statements('sqlite')['load'].text}"
        steps = [row.detail for row in await connection.exec_driver_sql(query, dict.fromkeys(NAMES))]
    await database.close()
    assert [step for step in steps if step.startswith("SCAN") and step.split()[1] in TABLES] == []
    assert "booking_user_id_status_booking_id_index" in "\n".join(steps)
    assert "booking_unpaid_index" in "\n".join(steps)


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("rows", [0, 60])
async def test_an_index_finds_each_row_on_postgresql(empty_url: str, rows: int) -> None:
    """In new tables, and after the first time that the server analyzes them: a plan stays in use."""
    await make_tables(empty_url)
    connection = await asyncpg.connect(libpq_url(empty_url), server_settings=PARAMETERS)
    if rows:
        database = Database(empty_url, FakeClock())
        await furnish(database)
        settled = [booking(number, BookingStatus.CANCELLED) for number in range(rows)]
        await write(database, [*settled, *(booking(rows + each, BookingStatus.RESERVED) for each in range(rows))])
        await database.close()
        await connection.execute("ANALYZE")
    steps: list[str] = []
    for name in ("lock", "lock_auditoriums", "existing", "load"):
        statement = read_statements("postgresql")[name]
        await connection.execute(f"PREPARE {name}_it AS {statement.text}")
        nulls = ", ".join("NULL" for _ in statement.names)
        plan = await connection.fetch(f"EXPLAIN EXECUTE {name}_it ({nulls})")
        steps += [row[0].strip() for row in plan]
    await connection.close()
    assert [step for step in steps if "Seq Scan" in step or "Join Filter" in step] == []
    for table, condition in {
        "booking_user_id_status_booking_id_index": "(user_id = given_1.user_id)",
        "booking_unpaid_index": "(showtime_id = wanted_4.showtime_id) AND (hold_expire_time > ",
        "booking_pk": "(booking_id = booking.booking_id)",
    }.items():
        found = [after for before, after in pairwise(steps) if f"using {table} " in before]
        assert [step for step in found if condition in step], (table, found)


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
async def test_an_index_finds_lapsed_holds_on_postgresql(empty_url: str) -> None:
    """And ends the search at the present, however many holds there are."""
    await make_tables(empty_url)
    connection = await asyncpg.connect(libpq_url(empty_url), server_settings=PARAMETERS)
    await connection.execute(f"PREPARE lapsed AS {read_statements('postgresql')['lapsed'].text}")
    plan = await connection.fetch("EXPLAIN EXECUTE lapsed (NULL, NULL, NULL)")
    await connection.close()
    steps = "\n".join(row[0].strip() for row in plan)
    for index, column in (("booking_lapse_index", "hold_expire_time"), ("seat_block_lapse_index", "release_time")):
        assert f"using {index}" in steps
        assert f"Index Cond: ({column} <= " in steps


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
async def test_holds_of_all_customers_are_not_searched(empty_url: str) -> None:
    """PostgreSQL would, if it saw no hold when it analyzed the table, and it keeps a plan for long."""
    await make_tables(empty_url)
    database = Database(empty_url, FakeClock())
    await furnish(database)
    await write(database, [booking(number, BookingStatus.CANCELLED) for number in range(2_000)])
    connection = await asyncpg.connect(libpq_url(empty_url), server_settings=PARAMETERS)
    await connection.execute("VACUUM ANALYZE booking")
    await write(database, [booking(number, BookingStatus.RESERVED) for number in range(2_000, 4_000)])
    await database.close()
    statuses = (None, BookingStatus.RESERVED, BookingStatus.EXPIRED)
    queries = [
        booking_reader._page(status, of_showtime=of_showtime, after=after).postgresql
        for status in statuses
        for of_showtime in (False, True)
        for after in (False, True)
    ]
    queries += [
        desk_reader._page(status, of_seat=of_seat, after=after).postgresql
        for status in statuses
        for of_seat in (False, True)
        for after in (False, True)
    ]
    for number, statement in enumerate(queries):
        await connection.execute(f"PREPARE query_{number} AS {statement.text}")
        nulls = ", ".join("NULL" for _ in statement.names)
        plan = await connection.fetch(f"EXPLAIN EXECUTE query_{number} ({nulls})")
        steps = "\n".join(row[0] for row in plan)
        assert "booking_lapse_index" not in steps, (statement.text, steps)
        assert "Seq Scan on booking" not in steps, (statement.text, steps)
    await connection.close()
