"""Which sign-ins are delayed after wrong passwords, on records that replicas share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.retention import delete_expired
from cinema_grpc.adapters.database.schema import sign_in
from cinema_grpc.adapters.database.sign_in_store import SqlSignInStore
from cinema_grpc.application.errors import BadCredentials, TooManyAttempts
from cinema_grpc.application.throttle import SignInLimits, SignInThrottle
from cinema_grpc.domain.sign_in import KNOWN_FOR, Limit
from tests.builders import FakeClock
from tests.database import reading
from tests.faults import make_breakable

LONGEST = timedelta(minutes=5)
LIMITS = SignInLimits(account_at_network=Limit(3, LONGEST), account=Limit(6, LONGEST), network=Limit(12, LONGEST))
HOME, WORK = "192.0.2.1", "192.0.2.2"
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)


class Replicas:
    """Two replicas on one database, and attempts with right and wrong passwords."""

    def __init__(self, database_url: str, limits: SignInLimits = LIMITS) -> None:
        self.clock = FakeClock()
        self.databases = [Database(database_url, self.clock) for _ in range(2)]
        self.faults = make_breakable(self.databases[0])
        self.throttle, self.other = (SignInThrottle(SqlSignInStore(each), limits) for each in self.databases)

    async def signs_in(self, name: str, network: str) -> bool:
        """Try the right password; return whether it was checked."""
        try:
            async with self.throttle.attempt(name, network):
                return True
        except TooManyAttempts:
            return False

    async def guesses(self, name: str, network: str, number: int = 1) -> int:
        """Try wrong passwords; return how many were checked."""
        checked = 0
        for attempt in range(number):
            throttle = (self.throttle, self.other)[attempt % 2]
            with suppress(BadCredentials, TooManyAttempts):
                async with throttle.attempt(name, network):
                    checked += 1
                    raise BadCredentials
        return checked

    async def records(self) -> int:
        async with reading(self.databases[0]) as connection:
            return (await connection.execute(select(func.count()).select_from(sign_in))).scalar_one()


@pytest.fixture
async def replicas(database_url: str) -> AsyncIterator[Replicas]:
    replicas = Replicas(database_url)
    yield replicas
    for database in replicas.databases:
        await database.close()


async def test_after_a_few_wrong_passwords_a_growing_delay_applies_on_each_replica(replicas: Replicas) -> None:
    """An unchecked attempt does not add to the delay. The refusal says how long to wait."""
    assert await replicas.guesses("ada", HOME, 9) == 3
    for seconds in (1, 2, 4, 8):
        for throttle in (replicas.throttle, replicas.other):
            with pytest.raises(TooManyAttempts) as raised:
                async with throttle.attempt("Ada", HOME):
                    raise AssertionError("it was checked")
            assert raised.value.metadata == {"retry_after_seconds": str(seconds)}
        replicas.clock.advance(timedelta(seconds=seconds) - timedelta(microseconds=1))
        assert not await replicas.signs_in("ada", HOME)
        replicas.clock.advance(timedelta(microseconds=1))
        assert await replicas.guesses("ada", HOME, 5) == 1


async def test_a_success_resets_the_count(replicas: Replicas) -> None:
    assert await replicas.guesses("ada", HOME, 2) == 2
    assert await replicas.signs_in("ada", HOME)
    assert await replicas.guesses("ada", HOME, 9) == 3
    replicas.clock.advance(SECOND)
    assert await replicas.signs_in("ada", HOME)
    assert await replicas.guesses("ada", HOME, 9) == 3


async def test_other_accounts_and_networks_are_not_delayed(replicas: Replicas) -> None:
    await replicas.guesses("ada", HOME, 9)
    assert await replicas.signs_in("bob", HOME)
    assert await replicas.signs_in("ada", WORK)


async def test_an_unknown_username_is_counted_too(replicas: Replicas) -> None:
    """Without regard to case."""
    assert await replicas.guesses("nobody", HOME, 2) == 2
    assert await replicas.guesses("NOBODY", HOME, 9) == 1


async def test_guesses_from_many_networks_share_the_limit_of_the_account(replicas: Replicas) -> None:
    """Beyond it, each new network has one guess."""
    assert [await replicas.guesses("ada", f"198.51.100.{n}", 2) for n in range(6)] == [2, 2, 2, 1, 1, 1]
    replicas.clock.advance(LONGEST)
    assert await replicas.guesses("ada", "198.51.100.0", 2) == 1


@pytest.mark.no_cover
async def test_guesses_from_elsewhere_lock_no_customer_out(replicas: Replicas) -> None:
    """Neither from a network they have used before, nor from a new one, however long the guessing continues."""
    assert await replicas.signs_in("ada", HOME)
    for hour in range(12):
        for n in range(20):
            await replicas.guesses("ada", f"198.51.100.{n}", 3)
        assert await replicas.signs_in("ada", HOME)
        assert await replicas.signs_in("ada", f"203.0.113.{hour}")
        replicas.clock.advance(timedelta(hours=1))


async def test_a_guesser_behind_a_proxy_does_not_lock_the_others_out(replicas: Replicas) -> None:
    """An account that has signed in through the proxy is not delayed. Any other is, for the longest delay at most."""
    assert await replicas.signs_in("ada", HOME)
    await replicas.throttle.add_success("grace", HOME)  # by registering there
    checked = sum([await replicas.guesses(f"user{n}", HOME) for n in range(40)])
    assert checked == 12
    for name in ("ada", "grace"):
        assert await replicas.guesses(name, HOME, 2) == 2  # each has guesses of its own
        assert await replicas.signs_in(name, HOME)
    assert not await replicas.signs_in("bob", HOME)
    replicas.clock.advance(LONGEST)
    assert await replicas.signs_in("bob", HOME)


async def test_a_success_that_can_not_be_recorded_is_still_a_success(replicas: Replicas) -> None:
    """The session or the new password is committed by then, so the call must not fail."""
    assert await replicas.guesses("ada", HOME, 2) == 2
    replicas.faults.fails = lambda statement: "UPDATE sign_in" in statement or "INSERT INTO sign_in" in statement
    assert await replicas.signs_in("ada", HOME)
    await replicas.throttle.add_success("grace", HOME)
    assert len(replicas.faults.failed) == 2
    replicas.faults.fails = lambda _statement: False
    assert await replicas.guesses("ada", HOME, 9) == 1  # the failures still count


async def test_the_limit_of_a_network_is_optional(database_url: str) -> None:
    replicas = Replicas(database_url, replace(LIMITS, network=None))
    assert sum([await replicas.guesses(f"user{n}", HOME) for n in range(40)]) == 40
    for database in replicas.databases:
        await database.close()


async def guess(replicas: Replicas, name: str, tried: list[str], let_go: asyncio.Event) -> None:
    """Try a wrong password from HOME; the check lasts until `let_go` is set."""
    async with replicas.throttle.attempt(name, HOME):
        tried.append(name)
        await let_go.wait()
        raise BadCredentials


async def test_concurrent_guesses_for_one_account_gain_nothing(replicas: Replicas) -> None:
    """They run one at a time, and don't delay another account."""
    let_go, tried = asyncio.Event(), list[str]()
    guesses = [asyncio.create_task(guess(replicas, "ada", tried, let_go)) for _ in range(20)]
    async with asyncio.timeout(30):
        async with replicas.throttle.attempt("bob", HOME):
            pass
        let_go.set()
        results = await asyncio.gather(*guesses, return_exceptions=True)
    assert tried == ["ada"] * 3
    assert [type(each) for each in results].count(TooManyAttempts) == 17


async def test_concurrent_guesses_for_many_accounts_gain_nothing(replicas: Replicas) -> None:
    """From one network, at most as many passwords are checked at once as may still be wrong there."""
    let_go, tried = asyncio.Event(), list[str]()
    assert await replicas.guesses("ada", HOME, 2) == 2
    guesses = [asyncio.create_task(guess(replicas, f"user{number}", tried, let_go)) for number in range(20)]
    async with asyncio.timeout(30):
        while sum(each.done() for each in guesses) < 10:  # the rest wait for `let_go`
            await asyncio.wait([each for each in guesses if not each.done()], return_when=asyncio.FIRST_COMPLETED)
        assert await replicas.signs_in("ada", WORK)
        let_go.set()
        results = await asyncio.gather(*guesses, return_exceptions=True)
    assert len(tried) == 10  # and 2 before
    refused = [each for each in results if isinstance(each, TooManyAttempts)]
    assert len(refused) == 10
    assert not any("wrong" in each.message for each in refused)  # none was wrong until then
    assert {each.metadata["retry_after_seconds"] for each in refused} == {"1"}
    assert not await replicas.signs_in("bob", HOME)
    replicas.clock.advance(SECOND)
    assert await replicas.signs_in("bob", HOME)


async def test_an_ended_attempt_leaves_nothing_in_memory(replicas: Replicas) -> None:
    assert await replicas.signs_in("ada", HOME)
    assert len(replicas.throttle._locks) == len(replicas.throttle._checking) == 0


async def test_a_cancelled_attempt_makes_room_for_the_next(replicas: Replicas) -> None:
    async def stuck() -> None:
        async with replicas.throttle.attempt("ada", HOME):
            await asyncio.Event().wait()

    first = asyncio.create_task(stuck())
    await asyncio.sleep(0)
    second = asyncio.create_task(replicas.signs_in("ada", HOME))
    first.cancel()
    assert await second


async def test_a_wrong_password_of_a_cancelled_attempt_is_counted_before_the_next(
    replicas: Replicas,
) -> None:
    """Even if the database is so busy that the count has to wait."""
    database, checked = replicas.databases[0], 0
    turns = database.driver.connections

    async def guess(busy: AsyncExitStack) -> None:
        nonlocal checked
        async with replicas.throttle.attempt("ada", HOME):
            checked += 1
            for _ in range(turns):
                await busy.enter_async_context(database._turn(must_run=True))
            raise BadCredentials

    for _ in range(6):
        async with AsyncExitStack() as busy:
            trying = asyncio.create_task(guess(busy))
            while not trying.done() and database._turns._taken <= turns:  # noqa: ASYNC110 (it waits for a turn, or is refused)
                await asyncio.sleep(0)
            hung_up = trying.cancel()
            for _ in range(5):
                await asyncio.sleep(0)
            assert trying.done() is not hung_up  # the next attempt waits for it
        with suppress(asyncio.CancelledError, TooManyAttempts):
            await trying
    assert checked == 3


async def test_expired_records_are_deleted(replicas: Replicas) -> None:
    """A network stays known for 30 days after its latest sign-in, which is recorded once a day."""
    await replicas.guesses("ada", WORK, 1)
    assert await replicas.signs_in("bob", HOME)
    assert await replicas.records() == 4
    database = replicas.databases[0]
    await delete_expired(database)
    assert await replicas.records() == 4
    replicas.clock.advance(DAY + SECOND)
    await delete_expired(database)
    assert await replicas.records() == 1
    assert await replicas.signs_in("bob", HOME)
    replicas.clock.advance(KNOWN_FOR - SECOND)
    await delete_expired(database)
    assert await replicas.records() == 1
    replicas.clock.advance(SECOND)
    await delete_expired(database)
    assert await replicas.records() == 0


async def test_usernames_and_networks_are_stored_as_digests(replicas: Replicas) -> None:
    await replicas.guesses("hunter2", HOME)
    async with reading(replicas.databases[0]) as connection:
        rows = (await connection.execute(select(sign_in))).all()
    assert {len(bytes(row.subject)) for row in rows} == {32}
    assert "hunter2" not in repr(rows)
    assert HOME not in repr(rows)
