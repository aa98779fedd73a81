"""Accounts in the database: kept as they are, and unique without regard to case."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
import pytest_asyncio
from sqlalchemy import update

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.account_store import SqlAccountStore
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.application.box_office.store import StorageConflict
from cinema_grpc.domain.account import Role, User
from cinema_grpc.domain.errors import EmailTaken, UsernameTaken
from cinema_grpc.domain.session import RefreshToken
from tests.builders import NOW, FakeClock
from tests.database import writing
from tests.postgresql import WAITING, fetch

ADA = User("user-1", "Ada", "Ada Lovelace", "Ada@Example.com", Role.CUSTOMER, NOW + timedelta(microseconds=123456))
GRACE = User("user-2", "grace", "Grace Hopper", "grace@example.com", Role.STAFF, NOW)


@pytest_asyncio.fixture
async def store(database_url: str) -> AsyncIterator[SqlAccountStore]:
    database = Database(database_url, FakeClock())
    yield SqlAccountStore(database)
    await database.close()


async def test_an_account_is_found_as_it_was_added_by_identifier_name_and_email(store: SqlAccountStore) -> None:
    await store.add(ADA, "hash of ada")
    await store.add(GRACE, "hash of grace")
    assert await store.find("user-1") == ADA
    assert await store.find("user-2") == GRACE
    assert await store.find_by_username("Ada") == (ADA, "hash of ada")
    assert await store.find_by_email("grace@example.com") == GRACE


async def test_the_moment_of_creation_comes_back_in_utc_to_the_microsecond(store: SqlAccountStore) -> None:
    await store.add(ADA, "hash")
    found = await store.find("user-1")
    assert found is not None
    assert found.create_time == datetime.fromisoformat("2026-05-01T12:00:00.123456+00:00")
    assert found.create_time.utcoffset() == timedelta(0)


async def test_what_is_not_there_is_none(store: SqlAccountStore) -> None:
    await store.add(ADA, "hash")
    assert await store.find("user-2") is None
    assert await store.find("USER-1") is None
    assert await store.find_by_username("user-1") is None
    assert await store.find_by_email("Ada") is None


@pytest.mark.parametrize("username", ["ada", "ADA", "aDa"])
async def test_a_username_is_found_in_any_case(store: SqlAccountStore, username: str) -> None:
    await store.add(ADA, "hash")
    assert await store.find_by_username(username) == (ADA, "hash")


@pytest.mark.parametrize("email", ["ada@example.com", "ADA@EXAMPLE.COM"])
async def test_an_email_is_found_in_any_case(store: SqlAccountStore, email: str) -> None:
    await store.add(ADA, "hash")
    assert await store.find_by_email(email) == ADA


@pytest.mark.parametrize("username", ["Ada", "ADA"])
async def test_a_username_is_given_once(store: SqlAccountStore, username: str) -> None:
    await store.add(ADA, "hash")
    with pytest.raises(UsernameTaken) as raised:
        await store.add(replace(GRACE, username=username), "another hash")
    assert raised.value.metadata == {"username": username}
    assert await store.find("user-2") is None
    assert await store.find_by_username("ada") == (ADA, "hash")


@pytest.mark.parametrize("email", ["Ada@Example.com", "ada@EXAMPLE.com"])
async def test_an_email_is_given_once(store: SqlAccountStore, email: str) -> None:
    await store.add(ADA, "hash")
    with pytest.raises(EmailTaken) as raised:
        await store.add(replace(GRACE, email=email), "another hash")
    assert raised.value.metadata == {"email": email}
    assert await store.find("user-2") is None


async def test_when_both_are_taken_the_username_is_named(store: SqlAccountStore) -> None:
    await store.add(ADA, "hash")
    with pytest.raises(UsernameTaken):
        await store.add(replace(ADA, user_id="user-2"), "another hash")


async def test_a_conflict_of_anything_else_is_a_fault_of_ours(store: SqlAccountStore) -> None:
    await store.add(ADA, "hash")
    with pytest.raises(StorageConflict):
        await store.add(replace(GRACE, user_id="user-1"), "another hash")


async def test_any_number_of_accounts_have_no_email_and_none_is_found_by_that(store: SqlAccountStore) -> None:
    await store.add(replace(ADA, email=""), "hash")
    await store.add(replace(GRACE, email=""), "hash")
    assert await store.find("user-2") == replace(GRACE, email="")
    assert await store.find_by_email("") is None


async def test_a_new_password_hash_replaces_that_of_one_account(store: SqlAccountStore) -> None:
    await store.add(ADA, "hash of ada")
    await store.add(GRACE, "hash of grace")
    await store.set_password_hash("user-1", "new hash")
    assert await store.find_by_username("ada") == (ADA, "new hash")
    assert await store.find_by_username("grace") == (GRACE, "hash of grace")


async def test_a_new_password_hash_of_an_operator_revokes_access_tokens(store: SqlAccountStore) -> None:
    """Without disabling the account in between."""
    await store.add(ADA, "hash of ada")
    await store.add(GRACE, "hash of grace")
    await store.set_password_hash("user-1", "new hash", revoke_tokens=True)
    assert await store.find("user-1") == replace(ADA, revoke_time=NOW)
    assert await store.revoked(timedelta(seconds=1)) == ["user-1"]
    store._database.clock.advance(timedelta(seconds=1))  # type: ignore[union-attr] # a FakeClock
    assert await store.revoked(timedelta(seconds=1)) == []


async def test_who_hangs_up_leaves_a_whole_account_and_a_store_that_works(store: SqlAccountStore) -> None:
    adding = asyncio.create_task(store.add(ADA, "hash"))
    await asyncio.sleep(0)
    while store._database._not_begun:  # noqa: ASYNC110 (nothing signals it)
        await asyncio.sleep(0)
    adding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await adding
    await asyncio.gather(*store._database._tasks)  # the transaction goes on
    assert await store.find_by_username("ada") == (ADA, "hash")
    await store.add(GRACE, "hash of grace")
    assert await store.find("user-2") == GRACE


async def test_who_hangs_up_before_their_turn_asks_for_nothing(store: SqlAccountStore) -> None:
    database = store._database
    async with AsyncExitStack() as others:
        for _ in range(database.driver.connections):
            await others.enter_async_context(database._turn())
        adding = [asyncio.create_task(store.add(ADA, "hash")) for _ in range(20)]
        await asyncio.sleep(0)
        assert len(database._tasks) == 20
        for each in adding:
            each.cancel()
        await asyncio.gather(*adding, *database._tasks, return_exceptions=True)
    assert await store.find_by_username("ada") is None


async def test_text_of_any_script_and_quotes_are_kept_as_they_are(store: SqlAccountStore) -> None:
    name = "Ренé O'Brien \"; DROP TABLE account; -- 😀 山田"
    await store.add(replace(ADA, full_name=name), "hash")
    found = await store.find("user-1")
    assert found is not None
    assert found.full_name == name


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_session_that_begins_as_the_password_is_changed_waits_for_that(
    store: SqlAccountStore, database_url: str
) -> None:
    """With the old password: it would go on for ever, since the change ends only the sessions that it sees."""
    await store.add(ADA, "old hash")
    token = RefreshToken(b"f" * 16, b"s" * 32)
    async with writing(store._database) as connection:
        await connection.execute(update(schema.account).values(password_hash="new hash"))
        begun = asyncio.create_task(store.begin_session("user-1", "old hash", token, lambda: None))
        async with asyncio.timeout(10):
            while not begun.done() and not await fetch(database_url, WAITING):  # noqa: ASYNC110 (of the server)
                await asyncio.sleep(0.01)
        assert not begun.done()
    assert await begun is None
