"""One request, several replicas: one effect, one answer, and no deadlock in whatever order the ids come."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from cinema_grpc.adapters.database.box_office_store import SqlBoxOfficeStore
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.application.box_office import BoxOffice
from cinema_grpc.application.errors import RequestIdReused
from cinema_grpc.domain.booking import Booking
from tests import chance
from tests.application.conftest import SHOWTIMES, House, once

HOLD = timedelta(minutes=1)
"""The long form lets 300 of them pass, all before sales close."""
ON_POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
TORTURE = pytest.mark.torture
NAME = "replica-among-others"
SLOWLY = (
    "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.003); RETURN NEW; END $$",
    "CREATE TRIGGER slowly BEFORE INSERT ON request FOR EACH ROW EXECUTE FUNCTION slowly()",
)
"""Makes each request take some milliseconds to write, so that transactions meet in the middle of it."""


@asynccontextmanager
async def box_offices(house: House, url: str, number: int) -> AsyncIterator[list[BoxOffice]]:
    """Open box offices as so many processes would, each with connections of its own."""
    if url.startswith("postgresql"):
        url += f"{'&' if '?' in url else '?'}application_name={NAME}"
    databases = [Database(url, house.clock) for _ in range(number)]
    opened = [
        BoxOffice(SqlBoxOfficeStore(each), lambda _: None, each.driver.lanes, each.driver.apart) for each in databases
    ]
    for each in opened:
        each.start()
    yield opened
    for each in opened:
        await each.stop()
    for database in databases:
        await database.close()


async def hold(at: BoxOffice, name: str, seat: str, showtime_id: str, request_id: str) -> Booking:
    """Hold a seat for ada, once."""
    return await at.execute(
        showtime_id, lambda showtime, now: showtime.hold(name, "ada", [seat], HOLD, now), once=once(request_id)
    )


async def test_an_answer_that_another_replica_gave(house: House, database_url: str) -> None:
    """It comes back as it was then, though the booking has lapsed since; with other content the id is refused."""
    async with box_offices(house, database_url, 2) as (first, second):
        held = await hold(first, "b1", "A1", "s1", "r1")
        assert await hold(second, "b2", "A1", "s1", "r1") == held
        house.clock.advance(HOLD)
        assert await hold(second, "b3", "A1", "s1", "r1") == held
        with pytest.raises(RequestIdReused):
            await second.execute("s1", lambda _showtime, _now: held, once=once("r1", b"other content"))
    async with box_offices(house, database_url, 1) as (restarted,):
        assert await hold(restarted, "b5", "A1", "s1", "r1") == held
    assert len(await house.rows("booking")) == 1


@ON_POSTGRESQL
@pytest.mark.parametrize("rounds", [10, pytest.param(300, marks=TORTURE)])
async def test_ids_in_any_order_never_deadlock(house: House, database_url: str, rounds: int) -> None:
    """Three replicas write the same ids at once, each in its order and at its showtime: each id has one effect."""
    seed = chance.seed()
    await order(house, *SLOWLY)
    async with box_offices(house, database_url, 3) as replicas:
        before = await deadlocks(house)
        for round_number in range(chance.count(rounds)):
            random = chance.generator(seed, round_number)
            calls: list[tuple[BoxOffice, str, str, str, str]] = []
            for replica, at in zip(replicas, SHOWTIMES, strict=True):
                numbers = list(range(10))
                random.shuffle(numbers)
                for number in numbers:
                    name, seat = f"b{len(calls)}-{round_number}", f"A{number + 1}"
                    calls.append((replica, name, seat, at, f"r{round_number}-{number}"))
            answers = await asyncio.wait_for(asyncio.gather(*(hold(*call) for call in calls)), 30)
            told = {(request_id, each.booking_id) for (*_, request_id), each in zip(calls, answers, strict=True)}
            assert len(told) == 10
            house.clock.advance(HOLD)
        assert len(await house.rows("request")) == 10 * chance.count(rounds)
    await all_gone(house)
    assert await deadlocks(house) == before
    await order(house, "DROP TRIGGER slowly ON request", "DROP FUNCTION slowly")


async def order(house: House, *statements: str) -> None:
    async with house.database.writing() as connection:
        for statement in statements:
            await connection.exec_driver_sql(statement)


async def deadlocks(house: House) -> int:
    """Tell how many deadlocks the server has found here; it counts those of a connection when that has ended."""
    async with house.database.reading() as connection:
        query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        return int((await connection.exec_driver_sql(query)).scalar_one())


async def all_gone(house: House) -> None:
    """Wait until the replicas' connections have ended."""
    query = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{NAME}'"  # noqa: S608 (a text of ours)
    async with asyncio.timeout(30):
        while True:
            async with house.database.reading() as connection:
                if (await connection.exec_driver_sql(query)).scalar_one() == 0:
                    return
