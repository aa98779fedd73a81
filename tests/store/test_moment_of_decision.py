"""The moment at which the box office decides: once it has its locks, however long it had to wait for them."""

import asyncio
from datetime import timedelta

import pytest

from cinema_grpc.adapters.database.booking_reader import SqlBookingReader
from cinema_grpc.adapters.database.box_office_store import SqlBoxOfficeStore
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.application.box_office import BoxOffice
from tests.application.conftest import House, furnish
from tests.builders import FakeClock
from tests.faults import Faults
from tests.postgresql import fetch

HOLD_S1 = "SELECT 1 FROM showtime WHERE showtime_id = 's1' FOR NO KEY UPDATE"
WAITING = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_hold_that_ends_while_somebody_waits_for_the_showtime_is_over_for_them(database_url: str) -> None:
    clock = FakeClock()
    database = Database(database_url, clock)
    await furnish(database)
    store = SqlBoxOfficeStore(database)
    box_office = BoxOffice(store, lambda _: None, 1, database.driver.apart)
    box_office.start()
    house = House(database, clock, store, SqlBookingReader(database), box_office, Faults())
    await house.hold("A1")
    async with database.writing() as connection:
        await connection.exec_driver_sql(HOLD_S1)
        late = asyncio.create_task(house.hold("A1", by="bob"))
        async with asyncio.timeout(10):
            while not await fetch(database_url, WAITING):  # noqa: ASYNC110 (of the server)
                await asyncio.sleep(0.01)
        clock.advance(timedelta(minutes=10))
    assert (await late).user_id == "bob"
    await box_office.stop()
    await database.close()
