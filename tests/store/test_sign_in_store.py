"""Records of sign-ins: each failure counts, whichever replicas write them down at once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest_asyncio

from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.sign_in_store import SqlSignInStore
from cinema_grpc.domain.sign_in import Limit
from tests.builders import FakeClock

LIMIT = Limit(free=1_000, longest_delay=timedelta(minutes=5))
HERE, ACCOUNT, PLACE = b"\xff at", b"\x80 account", b"\x00 place"
ALL = {HERE: LIMIT, ACCOUNT: LIMIT, PLACE: LIMIT}


@pytest_asyncio.fixture
async def stores(database_url: str) -> AsyncIterator[list[SqlSignInStore]]:
    """Those of three replicas, or the only one there can be."""
    clock = FakeClock()
    databases = [Database(database_url, clock)]
    if databases[0].driver.shared:
        databases += [Database(database_url, clock) for _ in range(2)]
    yield [SqlSignInStore(database) for database in databases]
    for database in databases:
        await database.close()


async def failures(store: SqlSignInStore) -> list[int]:
    _, records = await store.read(ALL)
    return [records[subject].failures for subject in ALL]


async def test_failures_at_once_are_all_counted(stores: list[SqlSignInStore]) -> None:
    """Not even those are lost that come together at a record that is not there yet."""
    await asyncio.gather(*(store.add_failure(ALL) for store in stores * 10))
    assert await failures(stores[0]) == [10 * len(stores)] * 3


async def test_a_success_forgets_what_failed_there_and_at_the_account(stores: list[SqlSignInStore]) -> None:
    await stores[0].add_failure(ALL)
    await stores[-1].add_success(HERE, ACCOUNT)
    assert await failures(stores[0]) == [0, 0, 1]
    _, records = await stores[0].read(ALL)
    assert [records[subject].known for subject in ALL] == [True, False, False]


async def test_successes_and_failures_at_once_do_not_conflict(stores: list[SqlSignInStore]) -> None:
    work = [work for store in stores * 5 for work in (store.add_failure(ALL), store.add_success(HERE, ACCOUNT))]
    await asyncio.gather(*work)
    assert (await failures(stores[0]))[2] == 5 * len(stores)
