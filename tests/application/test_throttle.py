"""Who has to wait after wrong passwords, and who does not, on records that replicas share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.old_records import SqlOldRecords
from cinema_grpc.adapters.database.schema import sign_in
from cinema_grpc.adapters.database.sign_in_store import SqlSignInStore
from cinema_grpc.application.errors import BadCredentials, TooManyAttempts
from cinema_grpc.application.forgetting import Forgetting
from cinema_grpc.application.throttle import Limits, SignInThrottle
from cinema_grpc.domain.sign_in import KNOWN_FOR, Limit
from tests.builders import FakeClock
from tests.faults import make_breakable

LONGEST = timedelta(minutes=5)
LIMITS = Limits(at_place=Limit(3, LONGEST), of_account=Limit(6, LONGEST), of_place=Limit(12, LONGEST))
HOME, WORK = "192.0.2.1", "192.0.2.2"
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)


class House:
    """Two replicas on one database; passwords are right or wrong as told."""

    def __init__(self, database_url: str, limits: Limits = LIMITS) -> None:
        self.clock = FakeClock()
        self.databases = [Database(database_url, self.clock) for _ in range(2)]
        self.faults = make_breakable(self.databases[0])
        self.throttle, self.other = (SignInThrottle(SqlSignInStore(each), limits) for each in self.databases)

    async def signs_in(self, name: str, place: str) -> bool:
        """Try the right password; tell whether it was looked at."""
        try:
            async with self.throttle.attempt(name, place):
                return True
        except TooManyAttempts:
            return False

    async def guesses(self, name: str, place: str, number: int = 1) -> int:
        """Try wrong passwords; tell how many were looked at."""
        looked_at = 0
        for attempt in range(number):
            throttle = (self.throttle, self.other)[attempt % 2]
            with suppress(BadCredentials, TooManyAttempts):
                async with throttle.attempt(name, place):
                    looked_at += 1
                    raise BadCredentials
        return looked_at

    async def records(self) -> int:
        async with self.databases[0].reading() as connection:
            return (await connection.execute(select(func.count()).select_from(sign_in))).scalar_one()


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    house = House(database_url)
    yield house
    for database in house.databases:
        await database.close()


async def test_some_are_free_then_the_delay_grows_on_every_replica(house: House) -> None:
    """What is refused unseen does not add to it, and the refusal says how long to wait."""
    assert await house.guesses("ada", HOME, 9) == 3
    for seconds in (1, 2, 4, 8):
        for throttle in (house.throttle, house.other):
            with pytest.raises(TooManyAttempts) as raised:
                async with throttle.attempt("Ada", HOME):
                    raise AssertionError("it was looked at")
            assert raised.value.metadata == {"retry_after_seconds": str(seconds)}
        house.clock.advance(timedelta(seconds=seconds) - timedelta(microseconds=1))
        assert not await house.signs_in("ada", HOME)
        house.clock.advance(timedelta(microseconds=1))
        assert await house.guesses("ada", HOME, 5) == 1


async def test_a_success_clears_the_count(house: House) -> None:
    assert await house.guesses("ada", HOME, 2) == 2
    assert await house.signs_in("ada", HOME)
    assert await house.guesses("ada", HOME, 9) == 3
    house.clock.advance(SECOND)
    assert await house.signs_in("ada", HOME)
    assert await house.guesses("ada", HOME, 9) == 3


async def test_other_accounts_and_other_places_do_not_wait(house: House) -> None:
    await house.guesses("ada", HOME, 9)
    assert await house.signs_in("bob", HOME)
    assert await house.signs_in("ada", WORK)


async def test_a_name_that_nobody_has_is_counted_alike(house: House) -> None:
    """And in any case of its letters."""
    assert await house.guesses("nobody", HOME, 2) == 2
    assert await house.guesses("NOBODY", HOME, 9) == 1


async def test_guesses_from_many_places_share_the_account_s_limit(house: House) -> None:
    """Beyond it each new place has one guess."""
    assert [await house.guesses("ada", f"198.51.100.{n}", 2) for n in range(6)] == [2, 2, 2, 1, 1, 1]
    house.clock.advance(LONGEST)
    assert await house.guesses("ada", "198.51.100.0", 2) == 1


async def test_nobody_is_locked_out_by_guesses_from_elsewhere(house: House) -> None:
    """Not from where they have signed in before, and not from a new place either, for as long as it may go on."""
    assert await house.signs_in("ada", HOME)
    for hour in range(12):
        for n in range(20):
            await house.guesses("ada", f"198.51.100.{n}", 3)
        assert await house.signs_in("ada", HOME)
        assert await house.signs_in("ada", f"203.0.113.{hour}")
        house.clock.advance(timedelta(hours=1))


async def test_one_behind_a_proxy_does_not_shut_the_others_out(house: House) -> None:
    """Who has signed in through it before goes on to; who has not waits, at most for the longest delay."""
    assert await house.signs_in("ada", HOME)
    await house.throttle.note_success("grace", HOME)  # who has registered there
    looked_at = sum([await house.guesses(f"user{n}", HOME) for n in range(40)])
    assert looked_at == 12
    for name in ("ada", "grace"):
        assert await house.guesses(name, HOME, 2) == 2  # with tries of their own
        assert await house.signs_in(name, HOME)
    assert not await house.signs_in("bob", HOME)
    house.clock.advance(LONGEST)
    assert await house.signs_in("bob", HOME)


async def test_a_success_that_can_not_be_written_down_is_one_all_the_same(house: House) -> None:
    """By then a session has begun, or a password was changed: nobody may be told that nothing was done."""
    assert await house.guesses("ada", HOME, 2) == 2
    house.faults.fails = lambda statement: "UPDATE sign_in" in statement or "INSERT INTO sign_in" in statement
    assert await house.signs_in("ada", HOME)
    await house.throttle.note_success("grace", HOME)
    assert len(house.faults.failed) == 2
    house.faults.fails = lambda _statement: False
    assert await house.guesses("ada", HOME, 9) == 1  # the failures are not forgotten


async def test_the_limit_of_a_place_can_be_left_out(database_url: str) -> None:
    house = House(database_url, replace(LIMITS, of_place=None))
    assert sum([await house.guesses(f"user{n}", HOME) for n in range(40)]) == 40
    for database in house.databases:
        await database.close()


async def guess(house: House, name: str, tried: list[str], let_go: asyncio.Event) -> None:
    """Try a wrong password at home; if it is looked at, that takes until it is let go."""
    async with house.throttle.attempt(name, HOME):
        tried.append(name)
        await let_go.wait()
        raise BadCredentials


async def test_many_at_once_gain_nothing(house: House) -> None:
    """They come one after another; another account's do not wait for them."""
    let_go, tried = asyncio.Event(), list[str]()
    guesses = [asyncio.create_task(guess(house, "ada", tried, let_go)) for _ in range(20)]
    async with asyncio.timeout(30):
        async with house.throttle.attempt("bob", HOME):
            pass
        let_go.set()
        results = await asyncio.gather(*guesses, return_exceptions=True)
    assert tried == ["ada"] * 3
    assert [type(each) for each in results].count(TooManyAttempts) == 17


async def test_many_accounts_at_once_gain_nothing_either(house: House) -> None:
    """From one place no more passwords are looked at at once than may still be wrong there."""
    let_go, tried = asyncio.Event(), list[str]()
    assert await house.guesses("ada", HOME, 2) == 2
    guesses = [asyncio.create_task(guess(house, f"user{number}", tried, let_go)) for number in range(20)]
    async with asyncio.timeout(30):
        while sum(each.done() for each in guesses) < 10:  # until all those are refused that will be
            await asyncio.wait([each for each in guesses if not each.done()], return_when=asyncio.FIRST_COMPLETED)
        assert await house.signs_in("ada", WORK)
        let_go.set()
        results = await asyncio.gather(*guesses, return_exceptions=True)
    assert len(tried) == 10  # and 2 before
    refused = [each for each in results if isinstance(each, TooManyAttempts)]
    assert len(refused) == 10
    assert not any("wrong" in each.message for each in refused)  # as none of them was, until then
    assert {each.metadata["retry_after_seconds"] for each in refused} == {"1"}
    assert not await house.signs_in("bob", HOME)
    house.clock.advance(SECOND)
    assert await house.signs_in("bob", HOME)


async def test_nothing_is_kept_of_an_attempt_that_is_over(house: House) -> None:
    assert await house.signs_in("ada", HOME)
    assert len(house.throttle._turns) == len(house.throttle._under_way) == 0


async def test_who_hangs_up_lets_the_next_one_try(house: House) -> None:
    async def stuck() -> None:
        async with house.throttle.attempt("ada", HOME):
            await asyncio.Event().wait()

    first = asyncio.create_task(stuck())
    await asyncio.sleep(0)
    second = asyncio.create_task(house.signs_in("ada", HOME))
    first.cancel()
    assert await second


async def test_who_hangs_up_on_a_wrong_password_is_counted_before_the_next_try(house: House) -> None:
    """Even while the database is so busy that the count has to wait: a guess is looked at no more often for that."""
    database, looked_at = house.databases[0], 0
    turns = database.driver.conversations

    async def guess(busy: AsyncExitStack) -> None:
        nonlocal looked_at
        async with house.throttle.attempt("ada", HOME):
            looked_at += 1
            for _ in range(turns):
                await busy.enter_async_context(database.reading())
            raise BadCredentials

    for _ in range(6):
        async with AsyncExitStack() as busy:
            trying = asyncio.create_task(guess(busy))
            while not trying.done() and database._in_line <= turns:  # noqa: ASYNC110 (it stands in line, or is refused)
                await asyncio.sleep(0)
            hung_up = trying.cancel()
            for _ in range(5):
                await asyncio.sleep(0)
            assert trying.done() is not hung_up  # who comes next waits for it
        with suppress(asyncio.CancelledError, TooManyAttempts):
            await trying
    assert looked_at == 3


async def test_what_counts_no_more_is_deleted(house: House) -> None:
    """A few at a time; a known place is remembered for 30 days from its latest sign-in, written down once a day."""
    await house.guesses("ada", WORK, 1)
    assert await house.signs_in("bob", HOME)
    assert await house.records() == 4
    records = SqlOldRecords(house.databases[0])
    assert await records.forget_sign_ins(9) == 0
    house.clock.advance(DAY + SECOND)
    assert await records.forget_sign_ins(2) == 2
    await Forgetting(records).run_pass()
    assert await house.records() == 1
    assert await house.signs_in("bob", HOME)
    house.clock.advance(KNOWN_FOR - SECOND)
    assert await records.forget_sign_ins(9) == 0
    house.clock.advance(SECOND)
    assert await records.forget_sign_ins(9) == 1


async def test_names_are_kept_as_digests(house: House) -> None:
    await house.guesses("hunter2", HOME)
    async with house.databases[0].reading() as connection:
        rows = (await connection.execute(select(sign_in))).all()
    assert {len(bytes(row.subject)) for row in rows} == {32}
    assert "hunter2" not in repr(rows)
    assert HOME not in repr(rows)
