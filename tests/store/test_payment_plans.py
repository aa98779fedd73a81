"""How refunds that are owed or may still fail are found among all that ever were, and charges that are named."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.ledger_reader import CHARGES, among
from cinema_grpc.adapters.database.payment_store import SqlPaymentStore, _due
from tests.builders import NOW
from tests.database import writing
from tests.store.desk_rows import booking, furnished, refund, write


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


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_replicas_take_different_refunds(database_url: str) -> None:
    """While another replica takes one, others take the rest, without waiting: none is asked for twice."""
    async with furnished(database_url) as database:
        await write(database, schema.booking, [booking(number, "CANCELLED") for number in (1, 2)])
        attempt = {"status": "CHARGED", "request": "", "create_time": NOW, "due_time": NOW, "tries": 0}
        of = [{"attempt_id": f"t{number}", "booking_id": f"b{number:06}"} for number in (1, 2)]
        await write(database, schema.payment_attempt, [{**attempt, **each} for each in of])
        owed = [refund(number, number, 625, status="PENDING", attempt_id=f"t{number}") for number in (1, 2)]
        await write(database, schema.refund, owed)
        async with writing(database) as connection:
            await connection.exec_driver_sql("SELECT 1 FROM refund WHERE refund_id = 'r000001' FOR UPDATE")
            taken = await SqlPaymentStore(database).take_refunds(timedelta(), 10, lambda _: timedelta(hours=1))
            assert [each.refund_id for each in taken] == ["r000002"]
