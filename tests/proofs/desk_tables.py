"""The bookings of a showtime as the tables have them, and the impact that a change has by these."""

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from cinema_grpc.adapters.database.column_types import microseconds
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.showtime_changes import Impact


class BookingRow(NamedTuple):
    """What the tables say of a booking; `refunded` is the sum of its refunds, paid or not."""

    booking_id: str
    status: str
    cancel_cause: str | None
    confirm_time: int | None
    hold_expire_time: int
    seats: list[list[Any]]
    total_price: int
    refunded: int
    being_paid: bool

    @property
    def active(self) -> int:
        """How many of its seats are active."""
        return sum(bool(seat[-1]) for seat in self.seats)


BOOKINGS = """
    SELECT showtime.revision, booking.booking_id, booking.status, cancel_cause, confirm_time, hold_expire_time,
        booking.seats, total_price,
        (SELECT coalesce(sum(amount), 0) FROM refund WHERE refund.booking_id = booking.booking_id),
        EXISTS (
            SELECT 1 FROM payment_attempt AS attempt
            WHERE attempt.booking_id = booking.booking_id AND attempt.status IN ('OPEN', 'VOIDING')
        )
    FROM showtime LEFT JOIN booking ON booking.showtime_id = showtime.showtime_id
    WHERE showtime.showtime_id = :showtime_id
"""


class Tables:
    """Reads the tables, on one connection of its own."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._lock = asyncio.Lock()

    async def rows(self, query: str, **parameters: object) -> Sequence[Any]:
        """Run a query on what is committed."""
        async with self._lock:
            rows = (await self._connection.execute(text(query), parameters)).all()
            await self._connection.rollback()  # it must not be in the way of others
            return rows

    async def look_up(self, showtime_id: str) -> tuple[int, list[BookingRow]]:
        """Return the revision of a showtime and its bookings, of one moment."""
        rows = await self.rows(BOOKINGS, showtime_id=showtime_id)
        bookings = [
            BookingRow(
                each[1],
                each[2],
                each[3],
                each[4],
                each[5],
                json.loads(each[6]),
                int(each[7]),
                int(each[8]),
                bool(each[9]),
            )
            for each in rows
            if each[1] is not None
        ]
        return rows[0][0], bookings


def standing(bookings: Sequence[BookingRow], now: datetime) -> list[BookingRow]:
    """Return the bookings that keep seats at `now`."""
    at = microseconds(now)
    return [
        each
        for each in bookings
        if each.status == "CONFIRMED" or (each.status == "RESERVED" and each.hold_expire_time > at)
    ]


def impact_of(bookings: Sequence[BookingRow], *, cancelled: bool) -> Impact:
    """Return what changing a showtime with these bookings affects, from the tables alone."""
    confirmed = [each for each in bookings if each.confirm_time is not None]
    return Impact(
        confirmed_bookings=len(confirmed),
        reserved_bookings=len(bookings) - len(confirmed),
        payments_in_progress=sum(each.being_paid for each in bookings),
        seats=sum(each.active for each in bookings),
        redeemed_tickets=0,
        refund_total=Money("EUR", sum(each.total_price - each.refunded for each in confirmed) if cancelled else 0),
    )
