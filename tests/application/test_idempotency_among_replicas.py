"""One request_id at several replicas: one effect, one response, and no deadlock in any order of ids."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from cinema_grpc.adapters.database.box_office_store import SqlBoxOfficeStore
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.application.box_office.box_office import BoxOffice
from cinema_grpc.application.errors import RequestIdReused
from cinema_grpc.domain.booking import Booking
from tests import chance
from tests.application.commands import decode, hold_command, idempotent_call
from tests.application.conftest import App
from tests.database import SHOWTIMES, reading, writing

HOLD = timedelta(minutes=1)
"""Short, so that the 300 of the long form end before sales close."""
ON_POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
TORTURE = pytest.mark.torture
NAME = "replica-among-others"
SLOWLY = (
    "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.003); RETURN NEW; END $$",
    "CREATE TRIGGER slowly BEFORE INSERT ON stored_response FOR EACH ROW EXECUTE FUNCTION slowly()",
)
"""Makes each stored response take some milliseconds to write, so that transactions meet meanwhile."""


@asynccontextmanager
async def box_offices(app: App, url: str, number: int) -> AsyncIterator[list[BoxOffice]]:
    """Open box offices as so many processes would, each with connections of its own."""
    if url.startswith("postgresql"):
        url += f"{'&' if '?' in url else '?'}application_name={NAME}"
    databases = [Database(url, app.clock) for _ in range(number)]
    opened = [BoxOffice(SqlBoxOfficeStore(each), waiting_tasks=each.driver.waiting_tasks) for each in databases]
    for each in opened:
        each.start()
    yield opened
    for each in opened:
        await each.stop()
    for database in databases:
        await database.close()


async def hold(at: BoxOffice, name: str, seat: str, showtime_id: str, request_id: str) -> Booking:
    """Hold a seat for ada in a call with a request_id."""
    command = hold_command(name, seat, at=showtime_id, hold_for=HOLD, call=idempotent_call(request_id))
    return decode(await at.execute(command))


async def test_a_response_that_another_replica_stored(app: App, database_url: str) -> None:
    """It is returned as it was then, though the booking has lapsed since; another request with its id is refused."""
    async with box_offices(app, database_url, 2) as (first, second):
        held = await hold(first, "b1", "A1", "s1", "r1")
        assert await hold(second, "b2", "A1", "s1", "r1") == held
        app.clock.advance(HOLD)
        assert await hold(second, "b3", "A1", "s1", "r1") == held
        with pytest.raises(RequestIdReused):
            await second.execute(hold_command("b4", "A2", call=idempotent_call("r1", b"another request")))
    async with box_offices(app, database_url, 1) as (restarted,):
        assert await hold(restarted, "b5", "A1", "s1", "r1") == held
    assert len(await app.rows("booking")) == 1


@ON_POSTGRESQL
@pytest.mark.parametrize("rounds", [10, pytest.param(300, marks=TORTURE)])
async def test_ids_in_any_order_never_deadlock(app: App, database_url: str, rounds: int) -> None:
    """Three replicas write the same ids at once, each in its order and at its showtime: each id has one effect."""
    seed = chance.seed()
    await order(app, *SLOWLY)
    async with box_offices(app, database_url, 3) as replicas:
        before = await deadlocks(app)
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
            booked = {(request_id, each.booking_id) for (*_, request_id), each in zip(calls, answers, strict=True)}
            assert len(booked) == 10
            app.clock.advance(HOLD)
        assert len(await app.rows("stored_response")) == 10 * chance.count(rounds)
    await all_gone(app)
    assert await deadlocks(app) == before
    await order(app, "DROP TRIGGER slowly ON stored_response", "DROP FUNCTION slowly")


async def order(app: App, *statements: str) -> None:
    async with writing(app.database) as connection:
        for statement in statements:
            await connection.exec_driver_sql(statement)


async def deadlocks(app: App) -> int:
    """Return how many deadlocks the server has found here; it counts those of a connection when that has ended."""
    async with reading(app.database) as connection:
        query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        return int((await connection.exec_driver_sql(query)).scalar_one())


async def all_gone(app: App) -> None:
    """Wait until the replicas' connections have ended."""
    query = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{NAME}'"  # noqa: S608 (a text of ours)
    async with asyncio.timeout(30):
        while True:
            async with reading(app.database) as connection:
                if (await connection.exec_driver_sql(query)).scalar_one() == 0:
                    return
