"""Claims: a caller's selection of seats, and the checks that turn it into priced seats."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cinema_grpc.domain.booking import BookedSeat, Booking
from cinema_grpc.domain.booking_errors import AccessibleOnly, SeatsUnavailable, TicketTypeNotOffered
from cinema_grpc.domain.errors import FieldViolation, InvalidRequest
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.terms import SeatBlock, Terms

Owner = Booking | SeatBlock
"""What can have a seat."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The seats that a caller asks for.

    Attributes:
        seats: Their labels.
        ticket_types: The ticket type of each; empty: the default one for all.
        wheelchair: Whether the booking takes wheelchair spaces.
    """

    seats: Sequence[str]
    ticket_types: Sequence[str] = ()
    wheelchair: bool = False


@dataclass(frozen=True, slots=True)
class BestSeats:
    """A party that takes the best free seats; `suggestions` chooses them.

    Attributes:
        ticket_types: The ticket type of each person; those of people who need a wheelchair space come first.
        categories: Those that the seats may be of; empty: any.
        wheelchair_spaces: How many of the party need a wheelchair space; at most all.
        allow_split: Whether the party may sit in several groups.
    """

    ticket_types: Sequence[str]
    categories: frozenset[str] = frozenset()
    wheelchair_spaces: int = 0
    allow_split: bool = False


def priced_seats(
    terms: Terms,
    selection: Selection,
    most: int,
    owner: Callable[[int], Owner | None],
    *,
    free: bool = False,
    claimed: Sequence[BookedSeat] = (),
) -> tuple[tuple[int, ...], tuple[BookedSeat, ...]]:
    """Check a selection, and return the positions of its seats, in row order, and the seats with their prices.

    Args:
        terms: The showtime's.
        selection: What is asked for.
        most: Maximum number of seats.
        owner: Returns what has a position now, or None.
        free: Whether the seats cost nothing.
        claimed: Seats that the booking has already. A seat that keeps its ticket type keeps its price, even if that
            ticket type is no longer offered.

    Raises:
        InvalidRequest: Not 1 to `most` different seats.
        SeatNotFound, TicketTypeNotOffered, SeatsUnavailable, AccessibleOnly: Each names all of the seats.
    """
    seats = selection.seats
    if not 1 <= len(set(seats)) == len(seats) <= most:
        raise InvalidRequest(FieldViolation("seats", f"must be 1 to {most} different seats"))
    plan, prices = terms.seat_plan, terms.prices
    positions = plan.positions(seats)
    default = prices.default_ticket_type
    ticket_type_of = dict(zip(seats, selection.ticket_types, strict=True)) if selection.ticket_types else {}
    kept = {(seat.label, seat.ticket_type): seat for seat in claimed}
    booked: list[BookedSeat] = []
    for position in positions:
        label, category = plan.labels[position], plan.categories[position]
        ticket_type = ticket_type_of.get(label, default)
        if (seat := kept.get((label, ticket_type))) is not None:
            booked.append(seat)
        elif (line := prices.find(category, ticket_type)) is not None:
            booked.append(BookedSeat(label, line.price, category, ticket_type, line.proof))
    if len(booked) < len(positions):
        priced = {seat.label for seat in booked}
        unpriced = [label for label in map(plan.labels.__getitem__, positions) if label not in priced]
        raise TicketTypeNotOffered(unpriced, sorted({ticket_type_of.get(label, default) for label in unpriced}))
    unavailable = [plan.labels[position] for position in positions if owner(position) is not None]
    if unavailable:
        raise SeatsUnavailable(unavailable)
    misused = plan.misused_spaces(positions, wheelchair=selection.wheelchair)
    if misused:
        raise AccessibleOnly([plan.labels[position] for position in misused])
    if free:
        nothing = Money(prices.currency_code, 0)
        booked = [seat._replace(price=nothing) for seat in booked]
    return positions, tuple(booked)
