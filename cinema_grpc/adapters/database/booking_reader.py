"""Reads bookings, as they are now."""

from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Select,
    Subquery,
    Text,
    bindparam,
    func,
    literal_column,
    select,
    text,
    true,
    union_all,
)

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.booking_detail import booking_detail
from cinema_grpc.adapters.database.booking_rows import COLUMNS, read_booking
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.statements import Query
from cinema_grpc.adapters.database.terms_rows import read_moves
from cinema_grpc.application.ports import FoundBooking, Page
from cinema_grpc.domain.booking import Booking, BookingStatus

MAX_EXAMINED = 1_000
"""How many RESERVED bookings of a user a page examines at most, to see whose hold has lapsed.

Few users ever have as many: lapsed holds are soon EXPIRED, and seats on hold are limited. If one has,
pages are short.
"""
_BOOKING = schema.booking.c
_FIND = Query(
    select(schema.showtime.c.start_time, schema.showtime.c.moves, *COLUMNS)
    .join(schema.showtime, schema.showtime.c.showtime_id == booking_detail.c.showtime_id)
    .where(booking_detail.c.booking_id == bindparam("booking_id"))
)
_SHOWTIME_OF = Query(select(_BOOKING.showtime_id).where(_BOOKING.booking_id == bindparam("booking_id")))


class SqlBookingReader:
    """Reads bookings. Fulfils BookingReader."""

    def __init__(self, database: Database, examined: int = MAX_EXAMINED) -> None:
        """Set up.

        Args:
            database: The database.
            examined: How many RESERVED bookings a page examines at most.
        """
        self._database = database
        self._examined = examined

    async def find(self, booking_id: str) -> FoundBooking | None:
        """Return a booking, or None."""
        now, rows = await self._database.read(_FIND, booking_id=booking_id)
        if not rows:
            return None
        start_time, moves, *booking = rows[0]
        return FoundBooking(read_booking(booking), start_time, read_moves(moves), now)

    async def showtime_of(self, booking_id: str) -> str | None:
        """Return the showtime_id of a booking, or None."""
        _, rows = await self._database.read(_SHOWTIME_OF, booking_id=booking_id)
        return rows[0][0] if rows else None

    async def of_user(
        self, user_id: str, showtime_id: str, status: BookingStatus | None, after: str, limit: int
    ) -> Page[Booking]:
        """Return a user's bookings as they are now, newest first.

        However many bookings the user has, it reads at most `limit` of each status, and examines at most MAX_EXAMINED
        RESERVED ones: whether their hold has lapsed depends on the time, so no index finds them.
        """
        query = _page(status, of_showtime=bool(showtime_id), after=bool(after))
        optional: dict[str, Any] = {
            name: value for name, value in (("showtime_id", showtime_id), ("after", after)) if value
        }
        now, rows = await self._database.read(query, user_id=user_id, limit=limit, examined=self._examined, **optional)
        examined, oldest = rows[0][:2]
        # If the limit was reached, others may belong between those that are older than the oldest examined.
        end = oldest if examined == self._examined else ""
        found = (read_booking(booking) for _, _, *booking in rows if booking[0] is not None)
        bookings = [booking.as_of(now) for booking in found if booking.booking_id >= end]
        return Page(bookings, end if len(bookings) < limit else "")


@cache
def _page(status: BookingStatus | None, *, of_showtime: bool, after: bool) -> Query:
    """Make the query for a page of a user's bookings.

    Each row begins with how many RESERVED bookings the page examined, and the oldest of them; 0 and "" if there was
    nothing to examine. If the page is empty, one row has nulls for the booking.
    """
    stored = list(BookingStatus) if status is None else [status]
    if status is BookingStatus.EXPIRED:
        stored.append(BookingStatus.RESERVED)
    newest = (_newest(each, status, of_showtime=of_showtime, after=after).subquery() for each in stored)
    found = union_all(*map(select, newest)).subquery("found")
    page = select(found.c.booking_id).order_by(found.c.booking_id.desc()).limit(bindparam("limit")).subquery("page")
    bookings = select(*COLUMNS).join(page, page.c.booking_id == booking_detail.c.booking_id).subquery("bookings")
    examined: Any = select(literal_column("0").label("examined"), literal_column("''").label("oldest"))
    if BookingStatus.RESERVED in stored and (of_showtime or status):
        examined = select(func.count().label("examined"), func.min(_reserved(after=after).c.booking_id).label("oldest"))
    counted = examined.subquery("counted")
    rows = select(counted, bookings).select_from(counted.outerjoin(bookings, true()))
    return Query(rows.order_by(bookings.c.booking_id.desc()))


def _newest(stored: BookingStatus, status: BookingStatus | None, *, of_showtime: bool, after: bool) -> Select[Any]:
    """Select the newest bookings of a user with a stored status that have another status now, if one is given."""
    if stored is BookingStatus.RESERVED and (of_showtime or status):
        reserved = _reserved(after=after)
        found = select(reserved.c.booking_id).order_by(reserved.c.booking_id.desc())
        if of_showtime:
            found = found.where(reserved.c.showtime_id == bindparam("showtime_id"))
        if status is not None:
            lapsed = reserved.c.hold_expire_time <= bindparam("now", type_=BigInteger)
            found = found.where(lapsed if status is BookingStatus.EXPIRED else ~lapsed)
        return found.limit(bindparam("limit"))
    found = _of_user(stored, after=after)
    if of_showtime:
        # The condition of the partial index in its own words, since SQLite does not derive it from the status.
        found = found.where(_BOOKING.showtime_id == bindparam("showtime_id"), text(f"booking.{schema.NOT_RESERVED}"))
    return found.limit(bindparam("limit"))


def _reserved(*, after: bool) -> Subquery:
    """Select the newest RESERVED bookings of a user, as many as are examined."""
    columns = (_BOOKING.showtime_id, _BOOKING.hold_expire_time)
    newest = _of_user(BookingStatus.RESERVED, after=after).add_columns(*columns)
    return newest.limit(bindparam("examined")).subquery("reserved")


def _of_user(stored: BookingStatus, *, after: bool) -> Select[Any]:
    """Select the bookings of a user with a stored status, newest first."""
    is_reserved = stored is BookingStatus.RESERVED
    value = schema.RESERVED if is_reserved else literal_column(f"'{stored.value}'", Text)
    found = select(_BOOKING.booking_id).where(_BOOKING.user_id == bindparam("user_id"), _BOOKING.status == value)
    if after:
        found = found.where(_BOOKING.booking_id < bindparam("after"))
    return found.order_by(_BOOKING.booking_id.desc())
