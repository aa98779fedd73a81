"""Reads sales, cancellations and conflicts at the door for reports, in the order of time."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence, Set
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Column, Select, bindparam, func, select, text

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.column_types import from_json, microseconds
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.statements import Query
from cinema_grpc.application.sales_report import SalesFilter
from cinema_grpc.domain.sales import ONLINE, PricedSeat, SalesEvent, distribute

EVENTS_A_WINDOW = 500
"""How many events of all cinemas a query covers. A commit of the box office may add up to 256 at the same moment."""
EVENTS_A_PART = 50
"""How many events are handed over at a time; each may be of 100 seats."""

_BOOKING, _REFUND, _SHOWTIME = schema.booking.c, schema.refund.c, schema.showtime.c
_AUDITORIUM, _REDEMPTION, _TICKET = schema.auditorium.c, schema.redemption.c, schema.ticket.c
_TIME_ZONE = Query(select(schema.cinema.c.time_zone).where(schema.cinema.c.cinema_id == bindparam("cinema_id")))
_EVENT = [
    _SHOWTIME.showtime_id,
    _SHOWTIME.movie_id,
    _AUDITORIUM.total_seats,
    _BOOKING.currency_code,
    _BOOKING.tender,
    _BOOKING.seats,
]
"""The columns of every event, after its time."""
_REFUNDS = Query(
    select(_REFUND.create_time, _REFUND.seats, _REFUND.amount).where(_REFUND.booking_id == bindparam("booking_id"))
)


class SqlSalesReader:
    """Reads sales, cancellations and conflicts. Fulfils SalesReader.

    Indexes have the times of all cinemas' sales, of all refunds, and of all conflicts. They are read in windows of time
    that hold EVENTS_A_WINDOW each, so no query takes long; of other cinemas only the index and the showtime are read.
    """

    def __init__(self, database: Database, window: int = EVENTS_A_WINDOW) -> None:
        """Set up.

        Args:
            database: The database.
            window: How many events a query covers.
        """
        self._database = database
        self._window = window

    async def time_zone(self, cinema_id: str) -> str | None:
        """Return the time zone of a cinema, or None."""
        _, rows = await self._database.read(_TIME_ZONE, cinema_id=cinema_id)
        return rows[0][0] if rows else None

    async def events(
        self, sales: SalesFilter, start: datetime, end: datetime, *, by_seat: bool = False
    ) -> AsyncIterator[Sequence[SalesEvent]]:
        """Read sales, then cancellations, then conflicts from `start` until before `end`."""
        async for rows in self._windows(_BOOKING.confirm_time, sales, start, end):
            yield [_sale(row) for row in rows]
        async for rows in self._windows(_REFUND.create_time, sales, start, end):
            yield [await self._cancellation(row, by_seat=by_seat) for row in rows]
        async for rows in self._windows(_REDEMPTION.redeem_time, sales, start, end):
            yield [_conflict(row) for row in rows]

    async def _windows(
        self, time: Column[datetime], sales: SalesFilter, start: datetime, end: datetime
    ) -> AsyncIterator[list[tuple[Any, ...]]]:
        filters = {
            name: value
            for name in ("cinema_id", "showtime_id", "movie_id")
            if (value := getattr(sales, name)) or name == "cinema_id"
        }
        after, last = microseconds(start), microseconds(end)
        query = _events_query(time, frozenset(filters))
        while after < last:
            _, found = await self._database.read(_window_query(time), after=after, until=last, size=self._window)
            # Windows end between two moments. Events at one moment are all in one window, even if they are many.
            until = max(microseconds(found[0][0]), after + 1) if found else last
            _, rows = await self._database.read(query, after=after, until=until, **filters)
            for first in range(0, len(rows) or 1, EVENTS_A_PART):
                yield rows[first : first + EVENTS_A_PART]
                await asyncio.sleep(0)  # each part may have thousands of seats, and other calls wait
            after = until

    async def _cancellation(self, row: Sequence[Any], *, by_seat: bool) -> SalesEvent:
        time, *_, seats, confirm_time, booking_id, cancelled, amount = row
        given_up = [*_priced(seats, set(from_json(cancelled)))]
        restored: list[tuple[PricedSeat, int]] = []
        if by_seat and amount > sum(seat.price for seat in given_up):
            _, refunds = await self._database.read(_REFUNDS, booking_id=booking_id)
            for labels, refunded in (each for create_time, *each in refunds if create_time < time):
                earlier = [*_priced(seats, set(from_json(labels)))]
                shares = distribute(refunded, [seat.price for seat in earlier])
                restored += [(seat, seat.price - share) for seat, share in zip(earlier, shares, strict=True)]
        # Both at once, if the charge came too late.
        return _event(row, given_up, sold=confirm_time is None, cancelled=True, refunded=amount, restored=restored)


@cache
def _window_query(time: Column[datetime]) -> Query:
    """Make the query for the time of the event that comes `size` events after the first, if there is one."""
    return Query(_between(select(time), time).order_by(time).limit(1).offset(bindparam("size")))


@cache
def _events_query(time: Column[datetime], filters: frozenset[str]) -> Query:
    """Make the query for the sales, refunds or conflicts of a window, by the column of their time."""
    columns: list[Any] = [time, *_EVENT]
    if time.table is schema.refund:
        columns += [_BOOKING.confirm_time, _REFUND.booking_id, _REFUND.seats.label("refunded_seats"), _REFUND.amount]
        events = select(*columns).join_from(schema.refund, schema.booking, _REFUND.booking_id == _BOOKING.booking_id)
        showtime_id = _REFUND.showtime_id
    elif time.table is schema.redemption:
        events = select(*columns, _TICKET.seat).select_from(schema.redemption)
        events = events.join(schema.ticket, _TICKET.ticket_id == _REDEMPTION.ticket_id)
        events = events.join(schema.booking, _BOOKING.booking_id == _REDEMPTION.booking_id)
        showtime_id = _BOOKING.showtime_id
    else:
        events, showtime_id = select(*columns).select_from(schema.booking), _BOOKING.showtime_id
    events = events.join(schema.showtime, _SHOWTIME.showtime_id == showtime_id)
    events = events.join(schema.auditorium, _AUDITORIUM.auditorium_id == _SHOWTIME.auditorium_id)
    for name in sorted(filters):
        # An expression, for which no index can be used: the query has to begin with the times.
        column = showtime_id if name == "showtime_id" else _SHOWTIME[name]
        events = events.where(func.coalesce(column, "") == bindparam(name))
    return Query(_between(events, time))


def _between(query: Select[Any], time: Column[datetime]) -> Select[Any]:
    after, until = bindparam("after", type_=BigInteger), bindparam("until", type_=BigInteger)
    if time.table is schema.redemption:
        query = query.where(text(f"redemption.{schema.CONFLICTING}"))
    return query.where(time.is_not(None), time >= after, time < until)


def _sale(row: Sequence[Any]) -> SalesEvent:
    *_, seats = row
    return _event(row, _priced(seats), sold=True)


def _conflict(row: Sequence[Any]) -> SalesEvent:
    *_, seats, label = row
    return _event(row, _priced(seats, {label}), is_conflict=True)


def _event(row: Sequence[Any], seats: Iterable[PricedSeat], **fields: Any) -> SalesEvent:
    """Make an event of a row that begins with its time and the columns of _EVENT."""
    time, showtime_id, movie_id, total_seats, currency_code, tender, *_ = row
    return SalesEvent(time, showtime_id, movie_id, total_seats, currency_code, tender or ONLINE, tuple(seats), **fields)


def _priced(seats: str, labels: Set[str] | None = None) -> Iterator[PricedSeat]:
    """Return the seats of a booking: all, or those with the given labels."""
    for label, price, category, type_, *_ in from_json(seats):
        if labels is None or label in labels:
            yield PricedSeat(label, price, category, type_)
