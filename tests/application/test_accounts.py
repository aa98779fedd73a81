"""Registration, sign-in, passwords and principals."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
import pytest_asyncio
from sqlalchemy import select

from cinema_grpc.adapters.access_tokens import JwtAccessTokens
from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.account_store import SqlAccountStore
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.sign_in_store import SqlSignInStore
from cinema_grpc.adapters.passwords import Argon2Passwords
from cinema_grpc.application import principals as principals_module
from cinema_grpc.application.account_ports import Principal
from cinema_grpc.application.accounts import Accounts
from cinema_grpc.application.errors import BadCredentials, TokenInvalid
from cinema_grpc.application.throttle import SignInLimits, SignInThrottle
from cinema_grpc.domain.account import Role, User
from cinema_grpc.domain.errors import CinemaError, EmailTaken, InvalidRequest, UsernameTaken
from cinema_grpc.domain.sign_in import Limit
from cinema_grpc.transport.security_log import note
from tests.builders import NOW, FakeClock

PASSWORD = "correct horse"
HERE = "192.0.2.1"


@dataclass
class RecordingPasswords:
    """Real but cheap hashes, with a record of the work."""

    real: Argon2Passwords = field(default_factory=lambda: Argon2Passwords(memory_kib=8, rounds=1))
    work: list[str] = field(default_factory=list)
    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def hash(self, password: str, network: str) -> str:
        self.work.append("hash")
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        return await self.real.hash(password, network)

    async def verify(self, password: str, password_hash: str | None, network: str) -> bool:
        self.work.append("verify")
        return await self.real.verify(password, password_hash, network)

    def needs_update(self, password_hash: str) -> bool:
        return self.real.needs_update(password_hash)

    def change_parameters(self) -> None:
        self.real.close()
        self.real = Argon2Passwords(memory_kib=16, rounds=2)


@dataclass
class CountingStore(SqlAccountStore):
    """The real store, with a count of look-ups by user_id."""

    database: Database
    lookups: int = 0

    def __post_init__(self) -> None:
        super().__init__(self.database)

    async def find(self, user_id: str) -> User | None:
        self.lookups += 1
        return await super().find(user_id)


@pytest_asyncio.fixture
async def store(database_url: str) -> AsyncIterator[CountingStore]:
    database = Database(database_url, FakeClock())
    yield CountingStore(database)
    await database.close()


@pytest.fixture
def hasher() -> Iterator[RecordingPasswords]:
    made = RecordingPasswords()
    yield made
    made.real.close()


@pytest.fixture
def tokens() -> JwtAccessTokens:
    return JwtAccessTokens(b"s" * 32, FakeClock())


@pytest.fixture
def throttle(store: CountingStore) -> SignInThrottle:
    limit = Limit(1_000, timedelta(minutes=5))
    return SignInThrottle(SqlSignInStore(store.database), SignInLimits(limit, limit, limit))


@pytest.fixture
def accounts(
    store: CountingStore, hasher: RecordingPasswords, tokens: JwtAccessTokens, throttle: SignInThrottle
) -> Accounts:
    return Accounts(store, hasher, tokens, throttle, note, FakeClock(), frozenset({"password123"}))


async def register_ada(accounts: Accounts) -> User:
    """Register Ada."""
    return (await accounts.register("Ada", PASSWORD, "Ada Lovelace", "ada@example.com")).user


async def test_registration_creates_a_customer_and_a_session(accounts: Accounts, tokens: JwtAccessTokens) -> None:
    signed_in = await accounts.register("Ada", PASSWORD, "Ada Lovelace", "Ada@example.com")
    user = signed_in.user
    assert user == User(user.user_id, "Ada", "Ada Lovelace", "Ada@example.com", Role.CUSTOMER, NOW)
    assert 1 <= len(user.user_id) <= 64
    assert tokens.read(signed_in.tokens.access_token.text) == Principal(user.user_id, Role.CUSTOMER)
    assert signed_in.tokens.access_token.expire_time == NOW + timedelta(minutes=60)
    assert await accounts.principals.user(user.user_id) == user


async def test_a_wrong_password_is_counted_though_its_caller_is_cancelled(
    accounts: Accounts, hasher: RecordingPasswords, store: CountingStore, monkeypatch: pytest.MonkeyPatch
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
        async with store.database.reading() as connection:
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


async def test_user_ids_sort_by_creation(accounts: Accounts) -> None:
    made = [await accounts.register(f"user{n}", PASSWORD, "Someone", f"user{n}@example.com") for n in range(5)]
    identifiers = [each.user.user_id for each in made]
    assert identifiers == sorted(set(identifiers))


async def test_only_a_hash_of_the_password_is_stored(accounts: Accounts, store: CountingStore) -> None:
    await register_ada(accounts)
    found = await store.find_by_username("ada")
    assert found is not None
    assert found[1].startswith("$argon2id$")
    assert PASSWORD not in found[1]


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
        ("ada", "wrong horse"),
        ("ada", PASSWORD.upper()),
        ("ada", PASSWORD + " "),
        ("ada", ""),
        ("ada", "x" * 1024),
        ("ada", "😀" * 5000),
        ("nobody", PASSWORD),
        ("nobody", "x" * 1024),
        ("", PASSWORD),
        ("no name\0", PASSWORD),
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


async def test_a_malformed_stored_hash_is_an_internal_error(accounts: Accounts, store: CountingStore) -> None:
    user = await register_ada(accounts)
    await store.set_password_hash(user.user_id, "damaged")
    with pytest.raises(ValueError, match="malformed"):
        await accounts.login("ada", PASSWORD, HERE)


async def test_a_sign_in_updates_an_old_hash(
    accounts: Accounts, store: CountingStore, hasher: RecordingPasswords
) -> None:
    user = await register_ada(accounts)
    hasher.change_parameters()
    with pytest.raises(BadCredentials):
        await accounts.login("ada", "wrong horse", HERE)
    found = await store.find_by_username("ada")
    assert found is not None
    assert "m=8,t=1" in found[1]
    for _ in range(2):
        assert (await accounts.login("ada", PASSWORD, HERE)).user == user
    found = await store.find_by_username("ada")
    assert found is not None
    assert "m=16,t=2" in found[1]
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


async def test_staff_must_have_a_name(accounts: Accounts) -> None:
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


async def test_set_password_of_an_unknown_account(accounts: Accounts) -> None:
    with pytest.raises(LookupError, match="nobody"):
        await accounts.set_password("nobody", "battery staple")


async def test_a_token_of_an_unknown_user_is_invalid_each_time(accounts: Accounts, store: CountingStore) -> None:
    for _ in range(2):
        with pytest.raises(TokenInvalid):
            await accounts.principals.check(Principal("stranger", Role.CUSTOMER))
    with pytest.raises(TokenInvalid):
        await accounts.principals.user("stranger")
    assert store.lookups == 3


async def test_a_user_is_looked_up_once(
    store: CountingStore, hasher: RecordingPasswords, throttle: SignInThrottle, accounts: Accounts
) -> None:
    user = await register_ada(accounts)
    await accounts.principals.check(Principal(user.user_id, Role.CUSTOMER))
    assert store.lookups == 0  # a sign-in caches the user
    restarted = Accounts(
        store, hasher, JwtAccessTokens(b"s" * 32, FakeClock()), throttle, note, FakeClock(), frozenset()
    )
    for _ in range(3):
        await restarted.principals.check(Principal(user.user_id, Role.CUSTOMER))
    assert store.lookups == 1


async def test_the_cache_keeps_the_most_recently_used(
    accounts: Accounts, store: CountingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(principals_module, "CACHED_USERS", 2)
    made = [
        (await accounts.register(f"user{n}", PASSWORD, "Someone", f"user{n}@example.com")).user.user_id for n in (1, 2)
    ]
    await accounts.principals.check(Principal(made[0], Role.CUSTOMER))
    third = (await accounts.register("user3", PASSWORD, "Someone", "user3@example.com")).user.user_id
    await accounts.principals.check(Principal(made[0], Role.CUSTOMER))
    await accounts.principals.check(Principal(third, Role.CUSTOMER))
    assert store.lookups == 0
    await accounts.principals.check(Principal(made[1], Role.CUSTOMER))
    assert store.lookups == 1


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
