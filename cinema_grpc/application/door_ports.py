"""Ports of the door: reading tickets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from cinema_grpc.domain.door import DoorTicket


@dataclass(frozen=True, slots=True)
class IssuedTicket:
    """Where a ticket belongs."""

    ticket_id: str
    booking_id: str
    showtime_id: str


class Place(NamedTuple):
    """Place in the door's list: tickets are in the order of their bookings' latest changes.

    Attributes:
        revision: The showtime's revision as the booking changed last.
        number: Of the ticket in its booking, from 0.
    """

    revision: int
    booking_id: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class ListedTickets:
    """Tickets of a showtime in the order of their latest changes.

    Attributes:
        revision: The showtime's, as they were read.
        entries: Each with its place.
    """

    revision: int
    entries: Sequence[tuple[Place, DoorTicket]]


class TicketReader(Protocol):
    """Reads tickets. Every method may raise StorageUnavailable and Overloaded."""

    async def by_code(self, code: str) -> IssuedTicket | None:
        """Return the ticket with this code, or None."""
        ...

    async def by_id(self, ticket_id: str) -> IssuedTicket | None:
        """Return a ticket, or None."""
        ...

    async def changed(self, showtime_id: str, after: Place, limit: int) -> ListedTickets | None:
        """Return the tickets after a place in the door's list, or None if there is no such showtime.

        Args:
            showtime_id: The showtime.
            after: The place. No ticket has the first place of a revision, which names no booking.
            limit: The maximum number of tickets.
        """
        ...
