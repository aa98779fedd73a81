"""A page of a list costs the same however much there is that is not on it, whatever the filters."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from itertools import product

import pytest
from sqlalchemy import insert

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.booking_reader import SqlBookingReader
from cinema_grpc.adapters.database.catalog_store import SqlCatalogStore
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.listings_reader import SqlListingsReader
from cinema_grpc.application.ports import ShowtimeFilter
from cinema_grpc.domain.booking import BookingStatus
from tests.builders import NOW, FakeClock
from tests.database import furnish, writing
from tests.store.programme import auditorium, cinema, movie
from tests.store.test_booking_lists import booking, write
from tests.store.work import Meter

Call = Callable[[], Awaitable[object]]
FEW, MANY = 150, 1_500
PAGE = 11
HOUR = timedelta(hours=1)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, FakeClock())
    yield database
    await database.close()


@pytest.fixture
def meter(database: Database) -> Meter:
    return Meter(database)


async def costs(meter: Meter, calls: dict[str, Call]) -> dict[str, int]:
    """Count the work for each call; twice, as the first time something may be kept in memory."""
    for call in calls.values():
        await call()
    if meter._database.driver.shared:
        async with writing(meter._database) as connection:  # as the database does by itself, sooner or later
            await connection.exec_driver_sql("ANALYZE")
    return {name: await meter.measure(call) for name, call in calls.items()}


def too_much(few: dict[str, int], many: dict[str, int]) -> dict[str, tuple[int, int]]:
    """Return the calls that cost more with much else there than with little; a tree may have a level more."""
    return {name: (few[name], many[name]) for name in few if many[name] > 1.5 * few[name] + 100}


async def test_a_customer_with_many_bookings(database: Database, meter: Meter) -> None:
    """All given up, and in one showtime; one of each status in another showtime are the oldest of all."""
    status = BookingStatus.CANCELLED
    await furnish(database)
    others = [booking(number, each, showtime_id="s2") for number, each in enumerate(BookingStatus)]
    await write(database, [*others, *(booking(number, status) for number in range(100, FEW))])
    reader = SqlBookingReader(database)
    calls: dict[str, Call] = {
        f"{showtime_id} {wanted} {after}": lambda showtime_id=showtime_id, wanted=wanted, after=after: reader.of_user(  # type: ignore[misc]
            "ada", showtime_id, wanted, after, PAGE
        )
        for showtime_id in ("", "s1", "s2")
        for wanted in (None, *BookingStatus)
        for after in ("", "b000120")
    }
    few = await costs(meter, calls)
    await write(database, [booking(number, status) for number in range(FEW, MANY)])
    assert too_much(few, await costs(meter, calls)) == {}


async def test_a_customer_with_many_holds(database: Database, meter: Meter) -> None:
    """Whose they are tells no index whether they are over: so many are examined for a page, and no more."""
    await furnish(database)
    await write(database, [booking(number, BookingStatus.RESERVED) for number in range(FEW)])
    reader = SqlBookingReader(database, examined=100)
    calls: dict[str, Call] = {
        f"{showtime_id} {wanted}": lambda showtime_id=showtime_id, wanted=wanted: reader.of_user(  # type: ignore[misc]
            "ada", showtime_id, wanted, "", PAGE
        )
        for showtime_id in ("", "s1", "s2")
        for wanted in (None, BookingStatus.RESERVED, BookingStatus.EXPIRED)
    }
    few = await costs(meter, calls)
    await write(database, [booking(number, BookingStatus.RESERVED) for number in range(FEW, MANY)])
    assert too_much(few, await costs(meter, calls)) == {}


async def add_showtimes(database: Database, first: int, last: int) -> None:
    """Put showtimes on: the first movie in the first cinema, the second in the second, four at a time."""
    rows = [
        {
            "showtime_id": f"showtime-{number:06}",
            "movie_id": f"movie-{1 + number % 2:04}",
            "auditorium_id": f"auditorium-{1 + number % 4:04}",
            "cinema_id": f"cinema-{1 + number % 2:04}",
            "start_time": NOW + HOUR * (1 + number // 500),
            "end_time": NOW + HOUR * (2 + number // 500),
            "currency_code": "EUR",
            "status": "SCHEDULED",
            "prices": '[["standard", "standard", 1250, ""]]',
            "seat_gap_policy": "ALLOW",
            "taken_seats": 0,
            "revision": 0,
            "commit_id": "made",
            "terms_revision": 0,
            "latest_time": NOW,
        }
        for number in range(first, last)
    ]
    async with writing(database) as connection:
        await connection.execute(insert(schema.showtime), rows)


async def test_a_programme_with_many_showtimes(database: Database, meter: Meter) -> None:
    """By all combinations of filters, those that nothing fits too; hundreds of them start at once."""
    store = SqlCatalogStore(database)
    for number in (1, 2, 3):
        await store.add(movie(number), None)
        await store.add(cinema(number), None)
    for number in (1, 2, 3, 4):
        await store.add(auditorium(number, of=2 - number % 2), None)
    await add_showtimes(database, 0, FEW)
    reader = SqlListingsReader(database)
    starts: list[tuple[datetime, str] | None] = [None, (NOW + HOUR, "showtime-000100")]
    calls: dict[str, Call] = {}
    for movie_id, cinema_id, auditorium_id, start_from, after in product(
        ("", "movie-0001", "movie-0003"),
        ("", "cinema-0001", "cinema-0002"),
        ("", "auditorium-0001"),
        (None, NOW),
        starts,
    ):
        condition = ShowtimeFilter(movie_id, cinema_id, auditorium_id, start_from, NOW + 2 * HOUR if after else None)
        calls[f"{condition} {after}"] = lambda condition=condition, after=after: reader.page(condition, after, PAGE)  # type: ignore[misc]
    few = await costs(meter, calls)
    await add_showtimes(database, FEW, MANY)
    assert too_much(few, await costs(meter, calls)) == {}
