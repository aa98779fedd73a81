"""Letting people in: redeeming tickets, reversing that, and recording what doors did while they were offline."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
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


WHEN_RECORDED = {
    TicketStatus.VALID: (RedemptionKind.ADMITTED, RecordOutcome.ACCEPTED),
    TicketStatus.REDEEMED: (RedemptionKind.CONFLICT, RecordOutcome.CONFLICT),
    TicketStatus.VOID: (RedemptionKind.ADMITTED_VOID, RecordOutcome.ADMITTED_VOID),
}
"""What a redemption is that a door reports later, by what its ticket is then."""


@dataclass(frozen=True, slots=True)
class DoorTicket:
    """A ticket as the door needs it: with its booking, and the seat that it is for.

    Attributes:
        redemptions: All redemptions with this ticket, oldest record first.
        redemption: The one that stands; None if the ticket is not redeemed.
    """

    booking: Booking
    ticket: Ticket
    redemptions: Sequence[Redemption]
    redemption: Redemption | None

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


def door_ticket(booking: Booking, ticket_id: str) -> DoorTicket:
    """Return a ticket of a booking.

    Raises:
        TicketNotFound: The booking does not have it.
    """
    for ticket in booking.tickets:
        if ticket.ticket_id == ticket_id:
            own = [each for each in booking.redemptions if each.ticket_id == ticket_id]
            return DoorTicket(booking, ticket, own, standing_redemptions(own).get(ticket_id))
    raise TicketNotFound(ticket_id)


def door_tickets(booking: Booking) -> list[DoorTicket]:
    """Return the tickets of a booking, in the order of its seats."""
    redemptions = defaultdict[str, list[Redemption]](list)
    for each in booking.redemptions:
        redemptions[each.ticket_id].append(each)
    standing = standing_redemptions(booking.redemptions)
    return [
        DoorTicket(booking, ticket, redemptions[ticket.ticket_id], standing.get(ticket.ticket_id))
        for ticket in booking.tickets
    ]


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


def record_redemptions(
    booking: Booking, reported: Iterable[Redemption]
) -> tuple[Booking, list[tuple[RecordOutcome, Redemption]]]:
    """Record whom doors let in while they were offline. Nothing can be refused: it has happened.

    The same ticket, time and gate are the same redemption.

    Args:
        booking: The booking of the tickets.
        reported: The redemptions, one after the other; their kind is decided here.

    Returns:
        The booking, the same object if nothing was added, and what became of each redemption, with that as it is kept.

    Raises:
        TicketNotFound.
    """
    statuses = {shown.ticket.ticket_id: shown.status for shown in door_tickets(booking)}
    known = {(each.ticket_id, each.redeem_time, each.gate): each for each in reversed(booking.redemptions)}
    recorded, added = [], []
    for each in reported:
        if each.ticket_id not in statuses:
            raise TicketNotFound(each.ticket_id)
        same = known.get(key := (each.ticket_id, each.redeem_time, each.gate))
        if same is not None:
            recorded.append((RecordOutcome.DUPLICATE, same))
            continue
        kind, outcome = WHEN_RECORDED[statuses[each.ticket_id]]
        if outcome is RecordOutcome.ACCEPTED:
            statuses[each.ticket_id] = TicketStatus.REDEEMED
        known[key] = kept = replace(each, kind=kind)
        recorded.append((outcome, kept))
        added.append(kept)
    return replace(booking, redemptions=(*booking.redemptions, *added)) if added else booking, recorded


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
