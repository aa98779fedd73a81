"""Letting people in: redeeming tickets, reversing that, and recording what doors did while they were offline."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from cinema_grpc.domain.booking import BookedSeat, Booking, BookingStatus
from cinema_grpc.domain.terms import Terms
from cinema_grpc.domain.ticket import Redemption, RedemptionKind, Reversal, Ticket, TicketStatus, standing_redemptions
from cinema_grpc.domain.ticket_errors import (
    GateClosed,
    TicketAlreadyRedeemed,
    TicketNotFound,
    TicketNotRedeemed,
    TicketVoid,
)

GATE_OPENS = timedelta(hours=2)
"""How long before the start tickets can be redeemed."""


class RecordOutcome(Enum):
    """What became of a redemption that a door reported later.

    ACCEPTED: the ticket is redeemed by it. DUPLICATE: it was recorded before. CONFLICT: someone was let in elsewhere.
    ADMITTED_VOID: the ticket is void.
    """

    ACCEPTED = "ACCEPTED"
    DUPLICATE = "DUPLICATE"
    CONFLICT = "CONFLICT"
    ADMITTED_VOID = "ADMITTED_VOID"


@dataclass(frozen=True, slots=True)
class DoorTicket:
    """A ticket as the door needs it: with its booking, and the seat that it is for."""

    booking: Booking
    ticket: Ticket

    @property
    def seat(self) -> BookedSeat:
        """The seat."""
        return next(seat for seat in self.booking.seats if seat.label == self.ticket.seat)

    @property
    def status(self) -> TicketStatus:
        """Whether it admits its holder."""
        if self.booking.status is not BookingStatus.CONFIRMED or not self.seat.active:
            return TicketStatus.VOID
        return TicketStatus.VALID if self.redemption is None else TicketStatus.REDEEMED

    @property
    def redemption(self) -> Redemption | None:
        """The redemption that stands; None if the ticket is not redeemed."""
        return standing_redemptions(self.redemptions).get(self.ticket.ticket_id)

    @property
    def redemptions(self) -> tuple[Redemption, ...]:
        """All redemptions with this ticket, oldest record first."""
        return tuple(each for each in self.booking.redemptions if each.ticket_id == self.ticket.ticket_id)


def door_ticket(booking: Booking, ticket_id: str) -> DoorTicket:
    """Return a ticket of a booking.

    Raises:
        TicketNotFound: The booking does not have it.
    """
    for ticket in booking.tickets:
        if ticket.ticket_id == ticket_id:
            return DoorTicket(booking, ticket)
    raise TicketNotFound(ticket_id)


def door_tickets(booking: Booking) -> list[DoorTicket]:
    """Return the tickets of a booking, in the order of its seats."""
    return [DoorTicket(booking, ticket) for ticket in booking.tickets]


def check_redeemable(shown: DoorTicket, terms: Terms, now: datetime) -> None:
    """Check that a ticket lets its holder in.

    Args:
        shown: The ticket.
        terms: Its showtime's.
        now: The present moment.

    Raises:
        TicketVoid: Its seat was cancelled.
        GateClosed: It is more than GATE_OPENS before the start, or the showtime is over.
        TicketAlreadyRedeemed.
    """
    if shown.status is TicketStatus.VOID:
        raise TicketVoid(shown.ticket.ticket_id)
    open_time = terms.start_time - GATE_OPENS
    if not open_time <= now < terms.end_time:
        raise GateClosed(terms.showtime_id, open_time, terms.end_time)
    _check_not_redeemed(shown)


def with_ticket_redeemed(booking: Booking, terms: Terms, redemption: Redemption, now: datetime) -> Booking:
    """Return a booking with a ticket redeemed.

    Raises:
        TicketNotFound, and what check_redeemable raises.
    """
    check_redeemable(door_ticket(booking, redemption.ticket_id), terms, now)
    return replace(booking, redemptions=(*booking.redemptions, redemption))


def with_redemption_reversed(booking: Booking, ticket_id: str, reversal: Reversal) -> Booking:
    """Return a booking with the standing redemption of a ticket reversed.

    Raises:
        TicketNotFound, TicketNotRedeemed.
    """
    standing = door_ticket(booking, ticket_id).redemption
    if standing is None:
        raise TicketNotRedeemed(ticket_id)
    undone = replace(standing, reversal=reversal)
    return replace(booking, redemptions=tuple(undone if each is standing else each for each in booking.redemptions))


def record_redemption(booking: Booking, reported: Redemption) -> tuple[Booking, RecordOutcome, Redemption]:
    """Record that a door let someone in while it was offline. It can't be refused: it has happened.

    The same ticket, time and gate are the same redemption.

    Args:
        booking: The booking of the ticket.
        reported: The redemption; its kind is decided here.

    Returns:
        The booking, what became of the redemption, and the redemption as it is kept.

    Raises:
        TicketNotFound.
    """
    shown = door_ticket(booking, reported.ticket_id)
    for known in shown.redemptions:
        if (known.redeem_time, known.gate) == (reported.redeem_time, reported.gate):
            return booking, RecordOutcome.DUPLICATE, known
    kind, outcome = RedemptionKind.ADMITTED, RecordOutcome.ACCEPTED
    if shown.status is TicketStatus.VOID:
        kind, outcome = RedemptionKind.ADMITTED_VOID, RecordOutcome.ADMITTED_VOID
    elif shown.status is TicketStatus.REDEEMED:
        kind, outcome = RedemptionKind.CONFLICT, RecordOutcome.CONFLICT
    kept = replace(reported, kind=kind)
    return replace(booking, redemptions=(*booking.redemptions, kept)), outcome, kept


def check_cancellable_by_customer(booking: Booking, chosen: Iterable[BookedSeat]) -> None:
    """Check that no ticket of seats was redeemed: who was let in can't give the seat back.

    Raises:
        TicketAlreadyRedeemed: It names the first that was.
    """
    if not booking.redemptions:
        return
    labels = {seat.label for seat in chosen}
    for shown in door_tickets(booking):
        if shown.ticket.seat in labels:
            _check_not_redeemed(shown)


def _check_not_redeemed(shown: DoorTicket) -> None:
    standing = shown.redemption
    if standing is not None:
        raise TicketAlreadyRedeemed(shown.ticket.ticket_id, standing.redeem_time, standing.gate)
