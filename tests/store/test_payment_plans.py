"""How refunds that may still fail are found among all that ever were, and charges that are named."""

import pytest
from sqlalchemy import text

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.ledger_reader import CHARGES, among
from cinema_grpc.adapters.database.payment_store import _due
from tests.builders import NOW


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_an_index_finds_refunds_that_are_watched(database_url: str) -> None:
    """There are few of them, and a pass looks every five seconds."""
    database, due = Database(database_url), schema.refund.c.due_time
    async with database.engine.connect() as connection:
        query = _due(schema.refund, schema.WATCHED_REFUND, 20).where(due <= NOW)
        compiled = query.compile(connection.sync_engine, compile_kwargs={"literal_binds": True})
        steps = [row.detail for row in await connection.execute(text(f"EXPLAIN QUERY PLAN {compiled}"))]
    await database.close()
    assert steps[0] == "SEARCH refund USING INDEX refund_watched_index (due_time<?)"


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_the_charges_that_are_named_are_hashed(database_url: str) -> None:
    """So a page takes as long for 100,000 as for one."""
    database, attempt = Database(database_url), schema.payment_attempt.c
    async with database.engine.connect() as connection:
        query = CHARGES.where(among(database, attempt.provider_id, ["pi_1"])).order_by(attempt.attempt_id).limit(5)
        compiled = query.compile(connection.sync_engine, compile_kwargs={"literal_binds": True})
        plan = "\n".join(row[0] for row in await connection.execute(text(f"EXPLAIN {compiled}")))
    await database.close()
    assert "hashed SubPlan" in plan, plan
    assert "Sort" not in plan, plan
