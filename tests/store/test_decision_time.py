"""The time at which the box office decides: once it has its locks, however long it had to wait for them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from cinema_grpc.adapters.database.box_office_store import SqlBoxOfficeStore
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.application.box_office.box_office import BoxOffice
from cinema_grpc.application.box_office.command import Command, Decision
from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.claims import Selection
from cinema_grpc.domain.holds import hold
from tests.builders import FakeClock
from tests.database import furnish, writing
from tests.faults import failing, make_breakable
from tests.postgresql import WAITING, fetch

LOCK_S1 = "SELECT 1 FROM showtime WHERE showtime_id = 's1' FOR NO KEY UPDATE"
HOLD = timedelta(minutes=10)


async def book(box_office: BoxOffice, booking_id: str, user_id: str) -> Booking:
    """Hold A1 of s1."""

    def change(decision: Decision) -> Booking:
        return hold(decision.showtime, booking_id, user_id, Selection(["A1"]), HOLD, decision.now)

    return await box_office.execute(Command("s1", change))


@asynccontextmanager
async def open_box_office(database: Database) -> AsyncIterator[BoxOffice]:
    await furnish(database)
    box_office = BoxOffice(SqlBoxOfficeStore(database), waiting_tasks=database.driver.waiting_tasks)
    box_office.start()
    yield box_office
    await box_office.stop()
    await database.close()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_hold_that_lapses_while_another_caller_waits_for_the_showtime_is_over(database_url: str) -> None:
    clock = FakeClock()
    database = Database(database_url, clock)
    async with open_box_office(database) as box_office:
        await book(box_office, "b1", "ada")
        async with writing(database) as connection:
            await connection.exec_driver_sql(LOCK_S1)
            late = asyncio.create_task(book(box_office, "b2", "bob"))
            async with asyncio.timeout(10):
                while not await fetch(database_url, WAITING):  # noqa: ASYNC110 (of the server)
                    await asyncio.sleep(0.01)
            clock.advance(HOLD)
        assert (await late).user_id == "bob"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_hold_that_lapses_while_another_process_has_the_file_is_over(database_url: str) -> None:
    clock = FakeClock()
    database = Database(database_url, clock)
    make_breakable(database)

    def wait_to_begin(statement: str) -> bool:
        if statement == "BEGIN IMMEDIATE":
            clock.advance(HOLD)
        return False

    async with open_box_office(database) as box_office:
        await book(box_office, "b1", "ada")
        with failing(database, wait_to_begin):
            assert (await book(box_office, "b2", "bob")).user_id == "bob"
