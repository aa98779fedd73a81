"""Those who look into the database share what a look costs, and one who has gone, or fails, spoils it for nobody."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import event

from cinema_grpc.adapters.database.account_store import SqlAccountStore
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.postgresql import PEEKS_A_TURN
from cinema_grpc.adapters.database.prepared import Ask, Question
from cinema_grpc.application.errors import Overloaded, StorageUnavailable
from cinema_grpc.domain.account import Role, User
from tests.builders import NOW, FakeClock
from tests.postgresql import execute

END_ALL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
ADA = User("user-1", "ada", "Ada Lovelace", "ada@example.com", Role.CUSTOMER, NOW)
MANY = 200


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, FakeClock())
    await SqlAccountStore(database).add(ADA, "hash")
    yield database
    await database.close()


def connections_taken(database: Database) -> list[object]:
    """Give a list that grows by an entry for each connection that is taken from the pool."""
    taken: list[object] = []
    event.listen(database.engine.sync_engine, "checkout", lambda *_: taken.append(None))
    return taken


async def test_many_at_once_each_get_their_own_answer(database: Database) -> None:
    store = SqlAccountStore(database)
    found = await asyncio.gather(*(store.find(ADA.user_id if each % 2 else f"nobody {each}") for each in range(MANY)))
    assert found == [None, ADA] * (MANY // 2)


async def test_many_at_once_take_few_connections(database: Database) -> None:
    taken = connections_taken(database)
    store = SqlAccountStore(database)
    await asyncio.gather(*(store.find(ADA.user_id) for _ in range(MANY)))
    assert len(taken) <= MANY / PEEKS_A_TURN + database.driver.conversations


async def test_those_who_have_gone_are_not_asked_for(database: Database) -> None:
    asked: list[int] = []

    def noting(number: int) -> Ask:
        def ask(_: datetime) -> list[Question]:
            asked.append(number)
            return []

        return ask

    peeks = [asyncio.create_task(database.peek(noting(number))) for number in range(MANY)]
    await asyncio.sleep(0)
    for peek in peeks[1:]:
        peek.cancel()
    await peeks[0]
    await database.peek(noting(MANY))
    assert asked == [0, MANY]


async def test_a_question_that_can_not_be_asked_is_a_fault_of_its_own_alone(database: Database) -> None:
    def fault(_: datetime) -> list[Question]:
        raise LookupError("no such question")

    store = SqlAccountStore(database)
    *found, fault_found = await asyncio.gather(
        *(store.find(ADA.user_id) for _ in range(MANY)),
        database.peek(fault),
        return_exceptions=True,
    )
    assert isinstance(fault_found, LookupError)
    assert found == [ADA] * MANY


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_transaction_has_its_turn_among_any_number_who_look(database: Database) -> None:
    store = SqlAccountStore(database)
    looking = [asyncio.create_task(store.find(ADA.user_id)) for _ in range(MANY * 2)]
    await asyncio.sleep(0)
    async with database.writing():
        assert any(not each.done() for each in looking)
    assert await asyncio.gather(*looking) == [ADA] * MANY * 2


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_lost_connections_are_replaced_for_those_who_wait(database: Database, database_url: str) -> None:
    store = SqlAccountStore(database)
    assert await store.find(ADA.user_id) == ADA
    await execute(database_url, END_ALL)
    assert await asyncio.gather(*(store.find(ADA.user_id) for _ in range(MANY))) == [ADA] * MANY


@pytest.mark.parametrize("where", ["sqlite+aiosqlite:///{}/no/folder.db", "postgresql+asyncpg://nobody@/none?host={}"])
async def test_all_who_wait_are_told_at_once_that_nothing_answers(where: str, tmp_path: Path) -> None:
    database = Database(where.format(tmp_path), FakeClock())
    answers = await asyncio.gather(*(database.peek([]) for _ in range(MANY)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {StorageUnavailable}
    await database.close()


async def test_who_would_stand_in_line_for_too_long_is_turned_away(database_url: str) -> None:
    database = Database(database_url, FakeClock(), longest_wait=0.0)
    async with database.reading():
        pass  # and it is known how long a turn takes
    answers = await asyncio.gather(*(database.peek([]) for _ in range(MANY)), return_exceptions=True)
    turned_away = [answer for answer in answers if isinstance(answer, Overloaded)]
    assert len(turned_away) == MANY - database.driver.peeking
    await database.close()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_who_was_let_in_is_not_turned_away_later(database_url: str) -> None:
    """Though all connections are in use by then, and a turn takes longer than anybody may be made to wait."""
    database = Database(database_url, longest_wait=0.0)
    async with AsyncExitStack() as in_use:
        for _ in range(database.driver.conversations):
            await in_use.enter_async_context(database.reading())
        database._patience.took(1.0)
        looking = asyncio.create_task(database.peek([]))
        await asyncio.wait([looking], timeout=0.1)
        assert not looking.done()
    _, answers = await looking
    assert answers == []
    await database.close()


async def test_nobody_is_turned_away_for_the_time_in_which_nobody_looked(database_url: str) -> None:
    database = Database(database_url, FakeClock(), longest_wait=0.5)
    assert len(await asyncio.gather(*(database.peek([]) for _ in range(20)))) == 20
    await asyncio.sleep(0.6)
    assert len(await asyncio.gather(*(database.peek([]) for _ in range(20)))) == 20
    await database.close()


async def test_who_still_looks_when_the_database_is_closed_for_good_is_told(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cinema_grpc.adapters.database.database.SECONDS_TO_CLOSE", 0.2)
    store = SqlAccountStore(database)
    async with AsyncExitStack() as stack:
        if database.driver.shared:
            other = Database(database_url)
            stack.push_async_callback(other.close)
            connection = await stack.enter_async_context(other.writing())
            await connection.exec_driver_sql("LOCK TABLE account IN ACCESS EXCLUSIVE MODE")
        stack.enter_context(database.driver.while_pending())
        finding = [asyncio.create_task(store.find(ADA.user_id)) for _ in range(20)]
        await asyncio.sleep(0)
        await database.close()
        answers = await asyncio.gather(*finding, return_exceptions=True)
    assert {type(answer) for answer in answers} == {StorageUnavailable}
