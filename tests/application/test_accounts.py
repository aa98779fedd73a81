"""Registration, sign-in and passwords."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest
import pytest_asyncio
from sqlalchemy import select

from cinema_grpc.adapters.access_tokens import JwtAccessTokens
from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.account_store import SqlAccountStore
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.sign_in_store import SqlSignInStore
from cinema_grpc.application.account_ports import Principal
from cinema_grpc.application.accounts import Accounts
from cinema_grpc.application.errors import BadCredentials
from cinema_grpc.application.throttle import SignInLimits, SignInThrottle
from cinema_grpc.domain.account import Role, User
from cinema_grpc.domain.errors import CinemaError, EmailTaken, InvalidRequest, UsernameTaken
from cinema_grpc.domain.sign_in import Limit
from cinema_grpc.transport.security_log import note
from tests.application.recording_passwords import RecordingPasswords
from tests.builders import NOW, FakeClock
from tests.database import reading

PASSWORD, HERE = "correct horse", "192.0.2.1"


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, FakeClock())
    yield database
    await database.close()


@pytest.fixture
def store(database: Database) -> SqlAccountStore:
    return SqlAccountStore(database)


@pytest.fixture
def hasher() -> Iterator[RecordingPasswords]:
    made = RecordingPasswords()
    yield made
    made.real.close()


@pytest.fixture
def tokens() -> JwtAccessTokens:
    return JwtAccessTokens(b"s" * 32, FakeClock())


@pytest.fixture
def accounts(
    database: Database, store: SqlAccountStore, hasher: RecordingPasswords, tokens: JwtAccessTokens
) -> Accounts:
    limit = Limit(1_000, timedelta(minutes=5))
    throttle = SignInThrottle(SqlSignInStore(database), SignInLimits(limit, limit, limit))
    return Accounts(store, hasher, tokens, throttle, note, FakeClock(), frozenset({"password123"}))


async def register_ada(accounts: Accounts) -> User:
    """Register Ada."""
    return (await accounts.register("Ada", PASSWORD, "Ada Lovelace", "ada@example.com")).user


async def stored_hash(store: SqlAccountStore) -> str:
    found = await store.find_by_username("ada")
    assert found is not None
    return found[1]


async def test_registration_creates_a_customer_and_a_session(accounts: Accounts, tokens: JwtAccessTokens) -> None:
    signed_in = await accounts.register("Ada", PASSWORD, "Ada Lovelace", "Ada@example.com")
    user = signed_in.user
    assert user == User(user.user_id, "Ada", "Ada Lovelace", "Ada@example.com", Role.CUSTOMER, NOW)
    assert 1 <= len(user.user_id) <= 64
    assert tokens.read(signed_in.tokens.access_token.text) == Principal(user.user_id, Role.CUSTOMER)
    assert signed_in.tokens.access_token.expire_time == NOW + timedelta(minutes=60)
    assert await accounts.principals.user(user.user_id) == user


async def test_a_wrong_password_is_counted_though_its_caller_is_cancelled(
    accounts: Accounts, hasher: RecordingPasswords, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the check has begun. An attempt that is still waiting is dropped. The right password signs in."""
    await register_ada(accounts)
    checked: list[bytes] = []
    begun, go_on, matches = threading.Event(), threading.Event(), hasher.real._matches

    def slowly(secret: bytes, password_hash: str) -> bool:
        checked.append(secret)
        begun.set()
        assert go_on.wait(10)
        return matches(secret, password_hash)

    async def failures() -> list[int]:
        async with reading(database) as connection:
            return sorted((await connection.execute(select(schema.sign_in.c.failures))).scalars())

    monkeypatch.setattr(hasher.real, "_matches", slowly)
    for password, counted in (("wrong and long", [1, 1, 1]), (PASSWORD, [0, 0, 1])):
        begun.clear()
        go_on.clear()
        call = asyncio.create_task(accounts.login("ada", password, HERE))
        assert await asyncio.to_thread(begun.wait, 10)
        waiting = asyncio.create_task(accounts.login("ada", "another one", HERE))
        await asyncio.sleep(0)
        for each in (call, waiting):
            each.cancel()
        await asyncio.sleep(0)
        assert not call.done()
        go_on.set()
        outcomes = await asyncio.gather(call, waiting, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in outcomes)
        assert await failures() == counted
    assert checked == [b"wrong and long", PASSWORD.encode()]


async def test_a_sign_in_caches_the_user(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    user = await register_ada(accounts)
    monkeypatch.setattr(SqlAccountStore, "find", None)
    await accounts.principals.check(Principal(user.user_id, Role.CUSTOMER))


async def test_user_ids_sort_by_creation(accounts: Accounts) -> None:
    made = [await accounts.register(f"user{n}", PASSWORD, "Someone", f"user{n}@example.com") for n in range(5)]
    user_ids = [each.user.user_id for each in made]
    assert user_ids == sorted(set(user_ids))


async def test_only_a_hash_of_the_password_is_stored(accounts: Accounts, store: SqlAccountStore) -> None:
    await register_ada(accounts)
    password_hash = await stored_hash(store)
    assert password_hash.startswith("$argon2id$")
    assert PASSWORD not in password_hash


@pytest.mark.parametrize(
    ("username", "password", "email", "refused_field"),
    [
        ("a", PASSWORD, "a@example.com", "username"),
        ("bad name", PASSWORD, "a@example.com", "username"),
        ("grace", PASSWORD, "no email", "email"),
        ("grace", "short", "a@example.com", "password"),
        ("grace", "x" * 257, "a@example.com", "password"),
        ("grace", "Password123", "a@example.com", "password"),
        ("grace.hopper", "Grace.Hopper", "a@example.com", "password"),
        ("grace", "Grace@Example.com", "grace@example.com", "password"),
    ],
)
async def test_a_refused_username_or_password_costs_no_hash(
    accounts: Accounts, hasher: RecordingPasswords, username: str, password: str, email: str, refused_field: str
) -> None:
    with pytest.raises(InvalidRequest) as raised:
        await accounts.register(username, password, "Someone", email)
    assert [violation.field for violation in raised.value.violations] == [refused_field]
    assert hasher.work == []


@pytest.mark.parametrize(
    ("username", "email", "error"),
    [
        ("ADA", "other@example.com", UsernameTaken),
        ("grace", "ADA@EXAMPLE.COM", EmailTaken),
        ("ada", "ada@example.com", UsernameTaken),
    ],
)
async def test_a_taken_username_or_email_costs_no_hash(
    accounts: Accounts, hasher: RecordingPasswords, username: str, email: str, error: type[CinemaError]
) -> None:
    await register_ada(accounts)
    hasher.work.clear()
    with pytest.raises(error):
        await accounts.register(username, PASSWORD, "Someone", email)
    assert hasher.work == []


async def test_the_password_is_checked_before_the_username_is_looked_up(accounts: Accounts) -> None:
    await register_ada(accounts)
    with pytest.raises(InvalidRequest):
        await accounts.register("ada", "short", "Someone", "other@example.com")


@pytest.mark.parametrize(
    ("username", "email", "error"),
    [("ada", "other@example.com", UsernameTaken), ("grace", "ada@example.com", EmailTaken)],
)
async def test_a_name_taken_while_hashing_is_refused(
    accounts: Accounts, hasher: RecordingPasswords, username: str, email: str, error: type[CinemaError]
) -> None:
    hasher.meanwhile = lambda: register_ada(accounts)
    with pytest.raises(error):
        await accounts.register(username, PASSWORD, "Someone", email)
    assert (await accounts.login("ada", PASSWORD, HERE)).user.full_name == "Ada Lovelace"


@pytest.mark.parametrize(
    ("username", "password"),
    [
        *(("ada", wrong) for wrong in ("wrong horse", PASSWORD.upper(), f"{PASSWORD} ", "", "x" * 1024, "😀" * 5000)),
        *(("nobody", PASSWORD), ("nobody", "x" * 1024), ("", PASSWORD), ("no name\0", PASSWORD)),
    ],
)
async def test_wrong_credentials_get_the_same_error_after_the_same_work(
    accounts: Accounts, hasher: RecordingPasswords, username: str, password: str
) -> None:
    await register_ada(accounts)
    hasher.work.clear()
    with pytest.raises(BadCredentials) as raised:
        await accounts.login(username, password, HERE)
    assert (raised.value.message, raised.value.metadata) == ("the username or the password is wrong", {})
    assert hasher.work == ["verify"]


async def test_a_password_beyond_the_maximum_does_not_match_its_prefix(accounts: Accounts) -> None:
    await accounts.register("ada", "x" * 256, "Ada", "ada@example.com")
    assert (await accounts.login("ada", "x" * 256, HERE)).user.username == "ada"
    with pytest.raises(BadCredentials):
        await accounts.login("ada", "x" * 257, HERE)


async def test_a_malformed_stored_hash_is_an_internal_error(accounts: Accounts, store: SqlAccountStore) -> None:
    user = await register_ada(accounts)
    await store.set_password_hash(user.user_id, "damaged")
    with pytest.raises(ValueError, match="malformed"):
        await accounts.login("ada", PASSWORD, HERE)


async def test_a_sign_in_updates_an_old_hash(
    accounts: Accounts, store: SqlAccountStore, hasher: RecordingPasswords
) -> None:
    user = await register_ada(accounts)
    hasher.change_parameters()
    with pytest.raises(BadCredentials):
        await accounts.login("ada", "wrong horse", HERE)
    assert "m=8,t=1" in await stored_hash(store)
    for _ in range(2):
        assert (await accounts.login("ada", PASSWORD, HERE)).user == user
    assert "m=16,t=2" in await stored_hash(store)
    assert hasher.work == ["hash", "verify", "verify", "hash", "verify"]


async def test_staff_may_have_no_email(accounts: Accounts, tokens: JwtAccessTokens) -> None:
    first = await accounts.create_staff("grace", PASSWORD, "Grace Hopper")
    second = await accounts.create_staff("katherine", PASSWORD, "Katherine Johnson")
    assert (first.role, first.email, second.email) == (Role.STAFF, "", "")
    signed_in = await accounts.login("grace", PASSWORD, HERE)
    assert tokens.read(signed_in.tokens.access_token.text) == Principal(first.user_id, Role.STAFF)


@pytest.mark.parametrize(
    ("username", "password", "error"),
    [("bad name", PASSWORD, InvalidRequest), ("grace", "short", InvalidRequest), ("ADA", PASSWORD, UsernameTaken)],
)
async def test_staff_accounts_follow_the_same_rules(
    accounts: Accounts, username: str, password: str, error: type[CinemaError]
) -> None:
    await register_ada(accounts)
    with pytest.raises(error):
        await accounts.create_staff(username, password, "Someone")
    with pytest.raises(InvalidRequest, match="full_name"):
        await accounts.create_staff("grace", PASSWORD, " ")


async def test_set_password_replaces_the_old_one(accounts: Accounts) -> None:
    user = await register_ada(accounts)
    assert await accounts.set_password("ADA", "battery sta\u0301ple") == user
    assert (await accounts.login("ada", "battery st\u00e1ple", HERE)).user == user
    with pytest.raises(BadCredentials):
        await accounts.login("ada", PASSWORD, HERE)


async def test_set_password_follows_the_rules(accounts: Accounts) -> None:
    await register_ada(accounts)
    with pytest.raises(InvalidRequest):
        await accounts.set_password("ada", "Ada@example.com")
    assert (await accounts.login("ada", PASSWORD, HERE)).user.username == "Ada"
    assert await accounts.set_password("nobody", "battery staple") is None


async def test_updating_a_hash_does_not_restore_an_old_password(accounts: Accounts, hasher: RecordingPasswords) -> None:
    """A sign-in that would update the hash fails if the password is changed meanwhile."""
    user = await register_ada(accounts)
    hasher.change_parameters()
    hasher.meanwhile = lambda: accounts.set_password("ada", "battery staple")
    with pytest.raises(BadCredentials):
        await accounts.login("ada", PASSWORD, HERE)
    assert (await accounts.login("ada", "battery staple", HERE)).user == user


async def test_two_sign_ins_that_update_a_hash_both_succeed(accounts: Accounts, hasher: RecordingPasswords) -> None:
    user = await register_ada(accounts)
    hasher.change_parameters()
    hasher.meanwhile = lambda: accounts.login("ada", PASSWORD, "192.0.2.2")
    assert (await accounts.login("ada", PASSWORD, HERE)).user == user
