"""Stored responses are kept for a day, then deleted in small batches."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from cinema_grpc.adapters.database import retention
from cinema_grpc.adapters.database.retention import RESPONSES_KEPT_FOR, delete_expired
from cinema_grpc.adapters.database.schema import stored_response
from tests.application.commands import idempotent_call
from tests.application.conftest import App
from tests.database import reading, writing

MICROSECOND = timedelta(microseconds=1)


async def test_a_stored_response_is_deleted_after_a_day_and_not_before(app: App) -> None:
    held = await app.hold("A1", call=idempotent_call("r1"))
    app.clock.advance(MICROSECOND)
    await app.hold("A2", call=idempotent_call("r2"))
    app.clock.advance(RESPONSES_KEPT_FOR - 2 * MICROSECOND)
    await delete_expired(app.database)
    assert await app.hold("A9", call=idempotent_call("r1")) == held
    app.clock.advance(MICROSECOND)
    await delete_expired(app.database)
    assert [row["request_id"] for row in await app.rows("stored_response")] == ["r2"]
    assert (await app.hold("A9", call=idempotent_call("r1"))).labels == ("A9",)


async def test_many_passes_at_once(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """None waits for another or fails, and together they delete every expired row."""
    monkeypatch.setattr(retention, "ROWS_A_BATCH", 7)
    for number in range(10):
        await app.hold(f"A{number + 1}", call=idempotent_call(f"young {number}"))
    async with writing(app.database) as connection:
        await connection.execute(
            text("INSERT INTO stored_response"
                 " SELECT caller, 'old ' || n, request_id, digest, response, create_time - :age"
                 " FROM stored_response, (SELECT 1 AS n UNION SELECT 2 UNION SELECT 3 UNION SELECT 4) AS numbers"),
            {"age": (RESPONSES_KEPT_FOR + MICROSECOND) // MICROSECOND},
        )  # fmt: skip
    assert await retention._delete(app.database, stored_response.c.create_time, RESPONSES_KEPT_FOR) == 7
    passes = [delete_expired(app.database) for _ in range(4)]
    await asyncio.gather(*passes, app.hold("A1", at="s2", call=idempotent_call("new 0", caller="bob")))
    await delete_expired(app.database)
    kept = sorted(row["request_id"] for row in await app.rows("stored_response"))
    assert kept == ["new 0", *(f"young {number}" for number in range(10))]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_expired_responses_are_found_by_an_index(app: App) -> None:
    async with reading(app.database) as connection:
        query = "SELECT caller FROM stored_response WHERE create_time <= 7 ORDER BY create_time LIMIT 5"
        (step,) = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}")
    assert "USING INDEX stored_response_create_time_index" in step.detail
