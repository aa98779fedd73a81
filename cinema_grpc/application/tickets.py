"""Issuing tickets: an identifier and a code for each seat that is sold."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

import uuid_utils

from cinema_grpc.application.account_ports import JsonWebKey
from cinema_grpc.domain.booking import BookedSeat
from cinema_grpc.domain.counter import IssueTickets
from cinema_grpc.domain.terms import Terms
from cinema_grpc.domain.ticket import Ticket


class TicketContent(NamedTuple):
    """What the code of a ticket says: which ticket admits to which seat of which showtime, and its ticket type."""

    ticket_id: str
    showtime_id: str
    seat: str
    start_time: datetime
    ticket_type: str


class TicketCodes(Protocol):
    """Makes the codes of tickets, and checks them."""

    def issue(self, ticket: TicketContent) -> str:
        """Return the code of a ticket, which can't be guessed."""
        ...

    def is_genuine(self, code: str) -> bool:
        """Return whether a code is well-formed and has a valid signature."""
        ...

    def seat_of(self, code: str) -> tuple[str, str] | None:
        """Return the showtime_id and the seat that a code names, unchecked; None if it names none."""
        ...

    def public_keys(self) -> list[JsonWebKey]:
        """Return the keys that verify codes, the signing one first; none if codes are not signed."""
        ...


@dataclass(frozen=True, slots=True)
class TicketIssuer:
    """Issues tickets with codes of one kind."""

    codes: TicketCodes

    def begin(self) -> IssueTickets:
        """Return a function that issues the tickets of one booking.

        It returns the same tickets for the same seats, since a change may be applied again. If the showtime was moved
        in between, they have other codes.
        """
        identifiers: dict[str, str] = {}
        issued: dict[TicketContent, Ticket] = {}

        def issue(terms: Terms, seats: Sequence[BookedSeat]) -> tuple[Ticket, ...]:
            tickets = []
            for seat in seats:
                ticket_id = identifiers.setdefault(seat.label, str(uuid_utils.uuid7()))
                content = TicketContent(ticket_id, terms.showtime_id, seat.label, terms.start_time, seat.ticket_type)
                if content not in issued:
                    issued[content] = Ticket(ticket_id, seat.label, self.codes.issue(content))
                tickets.append(issued[content])
            return tuple(tickets)

        return issue
