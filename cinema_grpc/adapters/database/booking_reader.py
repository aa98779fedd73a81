"""Reading bookings, as they are now."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, and_, bindparam, or_, select

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.booking_rows import PARTS, to_bookings
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.prepared import Found, Query, Question, reader_of, select_by
from cinema_grpc.adapters.database.schema import microseconds, moment
from cinema_grpc.adapters.database.showtime_rows import read_booking
from cinema_grpc.application.ports import FoundBooking
from cinema_grpc.domain.booking import Booking, BookingStatus

_BOOKING = schema.booking.c
_SHOWTIME_OF = select_by(schema.booking, ("booking_id",), "showtime_id")
_WHOLE = [
    Query(select(table).where(table.c.booking_id == bindparam("booking_id"))) for table in (schema.booking, *PARTS)
]
_START_OF = Query(
    select(schema.showtime.c.start_time).join(schema.booking).where(_BOOKING.booking_id == bindparam("booking_id"))
)
_READ_PARTS = [reader_of(table) for table in PARTS]


class SqlBookingReader:
    """Reads bookings. Fulfils the port BookingReader."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, booking_id: str) -> FoundBooking | None:
        """Read a booking, or None if there is none of that name."""
        named = [{"booking_id": booking_id}]
        questions: list[Question] = [(query, named) for query in (*_WHOLE, _START_OF)]
        now, (rows, *parts, starts) = await self._database.peek(questions)
        if not rows:
            return None
        (booking,) = _to_bookings(rows, *parts)
        return FoundBooking(booking, moment(starts[0][0]), now)

    async def showtime_of(self, booking_id: str) -> str | None:
        """Tell to which showtime a booking belongs, or None if there is none of that name."""
        _, (found,) = await self._database.peek([(_SHOWTIME_OF, [{"booking_id": booking_id}])])
        return found[0][0] if found else None

    async def of_user(
        self, user_id: str, showtime_id: str, status: BookingStatus | None, after: str, limit: int
    ) -> list[Booking]:
        """Read a user's bookings as they are now, newest first, from the one after `after` on ("" for the first)."""
        queries = _page(status, of_showtime=bool(showtime_id), after=bool(after))
        asked: Mapping[str, Any] = {
            "user_id": user_id,
            "limit": limit,
            **({"showtime_id": showtime_id} if showtime_id else {}),
            **({"after": after} if after else {}),
        }

        def ask(now: datetime) -> list[Question]:
            return [(query, [{**asked, "now": microseconds(now)}]) for query in queries]

        questions = ask if status in _BY_TIME else [(query, [asked]) for query in queries]
        now, (rows, *parts) = await self._database.peek(questions)
        return [booking.as_of(now) for booking in _to_bookings(rows, *parts)]


_BY_TIME = {BookingStatus.RESERVED, BookingStatus.EXPIRED}


@cache
def _page(status: BookingStatus | None, *, of_showtime: bool, after: bool) -> list[Query]:
    """Make the queries for a page of a user's bookings, and for the parts of those on it."""
    page = select(schema.booking).where(_BOOKING.user_id == bindparam("user_id"))
    if of_showtime:
        page = page.where(_BOOKING.showtime_id == bindparam("showtime_id"))
    if status is not None:
        page = page.where(_has_status(status))
    if after:
        page = page.where(_BOOKING.booking_id < bindparam("after"))
    page = page.order_by(_BOOKING.booking_id.desc()).limit(bindparam("limit"))
    listed = page.subquery("page")
    paid_for = select(listed.c.booking_id).where(listed.c.hold_extended)  # nobody tried to pay for the others
    return [Query(page), *(Query(select(table).where(table.c.booking_id.in_(paid_for))) for table in PARTS)]


def _has_status(status: BookingStatus) -> ColumnElement[bool]:
    """Test for a status as it reads `now`: a hold that is over is EXPIRED, written down or not."""
    written = _BOOKING.status == status.value
    over = _BOOKING.hold_expire_time <= bindparam("now", type_=BigInteger)
    if status is BookingStatus.RESERVED:
        return and_(written, ~over)
    if status is BookingStatus.EXPIRED:
        return or_(written, and_(_BOOKING.status == BookingStatus.RESERVED.value, over))
    return written


def _to_bookings(rows: Found, *parts: Found) -> list[Booking]:
    found = ([read(row) for row in some] for read, some in zip(_READ_PARTS, parts, strict=True))
    return to_bookings([read_booking(row) for row in rows], *found)
