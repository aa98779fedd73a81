"""A customer's list of bookings: complete, in order, by every filter, however many bookings are examined for a page."""

import random
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy import insert

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.booking_reader import SqlBookingReader
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.domain.booking import BookingStatus
from tests.builders import NOW, FakeClock
from tests.database import furnish, writing

HOLD = timedelta(minutes=10)
FILTERS = [(showtime_id, status) for showtime_id in ("", "s1", "s2") for status in (None, *BookingStatus)]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, FakeClock())
    await furnish(database)
    yield database
    await database.close()


def booking(number: int, status: BookingStatus, *, showtime_id: str = "s1", by: str = "ada", over: bool = False) -> Any:
    """Make a booking's row."""
    is_settled = status is not BookingStatus.RESERVED
    return {
        "booking_id": f"b{number:06}",
        "showtime_id": showtime_id,
        "user_id": by,
        "status": status.value,
        "seats": '[["A1", 1250, "standard", "standard", "", true]]',
        "wheelchair": False,
        "seat_count": 1,
        "currency_code": "EUR",
        "total_price": 1_250,
        "create_time": NOW - HOLD,
        "hold_expire_time": NOW if over else NOW + HOLD,
        "hold_extended": False,
        "hold_renewed": False,
        "cancel_time": NOW if is_settled else None,
        "revision": number,
    }


async def write(database: Database, rows: list[Any]) -> None:
    """Write bookings down."""
    async with writing(database) as connection:
        await connection.execute(insert(schema.booking), rows)


def as_now(row: Any) -> BookingStatus:
    """Say which status a booking has: a hold that is over is EXPIRED."""
    status = BookingStatus(row["status"])
    over = status is BookingStatus.RESERVED and row["hold_expire_time"] <= NOW
    return BookingStatus.EXPIRED if over else status


async def listed(
    reader: SqlBookingReader, showtime_id: str, status: BookingStatus | None, limit: int, pages: Iterator[int]
) -> list[tuple[str, BookingStatus]]:
    """List Ada's bookings page by page, as the transport does: one more than a page has is asked for."""
    found: list[tuple[str, BookingStatus]] = []
    after = ""
    while True:
        next(pages)
        answer = await reader.of_user("ada", showtime_id, status, after, limit + 1)
        some = answer.entries[:limit]
        found += [(each.booking_id, each.status) for each in some]
        if len(answer.entries) > limit:
            after = some[-1].booking_id
        elif answer.end:
            assert answer.end < (after or "z")
            after = answer.end
        else:
            return found


@pytest.mark.parametrize("examined", [4, 1_000])
async def test_a_list_is_complete_and_in_order(database: Database, examined: int) -> None:
    """Page by page, with holds that are over among the others, and another customer's bookings between them."""
    chance = random.Random(7)  # noqa: S311 (no secret)
    rows = [
        booking(
            number,
            chance.choice([BookingStatus.RESERVED, *BookingStatus]),
            showtime_id=chance.choice(["s1", "s2"]),
            by=chance.choice(["ada", "ada", "bob"]),
            over=chance.random() < 0.5,
        )
        for number in range(80)
    ]
    await write(database, rows)
    reader = SqlBookingReader(database, examined)
    for showtime_id, status in FILTERS:
        expected = [
            (row["booking_id"], as_now(row))
            for row in reversed(rows)
            if row["user_id"] == "ada"
            and row["showtime_id"] in {showtime_id or "s1", showtime_id or "s2"}
            and status in {None, as_now(row)}
        ]
        assert expected
        for limit in (3, 200):
            pages = count()
            assert await listed(reader, showtime_id, status, limit, pages) == expected, (showtime_id, status, limit)
            if examined == 1_000:
                assert next(pages) == max(1, -(-len(expected) // limit))
