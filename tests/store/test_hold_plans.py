"""How the box office finds what an account has on hold, and the holds of a showtime that ended unpaid: by indexes."""

import asyncpg
import pytest

from cinema_grpc.adapters.database.box_office_store import _ON_HOLD, _UNPAID
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.postgresql import PARAMETERS
from cinema_grpc.adapters.database.prepared import Prepared, Rows
from tests.postgresql import libpq_url

QUESTIONS = pytest.mark.parametrize(
    ("statement", "row", "index"),
    [
        (_ON_HOLD, {"user_id": "ada"}, "booking_user_id_status_booking_id_index"),
        (_UNPAID, {"showtime_id": "s1", "known_hold_expire_time": 0}, "booking_unpaid_index"),
    ],
    ids=["on hold", "ended unpaid"],
)


@QUESTIONS
async def test_an_index_finds_it(database_url: str, statement: Prepared, row: dict[str, object], index: str) -> None:
    """In a database that is empty as in one that is full: the plan does not depend on that."""
    rows: Rows = [row, row]
    if database_url.startswith("postgresql"):
        connection = await asyncpg.connect(libpq_url(database_url), server_settings=PARAMETERS)
        text, values = statement.at_once(rows)
        plan = "\n".join(record[0] for record in await connection.fetch(f"EXPLAIN {text}", *values))
        await connection.close()
    else:
        database = Database(database_url)
        async with database.reading() as reading:
            ((text, given),) = statement.in_parts(rows)
            found = await reading.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", tuple(given))
            plan = "\n".join(each.detail for each in found)
        await database.close()
    assert f"{index}" in plan
    assert "Seq Scan" not in plan
    assert "SCAN booking" not in plan
