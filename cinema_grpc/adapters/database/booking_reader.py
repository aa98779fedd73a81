"""Reading bookings, as they are now."""

from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Select, Subquery, Text, bindparam, func, literal_column, select, text, union_all

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.booking_rows import PARTS, to_bookings
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.prepared import Found, Query, Question, reader_of, select_by
from cinema_grpc.adapters.database.schema import microseconds, moment
from cinema_grpc.adapters.database.showtime_rows import read_booking
from cinema_grpc.application.ports import FoundBooking, FoundBookings
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


MOST_EXAMINED = 1_000
"""How many RESERVED bookings of a user are examined for a page, to see whose hold is over. Few users ever have as many:
what is over is written down soon, and seats on hold are limited. Then a page is short and another one follows."""


class SqlBookingReader:
    """Reads bookings. Fulfils the port BookingReader."""

    def __init__(self, database: Database, examined: int = MOST_EXAMINED) -> None:
        """Set up.

        Args:
            database: Where bookings are kept.
            examined: How many RESERVED bookings are examined for a page at most.
        """
        self._database = database
        self._examined = examined

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
    ) -> FoundBookings:
        """Read a user's bookings as they are now, newest first, from the one after `after` on ("" for the first).

        However many bookings the user has, `limit` of each status are read at most, and MOST_EXAMINED of those that
        are RESERVED: whether their hold is over depends on the time, so no index tells.
        """
        page, slice_end = _page(status, of_showtime=bool(showtime_id), after=bool(after))
        asked: dict[str, Any] = {
            "user_id": user_id,
            "limit": limit,
            **({"showtime_id": showtime_id} if showtime_id else {}),
            **({"after": after} if after else {}),
        }
        if slice_end is not None:
            asked["examined"] = self._examined
        queries = [*page, slice_end] if slice_end is not None else page

        def ask(now: datetime) -> list[Question]:
            return [(query, [{**asked, "now": microseconds(now)}]) for query in queries]

        questions = ask if status in _BY_TIME else [(query, [asked]) for query in queries]
        now, (rows, *parts) = await self._database.peek(questions)
        end = ""
        if slice_end is not None:
            ((examined, oldest),) = parts.pop()
            if examined == self._examined:  # others may stand among what comes after the oldest
                end = oldest
                rows = [row for row in rows if row[0] >= end]
        bookings = [booking.as_of(now) for booking in _to_bookings(rows, *parts)]
        return FoundBookings(bookings, end if len(bookings) < limit else "")


_BY_TIME = {BookingStatus.RESERVED, BookingStatus.EXPIRED}


@cache
def _page(status: BookingStatus | None, *, of_showtime: bool, after: bool) -> tuple[list[Query], Query | None]:
    """Make the queries for a page of a user's bookings and for the parts of those on it, and of what it examines.

    The last one gives how many RESERVED bookings the page examines and which of them is the oldest; None if it reads
    no more of those than there are on the page.
    """
    written = list(BookingStatus) if status is None else [status]
    if status is BookingStatus.EXPIRED:
        written.append(BookingStatus.RESERVED)
    newest = [_newest(each, status, of_showtime=of_showtime, after=after) for each in written]
    found = union_all(*(select(each.subquery()) for each in newest)).subquery("found")
    page = select(found).order_by(found.c.booking_id.desc()).limit(bindparam("limit"))
    listed = page.subquery("page")
    paid_for = select(listed.c.booking_id).where(listed.c.hold_extended)  # nobody tried to pay for the others
    queries = [Query(page), *(Query(select(table).where(table.c.booking_id.in_(paid_for))) for table in PARTS)]
    if BookingStatus.RESERVED not in written or not (of_showtime or status):
        return queries, None
    slice_end: Any = select(func.count(), func.min(_reserved(after=after).c.booking_id))
    return queries, Query(slice_end)


def _newest(written: BookingStatus, status: BookingStatus | None, *, of_showtime: bool, after: bool) -> Select[Any]:
    """Find the newest bookings of a user that are written down with one status, and have one now, if that is given."""
    if written is BookingStatus.RESERVED and (of_showtime or status):
        reserved = _reserved(after=after)
        found = select(reserved).order_by(reserved.c.booking_id.desc())
        if of_showtime:
            found = found.where(reserved.c.showtime_id == bindparam("showtime_id"))
        if status is not None:
            over = reserved.c.hold_expire_time <= bindparam("now", type_=BigInteger)
            found = found.where(over if status is BookingStatus.EXPIRED else ~over)
        return found.limit(bindparam("limit"))
    found = _of_user(written, after=after)
    if of_showtime:
        # The condition of the index, as it says it, since SQLite draws no conclusions.
        found = found.where(_BOOKING.showtime_id == bindparam("showtime_id"), text(f"booking.{schema.SETTLED_BOOKING}"))
    return found.limit(bindparam("limit"))


def _reserved(*, after: bool) -> Subquery:
    """Take the newest RESERVED bookings of a user, no more than are examined."""
    return _of_user(BookingStatus.RESERVED, after=after).limit(bindparam("examined")).subquery("reserved")


def _of_user(written: BookingStatus, *, after: bool) -> Select[Any]:
    """Find the bookings of a user that are written down with one status, newest first."""
    has_status = _BOOKING.status == literal_column(f"'{written.value}'", Text)
    found = select(schema.booking).where(_BOOKING.user_id == bindparam("user_id"), has_status)
    if after:
        found = found.where(_BOOKING.booking_id < bindparam("after"))
    return found.order_by(_BOOKING.booking_id.desc())


def _to_bookings(rows: Found, *parts: Found) -> list[Booking]:
    found = ([read(row) for row in some] for read, some in zip(_READ_PARTS, parts, strict=True))
    return to_bookings([read_booking(row) for row in rows], *found)
