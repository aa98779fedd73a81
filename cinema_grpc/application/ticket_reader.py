"""Reading tickets for the door."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cinema_grpc.domain.door import DoorTicket


@dataclass(frozen=True, slots=True)
class IssuedTicket:
    """Where a ticket belongs."""

    ticket_id: str
    booking_id: str
    showtime_id: str


@dataclass(frozen=True, slots=True)
class ListedTickets:
    """Tickets of a showtime in the order of their latest changes.

    Attributes:
        revision: The showtime's, as they were read.
        entries: Each with the text that a list goes on after.
    """

    revision: int
    entries: Sequence[tuple[str, DoorTicket]]


class TicketReader(Protocol):
    """Reads tickets. Every method may raise StorageUnavailable and Overloaded."""

    async def by_code(self, code: str) -> IssuedTicket | None:
        """Return the ticket with this code, or None."""
        ...

    async def by_id(self, ticket_id: str) -> IssuedTicket | None:
        """Return a ticket, or None."""
        ...

    async def changed(self, showtime_id: str, after_revision: int, after: str, limit: int) -> ListedTickets | None:
        """Return the tickets of bookings that changed after a revision, or None if there is no such showtime.

        Args:
            showtime_id: The showtime.
            after_revision: The revision; 0 for all.
            after: Begin after this entry of the list; "" for the first.
            limit: The maximum number of tickets.
        """
        ...
