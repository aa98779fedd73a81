"""Stored responses are kept for a day, then deleted in small batches."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from cinema_grpc.adapters.database.old_records import SqlOldRecords
from cinema_grpc.application import retention
from cinema_grpc.application.retention import REQUESTS_KEPT_FOR, delete_expired
from tests.application.conftest import House, once

MICROSECOND = timedelta(microseconds=1)


async def test_a_stored_response_is_deleted_after_a_day_and_not_before(house: House) -> None:
    held = await house.hold("A1", once=once("r1"))
    house.clock.advance(MICROSECOND)
    await house.hold("A2", once=once("r2"))
    house.clock.advance(REQUESTS_KEPT_FOR - 2 * MICROSECOND)
    records = SqlOldRecords(house.database)
    await delete_expired(records)
    assert await house.hold("A9", once=once("r1")) == held
    house.clock.advance(MICROSECOND)
    await delete_expired(records)
    assert [row["request_id"] for row in await house.rows("request")] == ["r2"]
    assert (await house.hold("A9", once=once("r1"))).seats == ("A9",)


async def test_many_passes_at_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """None waits for another or fails, and together they delete every expired row."""
    monkeypatch.setattr(retention, "ROWS_A_BATCH", 7)
    for number in range(10):
        await house.hold(f"A{number + 1}", once=once(f"young {number}"))
    async with house.database.writing() as connection:
        await connection.execute(
            text("INSERT INTO request SELECT caller, 'old ' || n, request_id, content, outcome, create_time - :age"
                 " FROM request, (SELECT 1 AS n UNION SELECT 2 UNION SELECT 3 UNION SELECT 4) AS numbers"),
            {"age": (REQUESTS_KEPT_FOR + MICROSECOND) // MICROSECOND},
        )  # fmt: skip
    records = SqlOldRecords(house.database)
    passes = [delete_expired(records) for _ in range(4)]
    await asyncio.gather(*passes, *(house.hold("A1", at="s2", once=once(f"new {n}", caller="bob")) for n in range(1)))
    await delete_expired(records)
    kept = sorted(row["request_id"] for row in await house.rows("request"))
    assert kept == ["new 0", *(f"young {number}" for number in range(10))]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_expired_requests_are_found_by_an_index(house: House) -> None:
    async with house.database.reading() as connection:
        query = "SELECT caller FROM request WHERE create_time <= 7 ORDER BY create_time LIMIT 5"
        (step,) = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}")
    assert "USING INDEX request_create_time_index" in step.detail
