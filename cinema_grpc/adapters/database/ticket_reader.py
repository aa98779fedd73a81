"""Reads tickets for the door."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import BigInteger, bindparam, select, text, tuple_

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.booking_detail import booking_detail
from cinema_grpc.adapters.database.booking_rows import COLUMNS, read_booking
from cinema_grpc.adapters.database.column_types import searchable
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.statements import Query
from cinema_grpc.application.door_ports import IssuedTicket, ListedTickets, Place
from cinema_grpc.domain.door import DoorTicket, door_tickets

_TICKET, _BOOKING = schema.ticket.c, schema.booking.c
_ISSUED = select(_TICKET.ticket_id, _TICKET.booking_id, _BOOKING.showtime_id).join(
    schema.booking, _BOOKING.booking_id == _TICKET.booking_id
)
_BY_CODE = Query(_ISSUED.where(_TICKET.code == bindparam("code")))
_BY_ID = Query(_ISSUED.where(_TICKET.ticket_id == bindparam("ticket_id")))
_REVISION = Query(select(schema.showtime.c.revision).where(schema.showtime.c.showtime_id == bindparam("showtime_id")))
_PAGE = (
    select(_BOOKING.booking_id, _BOOKING.revision)
    .where(
        _BOOKING.showtime_id == bindparam("showtime_id"),
        text(f"booking.{schema.SOLD}"),
        tuple_(_BOOKING.revision, _BOOKING.booking_id)
        >= tuple_(bindparam("revision", type_=BigInteger), bindparam("booking_id")),
    )
    .order_by(_BOOKING.revision, _BOOKING.booking_id)
    .limit(bindparam("limit"))
    .subquery("page")
)
_CHANGED = Query(
    select(_PAGE.c.revision, *COLUMNS)
    .join(booking_detail, booking_detail.c.booking_id == _PAGE.c.booking_id)
    .order_by(_PAGE.c.revision, _PAGE.c.booking_id)
)


class SqlTicketReader:
    """Reads tickets. Fulfils TicketReader."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def by_code(self, code: str) -> IssuedTicket | None:
        """Return the ticket with this code, or None."""
        _, rows = await self._database.read(_BY_CODE, code=searchable(code))
        return IssuedTicket(*rows[0]) if rows else None

    async def by_id(self, ticket_id: str) -> IssuedTicket | None:
        """Return a ticket, or None."""
        _, rows = await self._database.read(_BY_ID, ticket_id=searchable(ticket_id))
        return IssuedTicket(*rows[0]) if rows else None

    async def changed(self, showtime_id: str, after: Place, limit: int) -> ListedTickets | None:
        """Return the tickets after a place in the door's list, or None if there is no such showtime."""
        # Read before the tickets, so that these are at least as new.
        _, found = await self._database.read(_REVISION, showtime_id=searchable(showtime_id))
        if not found:
            return None
        # One booking more than tickets: each has a ticket or more, but those of the first may be on earlier pages.
        _, rows = await self._database.read(
            _CHANGED, showtime_id=showtime_id, revision=after.revision, booking_id=after.booking_id, limit=limit + 1
        )
        return ListedTickets(found[0][0], [each for each in _entries(rows) if each[0] > after][:limit])


def _entries(rows: Sequence[Sequence[Any]]) -> Iterator[tuple[Place, DoorTicket]]:
    """Return tickets with their places in the list."""
    for revision, *columns in rows:
        booking = read_booking(columns)
        for number, shown in enumerate(door_tickets(booking)):
            yield Place(revision, booking.booking_id, number), shown
