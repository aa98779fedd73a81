"""Bookings as staff look for them: complete, in order, by every filter, however many are examined for a page."""

import random
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.desk_reader import SqlDeskReader
from cinema_grpc.domain.booking import BookingStatus
from tests.builders import NOW
from tests.store.desk_rows import booking, claims, furnished, seats, write

FILTERS = list(product(("", "A1", "A2"), (None, *BookingStatus)))
LAPSED = {"hold_expire_time": NOW}


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with furnished(database_url) as database:
        yield database


async def test_a_booking_with_its_customer(database: Database) -> None:
    """By its identifier, and by the code of a ticket; a lapsed hold reads EXPIRED."""
    await write(database, schema.booking, [booking(1, user_id="bob"), booking(2, "RESERVED", **LAPSED)])
    ticket = {"ticket_id": "t1", "booking_id": "b000001", "seat": "A1", "code": "a secret"}
    await write(database, schema.ticket, [ticket])
    reader = SqlDeskReader(database)
    found = await reader.by_id("b000001")
    assert found is not None
    assert (found.booking.booking_id, found.booking.status) == ("b000001", BookingStatus.CONFIRMED)
    assert [each.code for each in found.booking.tickets] == ["a secret"]
    customer = found.customer
    assert (customer.user_id, customer.username, customer.full_name, customer.email) == (
        "bob",
        "Bob",
        "Bob",
        "bob@example.com",
    )
    assert await reader.by_ticket("a secret") == found
    assert await reader.by_ticket("another") is await reader.by_id("none") is await reader.by_id("nul\0") is None
    lapsed = await reader.by_id("b000002")
    assert lapsed is not None
    assert lapsed.booking.status is BookingStatus.EXPIRED


def as_now(row: Any) -> BookingStatus:
    """Return the status of a booking now."""
    status = BookingStatus(row["status"])
    is_lapsed = status is BookingStatus.RESERVED and row["hold_expire_time"] <= NOW
    return BookingStatus.EXPIRED if is_lapsed else status


@pytest.mark.parametrize("examined", [4, 1_000])
async def test_a_list_is_complete_and_in_order(database: Database, examined: int) -> None:
    """Page by page, with lapsed holds and bookings of another showtime among the others."""
    chance = random.Random(3)  # noqa: S311 (no secret)
    rows: list[dict[str, Any]] = []
    free = {name: list(range(3, 60)) for name in ("s1", "s2")}
    for number in range(90):
        showtime_id = chance.choice(["s1", "s1", "s2"])
        status = chance.choice(["CANCELLED", "EXPIRED", "EXPIRED", "RESERVED", "CONFIRMED"])
        if status in {"CANCELLED", "EXPIRED"}:
            booked = seats(1_250, first=chance.choice([1, 1, 2, 3, 11]))
        else:
            booked = seats(1_250, 1_250, first=free[showtime_id].pop(0) * 2)
        lapsed = LAPSED if chance.random() < 0.5 else {}
        rows.append(booking(number, status, seats=booked, showtime_id=showtime_id, **lapsed))
    # One booking keeps A1 and A2, on hold or cancelled in part.
    rows.append(booking(90, "RESERVED", seats=seats(1_250, 1_250)))
    rows.append(booking(91, "RESERVED", seats=seats(1_250, 1_250), showtime_id="s2", **LAPSED))
    await write(database, schema.booking, rows)
    await write(database, schema.seat_claim, claims(rows))
    reader = SqlDeskReader(database, examined)
    for showtime_id, (seat, status) in product(("s1", "s2"), FILTERS):
        expected = [
            (row["booking_id"], as_now(row))
            for row in reversed(rows)
            if row["showtime_id"] == showtime_id
            and (not seat or f'"{seat}",' in row["seats"])
            and status in {None, as_now(row)}
        ]
        for limit in (3, 200):
            found: list[tuple[str, BookingStatus]] = []
            after, pages = "", 0
            while True:
                page = await reader.of_showtime(showtime_id, seat, status, after, limit)
                pages += 1
                found += [(each.booking.booking_id, each.booking.status) for each in page.entries]
                if len(page.entries) < limit and not page.end:
                    break
                assert page.end == "" or page.end < (after or "z")
                after = page.end or found[-1][0]
            assert found == expected, (showtime_id, seat, status, limit)
            if examined == 1_000:
                assert pages == len(expected) // limit + 1


async def test_a_seat_that_was_cancelled(database: Database) -> None:
    """A booking that lost only this seat is found by it."""
    parted = [["A1", 1_250, "standard", "adult", "", False], ["A2", 1_250, "standard", "adult", "", True]]
    rows = [booking(1, seats=parted), booking(2, "CANCELLED"), booking(3, seats=seats(1_250, first=11))]
    await write(database, schema.booking, rows)
    reader = SqlDeskReader(database)
    for seat, expected in {"A1": ["b000002", "b000001"], "A2": ["b000001"], "A11": ["b000003"], "A3": []}.items():
        found = await reader.of_showtime("s1", seat, None, "", 50)
        assert [each.booking.booking_id for each in found.entries] == expected


async def test_nothing_to_find(database: Database) -> None:
    reader = SqlDeskReader(database)
    for showtime_id in ("none", "nul\0", "s1"):
        for status in (None, BookingStatus.CONFIRMED):
            found = await reader.of_showtime(showtime_id, "", status, "", 50)
            assert (list(found.entries), found.end) == ([], "")


async def test_a_page_at_a_time_the_hold_ends(database: Database) -> None:
    """A hold reads EXPIRED from its end on, to the microsecond."""
    microsecond = timedelta(microseconds=1)
    rows = [
        booking(1, "RESERVED", seats=seats(1), hold_expire_time=NOW + microsecond),
        booking(2, "RESERVED", seats=seats(1, first=2), hold_expire_time=NOW),
    ]
    await write(database, schema.booking, rows)
    await write(database, schema.seat_claim, claims(rows))
    reader = SqlDeskReader(database)
    for status, expected in {BookingStatus.RESERVED: ["b000001"], BookingStatus.EXPIRED: ["b000002"]}.items():
        found = await reader.of_showtime("s1", "", status, "", 50)
        assert [each.booking.booking_id for each in found.entries] == expected
