"""Principals: users must exist, and a cache saves most look-ups."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
import pytest_asyncio

from cinema_grpc.adapters.database.account_store import SqlAccountStore
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.application import principals as principals_module
from cinema_grpc.application.account_ports import Principal
from cinema_grpc.application.errors import TokenInvalid
from cinema_grpc.application.principals import REVOKED_FOR, Principals
from cinema_grpc.domain.account import Role, User
from cinema_grpc.transport.security_log import note
from tests.builders import NOW, FakeClock

MICROSECOND = timedelta(microseconds=1)
ADA = User("ada-id", "ada", "Ada Lovelace", "", Role.CUSTOMER, NOW)


class CountingStore(SqlAccountStore):
    """The real store, with a count of look-ups by user_id."""

    lookups = 0

    async def find(self, user_id: str) -> User | None:
        self.lookups += 1
        return await super().find(user_id)


@pytest_asyncio.fixture
async def store(database_url: str) -> AsyncIterator[CountingStore]:
    database = Database(database_url, FakeClock())
    yield CountingStore(database)
    await database.close()


def principal(name: str) -> Principal:
    return Principal(f"{name}-id", Role.CUSTOMER)


async def test_an_unknown_user_is_refused_each_time(store: CountingStore) -> None:
    principals = Principals(store, FakeClock(), note)
    for _ in range(2):
        with pytest.raises(TokenInvalid):
            await principals.check(principal("stranger"))
    with pytest.raises(TokenInvalid):
        await principals.user("stranger-id")
    assert store.lookups == 3


async def test_a_user_is_looked_up_once(store: CountingStore) -> None:
    await store.add(ADA, "hash")
    principals = Principals(store, FakeClock(), note)
    for _ in range(3):
        await principals.check(principal("ada"))
    assert store.lookups == 1
    assert await principals.user("ada-id") == ADA


async def test_the_cache_keeps_the_most_recently_used(store: CountingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(principals_module, "CACHED_USERS", 2)
    principals = Principals(store, FakeClock(), note)
    for name in ("ada", "bob", "cyd"):
        await store.add(replace(ADA, user_id=f"{name}-id", username=name), "hash")
    for name in ("ada", "bob", "ada", "cyd", "ada"):
        await principals.check(principal(name))
    assert store.lookups == 3
    await principals.check(principal("bob"))
    assert store.lookups == 4


async def test_a_user_whose_tokens_were_revoked_is_cached_again_once_these_have_expired(store: CountingStore) -> None:
    await store.add(ADA, "hash")
    await store.disable("ada-id")
    await store.enable("ada-id")
    clock = FakeClock()
    principals = Principals(store, clock, note)
    late = replace(principal("ada"), issue_time=NOW + REVOKED_FOR)
    for _ in range(2):
        await principals.check(late)
    assert store.lookups == 2
    with pytest.raises(TokenInvalid):
        await principals.check(replace(late, issue_time=NOW - MICROSECOND))
    clock.advance(REVOKED_FOR)
    for _ in range(2):
        await principals.check(late)
    assert store.lookups == 4
    await principals.evict_revoked()
    await principals.check(late)
    assert store.lookups == 5, "the store's clock still says that they were revoked lately"
