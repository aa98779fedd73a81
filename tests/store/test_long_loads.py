"""Loading showtimes with thousands of bookings: other tasks of the process go on meanwhile."""

import asyncio

from cinema_grpc.adapters.database import box_office_store
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.application.box_office.store import LoadRequest
from cinema_grpc.domain.booking import BookingStatus
from tests.builders import FakeClock
from tests.database import furnish
from tests.store.test_booking_lists import booking, write

BOOKINGS = 1_000


async def test_others_get_a_turn_while_bookings_are_read(database_url: str) -> None:
    database = Database(database_url, FakeClock())
    await furnish(database)
    rows = [booking(number, BookingStatus.CANCELLED) for number in range(BOOKINGS)]
    await write(database, rows)
    request = box_office_store._parameters(LoadRequest({"s1": None}, [each["booking_id"] for each in rows]))
    (row,) = await database.read_named("load", **request)
    await database.close()
    reading = asyncio.create_task(box_office_store._read_loaded(row))
    turns = 0
    while not reading.done():
        await asyncio.sleep(0)
        turns += 1
    assert len(reading.result().showtimes["s1"].bookings) == BOOKINGS
    assert turns > BOOKINGS // box_office_store.BOOKINGS_IN_TURN
