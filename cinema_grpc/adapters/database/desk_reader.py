"""Reads bookings of any customer, as they are now."""

from collections.abc import Sequence
from datetime import datetime
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
from cinema_grpc.adapters.database.account_store import USER, to_user
from cinema_grpc.adapters.database.booking_detail import booking_detail
from cinema_grpc.adapters.database.booking_rows import COLUMNS, read_booking
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.statements import Query
from cinema_grpc.application.desk_ports import CustomerBooking
from cinema_grpc.application.ports import Page
from cinema_grpc.domain.booking import BookingStatus

MAX_EXAMINED = 1_000
"""How many bookings of a showtime that are not on hold a page examines at most, to find those with a status or a seat.

Those on hold are found by their seats, of which an auditorium has 2,000 at most.
"""
_BOOKING, _CLAIM = schema.booking.c, schema.seat_claim.c
_WITH_CUSTOMER = select(*COLUMNS, *(column.label(f"customer_{column.name}") for column in USER)).join_from(
    booking_detail, schema.account, schema.account.c.user_id == booking_detail.c.user_id
)
_BY_ID = Query(_WITH_CUSTOMER.where(booking_detail.c.booking_id == bindparam("booking_id")))
_BY_TICKET = Query(
    _WITH_CUSTOMER.join(schema.ticket, schema.ticket.c.booking_id == booking_detail.c.booking_id).where(
        schema.ticket.c.code == bindparam("code")
    )
)


class SqlDeskReader:
    """Reads bookings of any customer. Fulfils DeskReader."""

    def __init__(self, database: Database, examined: int = MAX_EXAMINED) -> None:
        """Set up.

        Args:
            database: The database.
            examined: How many bookings that are not on hold a page examines at most.
        """
        self._database = database
        self._examined = examined

    async def by_id(self, booking_id: str) -> CustomerBooking | None:
        """Return a booking, or None."""
        now, rows = await self._database.read(_BY_ID, booking_id=booking_id)
        return _with_customer(rows[0], now) if rows else None

    async def by_ticket(self, code: str) -> CustomerBooking | None:
        """Return the booking of a ticket, or None."""
        now, rows = await self._database.read(_BY_TICKET, code=code)
        return _with_customer(rows[0], now) if rows else None

    async def of_showtime(
        self, showtime_id: str, seat: str, status: BookingStatus | None, after: str, limit: int
    ) -> Page[CustomerBooking]:
        """Return a showtime's bookings, newest first.

        However many bookings the showtime has, it examines at most MAX_EXAMINED that are not on hold.
        """
        query = _page(status, of_seat=bool(seat), after=bool(after))
        most = self._examined if seat or status else limit
        optional: dict[str, Any] = {"after": after} if after else {}
        if seat:
            optional |= {"seat": seat, "entry": f'%["{seat}",%'}
        now, rows = await self._database.read(query, showtime_id=showtime_id, limit=limit, examined=most, **optional)
        examined, oldest = rows[0][:2]
        # If the limit was reached, others may belong between those that are older than the oldest examined.
        end = oldest if examined == most else ""
        found = [_with_customer(row, now) for _, _, *row in rows if row[0] is not None]
        entries = [each for each in found if each.booking.booking_id >= end]
        return Page(entries, end if len(entries) < limit else "")


@cache
def _page(status: BookingStatus | None, *, of_seat: bool, after: bool) -> Query:
    """Make the query for a page of a showtime's bookings.

    Each row begins with how many bookings that are not on hold the page examined, and the oldest of them. If the page
    is empty, one row has nulls for the booking.
    """
    ended = _ended(after=after)
    selected: Select[Any] = select(ended.c.booking_id)
    if of_seat:
        selected = selected.where(ended.c.seats.like(bindparam("entry")))
    if status is not None:
        selected = selected.where(ended.c.status == literal_column(f"'{status.value}'", Text))
    found = [selected]
    if status in {None, BookingStatus.RESERVED, BookingStatus.EXPIRED}:
        found.append(_on_hold(status, of_seat=of_seat, after=after))
    both = union_all(*found).subquery("found")
    page = select(both.c.booking_id).order_by(both.c.booking_id.desc()).limit(bindparam("limit")).subquery("page")
    bookings = _WITH_CUSTOMER.join(page, page.c.booking_id == booking_detail.c.booking_id).subquery("bookings")
    counted = select(
        func.count().label("examined"), func.coalesce(func.min(ended.c.booking_id), "").label("oldest")
    ).subquery("counted")
    rows = select(counted, bookings).select_from(counted.outerjoin(bookings, true()))
    return Query(rows.order_by(bookings.c.booking_id.desc()))


def _ended(*, after: bool) -> Subquery:
    """Select the newest bookings of a showtime that are not on hold, as many as are examined."""
    found = select(_BOOKING.booking_id, _BOOKING.status, _BOOKING.seats).where(
        _BOOKING.showtime_id == bindparam("showtime_id"), text(f"booking.{schema.NOT_RESERVED}")
    )
    if after:
        found = found.where(_BOOKING.booking_id < bindparam("after"))
    return found.order_by(_BOOKING.booking_id.desc()).limit(bindparam("examined")).subquery("ended")


def _on_hold(status: BookingStatus | None, *, of_seat: bool, after: bool) -> Select[Any]:
    """Select the RESERVED bookings of a showtime by their seats, those with a status now if one is given."""
    found = (
        select(_CLAIM.booking_id)
        .distinct()
        .join(schema.booking, _BOOKING.booking_id == _CLAIM.booking_id)
        .where(_CLAIM.showtime_id == bindparam("showtime_id"), _BOOKING.status == schema.RESERVED)
    )
    if of_seat:
        found = found.where(_CLAIM.seat == bindparam("seat"))
    if after:
        found = found.where(_CLAIM.booking_id < bindparam("after"))
    if status is not None:
        lapsed = _BOOKING.hold_expire_time <= bindparam("now", type_=BigInteger)
        found = found.where(lapsed if status is BookingStatus.EXPIRED else ~lapsed)
    return found


def _with_customer(row: Sequence[Any], now: datetime) -> CustomerBooking:
    booking, customer = row[: len(COLUMNS)], row[len(COLUMNS) :]
    return CustomerBooking(read_booking(booking).as_of(now), to_user(customer))
