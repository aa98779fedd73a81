"""Reads that wait at the same time share a connection; one that fails or is cancelled does not affect the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import event, literal_column, select

from cinema_grpc.adapters.database.account_store import SqlAccountStore
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.driver import Read
from cinema_grpc.adapters.database.statements import Query
from cinema_grpc.application.errors import Overloaded, StorageUnavailable
from cinema_grpc.domain.account import Role, User
from tests.builders import NOW, FakeClock
from tests.database import writing
from tests.postgresql import execute

END_ALL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
ADA = User("user-1", "ada", "Ada Lovelace", "ada@example.com", Role.CUSTOMER, NOW)
MANY = 200
ONE = Query(select(literal_column("1").label("one")))
FAULTY = Query(select(literal_column("no_such_column").label("missing")))


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, FakeClock())
    await SqlAccountStore(database).add(ADA, "hash")
    yield database
    await database.close()


def record_checkouts(database: Database) -> list[object]:
    """Return a list that grows by an entry for each connection that is taken from the pool."""
    taken: list[object] = []
    event.listen(database.engine.sync_engine, "checkout", lambda *_: taken.append(None))
    return taken


async def test_concurrent_reads_each_get_their_own_answer(database: Database) -> None:
    store = SqlAccountStore(database)
    found = await asyncio.gather(*(store.find(ADA.user_id if each % 2 else f"unknown {each}") for each in range(MANY)))
    assert found == [None, ADA] * (MANY // 2)


async def test_concurrent_reads_take_few_connections(database: Database) -> None:
    taken = record_checkouts(database)
    store = SqlAccountStore(database)
    await asyncio.gather(*(store.find(ADA.user_id) for _ in range(MANY)))
    assert len(taken) <= MANY / database.driver.reads_per_batch + database.driver.readers


async def test_cancelled_reads_do_not_run(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    run: list[Read] = []
    read = database.driver.read

    async def recording(reads: list[Read], *arguments: Any) -> Any:
        run.extend(reads)
        return await read(reads, *arguments)

    monkeypatch.setattr(database.driver, "read", recording)
    reads = [asyncio.create_task(database.read(ONE, number=number)) for number in range(MANY)]
    await asyncio.sleep(0)
    for each in reads[1:]:
        each.cancel()
    await reads[0]
    await database.read(ONE, number=MANY)
    assert [each.parameters["number"] for each in run] == [0, MANY]


async def test_a_faulty_query_fails_alone(database: Database) -> None:
    store = SqlAccountStore(database)
    *found, failure = await asyncio.gather(
        *(store.find(ADA.user_id) for _ in range(MANY)),
        database.read(FAULTY),
        return_exceptions=True,
    )
    assert isinstance(failure, Exception)
    assert found == [ADA] * MANY


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_transaction_has_its_turn_among_any_number_of_reads(database: Database) -> None:
    store = SqlAccountStore(database)
    reads = [asyncio.create_task(store.find(ADA.user_id)) for _ in range(MANY * 20)]
    await asyncio.sleep(0)
    await database.transact(lambda connection: connection.execute(select(literal_column("1"))).close())
    assert any(not each.done() for each in reads)
    assert await asyncio.gather(*reads) == [ADA] * MANY * 20


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_lost_connections_are_replaced(database: Database, database_url: str) -> None:
    store = SqlAccountStore(database)
    assert await store.find(ADA.user_id) == ADA
    await execute(database_url, END_ALL)
    assert await asyncio.gather(*(store.find(ADA.user_id) for _ in range(MANY))) == [ADA] * MANY


@pytest.mark.parametrize("where", ["sqlite+aiosqlite:///{}/no/folder.db", "postgresql+asyncpg://nobody@/none?host={}"])
async def test_all_reads_fail_at_once_if_the_database_does_not_answer(where: str, tmp_path: Path) -> None:
    database = Database(where.format(tmp_path), FakeClock())
    answers = await asyncio.gather(*(database.read(ONE) for _ in range(MANY)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {StorageUnavailable}
    await database.close()


async def test_a_read_that_would_wait_too_long_is_refused(database_url: str) -> None:
    database = Database(database_url, FakeClock(), longest_wait=0.0)
    await database.read(ONE)
    database._turns.admission.record(1.0)
    answers = await asyncio.gather(*(database.read(ONE) for _ in range(MANY)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, Overloaded)]
    assert len(refused) == MANY - database.driver.readers
    await database.close()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_an_admitted_read_is_not_refused_later(database_url: str) -> None:
    """Even if all connections are in use by then, and a turn takes longer than a caller may wait."""
    database = Database(database_url, longest_wait=0.0)
    async with AsyncExitStack() as in_use:
        for _ in range(database.driver.connections):
            await in_use.enter_async_context(database._turn(must_run=True))
        database._turns.admission.record(1.0)
        read = asyncio.create_task(database.read(ONE))
        await asyncio.wait([read], timeout=0.1)
        assert not read.done()
    _, rows = await read
    assert rows == [(1,)]
    await database.close()


async def test_idle_time_is_not_taken_for_the_duration_of_a_read(database_url: str) -> None:
    database = Database(database_url, FakeClock(), longest_wait=0.5)
    assert len(await asyncio.gather(*(database.read(ONE) for _ in range(20)))) == 20
    await asyncio.sleep(0.6)
    assert len(await asyncio.gather(*(database.read(ONE) for _ in range(20)))) == 20
    await database.close()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_reads_that_outlast_the_closing_of_the_database_fail(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cinema_grpc.adapters.database.database.SECONDS_TO_CLOSE", 0.2)
    store = SqlAccountStore(database)
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(writing(database))
        await connection.exec_driver_sql("LOCK TABLE account IN ACCESS EXCLUSIVE MODE")
        reads = [asyncio.create_task(store.find(ADA.user_id)) for _ in range(20)]
        await asyncio.sleep(0)
        await database.close()
        answers = await asyncio.gather(*reads, return_exceptions=True)
    assert {type(answer) for answer in answers} == {StorageUnavailable}
