"""A row is deleted without a search through a whole table for rows that may refer to it."""

from typing import Any

from sqlalchemy import delete, insert, text

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.database import Database
from tests.builders import NOW, FakeClock
from tests.database import CUSTOMERS, SHOWTIMES, furnish, writing

DELETED_FROM = {"seat_block", "seat_claim", "session", "sign_in", "stored_response", "event", "event_outbox"}
"""The tables whose rows are deleted; other rows stay for ever."""


def test_an_index_finds_the_rows_that_refer_to_a_deleted_one() -> None:
    for table in schema.metadata.tables.values():
        indexed = [next(iter(index.columns)).name for index in table.indexes]
        for key in table.foreign_keys:
            if key.column.table.name in DELETED_FROM:
                assert key.parent.name in indexed, f"{table.name}.{key.parent.name}"


async def test_a_block_is_deleted_without_a_search_through_all_claims(database_url: str) -> None:
    """Customers and sales wait meanwhile, and there may be millions of claims."""
    database = Database(database_url, FakeClock())
    await furnish(database)
    block: dict[str, Any] = {
        "block_id": "b1",
        "showtime_id": SHOWTIMES[0],
        "kind": "HOUSE",
        "reason": "",
        "seats": '["A1"]',
        "seat_count": 1,
        "create_time": NOW,
        "created_by": CUSTOMERS[0],
    }
    async with writing(database) as connection:
        await connection.execute(insert(schema.seat_block).values(block))
        if database.driver.shared:
            await connection.execute(delete(schema.seat_block))
            searched = text("SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relname = 'seat_claim'")
            assert (await connection.execute(searched)).scalar_one() == 0
        else:
            plan = await connection.exec_driver_sql("EXPLAIN QUERY PLAN DELETE FROM seat_block WHERE block_id = 'b1'")
            steps = [row.detail for row in plan]
            assert any(step.startswith("SEARCH seat_claim USING COVERING INDEX") for step in steps), steps
    await database.close()
