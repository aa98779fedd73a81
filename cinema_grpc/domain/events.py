"""Events: what a change did, for other services.

An event has the state that it leads to, not the step, so a consumer that folds events keeps the last one of each
booking: what its seats are follows from that.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from cinema_grpc.domain.booking import BookedSeat, Booking, BookingStatus
from cinema_grpc.domain.payment import Refund, RefundStatus
from cinema_grpc.domain.showtime import Change
from cinema_grpc.domain.terms import ShowtimeStatus, Terms
from cinema_grpc.domain.ticket import Redemption, standing_redemptions


class EventType(Enum):
    """What happened; the protos say what `seats` and `amount` are for each."""

    SHOWTIME_CREATED = "SHOWTIME_CREATED"
    SHOWTIME_UPDATED = "SHOWTIME_UPDATED"
    SHOWTIME_CANCELLED = "SHOWTIME_CANCELLED"
    SEATS_HELD = "SEATS_HELD"
    HOLD_CHANGED = "HOLD_CHANGED"
    HOLD_CANCELLED = "HOLD_CANCELLED"
    HOLD_EXPIRED = "HOLD_EXPIRED"
    BOOKING_CONFIRMED = "BOOKING_CONFIRMED"
    SEATS_CANCELLED = "SEATS_CANCELLED"
    SEAT_BLOCKS_CHANGED = "SEAT_BLOCKS_CHANGED"
    REFUND_OWED = "REFUND_OWED"
    REFUND_COMPLETED = "REFUND_COMPLETED"
    REFUND_FAILED = "REFUND_FAILED"
    TICKET_REDEEMED = "TICKET_REDEEMED"
    REDEMPTION_REVERSED = "REDEMPTION_REVERSED"


class NewEvent(NamedTuple):
    """An event of a change that is not committed yet.

    Attributes:
        time: When it happened; None for the time of the change.
        seats: Labels in row order.
        amount: In minor units; None for none.
    """

    type: EventType
    booking_id: str = ""
    user_id: str = ""
    seats: Sequence[str] = ()
    currency_code: str = ""
    amount: int | None = None
    time: datetime | None = None
    refund_id: str = ""
    ticket_id: str = ""


_REFUND_EVENTS = {
    RefundStatus.COMPLETED: EventType.REFUND_COMPLETED,
    RefundStatus.FAILED: EventType.REFUND_FAILED,
}


def events_of(changes: Iterable[Change], terms: tuple[Terms, Terms] | None) -> list[NewEvent]:
    """Return what a commit did to a showtime.

    Args:
        changes: Of its bookings.
        terms: Before and after; None if they did not change.
    """
    events: list[NewEvent] = []
    for change in changes:
        before, after = change.before, change.after
        if before is None and after.status is BookingStatus.RESERVED:  # most changes are new holds
            events.append(_about(after, EventType.SEATS_HELD, after.seats))
        else:
            _add_booking(events, before, after)
    if terms is not None:
        _add_terms(events, *terms)
    return events


def _add_booking(events: list[NewEvent], before: Booking | None, after: Booking) -> None:
    """Add the events of a booking, in an order in which they can have happened."""
    if before is None and after.sale is None:
        events.append(_about(after, EventType.SEATS_HELD, after.seats))
    was_sold, sold = before is not None and before.confirm_time is not None, after.confirm_time is not None
    if sold and not was_sold:
        events.append(_about(after, EventType.BOOKING_CONFIRMED, after.seats))
    if sold:
        kept = set(after.labels) if after.status is BookingStatus.CONFIRMED else set()
        active = (
            before.seats if before is not None and was_sold else [seat._replace(active=True) for seat in after.seats]
        )
        if before is None or before.status is not BookingStatus.CANCELLED:
            gone = [seat for seat in active if seat.active and seat.label not in kept]
            if gone:
                events.append(_about(after, EventType.SEATS_CANCELLED, gone))
    elif before is None or before.status is BookingStatus.RESERVED:
        _add_end_of_hold(events, before, after)
    if after.refunds:
        _add_refunds(events, before, after)
    if after.redemptions:
        _add_redemptions(events, before, after)


def _add_end_of_hold(events: list[NewEvent], before: Booking | None, after: Booking) -> None:
    # The seats that it had: one commit may have changed and ended it.
    seats = after.seats if before is None else before.seats
    if after.status is BookingStatus.CANCELLED:
        events.append(_about(after, EventType.HOLD_CANCELLED, seats))
    elif after.status is BookingStatus.EXPIRED:
        events.append(_about(after, EventType.HOLD_EXPIRED, seats)._replace(time=after.hold_expire_time))
    elif before is not None and (before.seats, before.hold_expire_time) != (after.seats, after.hold_expire_time):
        events.append(_about(after, EventType.HOLD_CHANGED, after.seats))


def _add_refunds(events: list[NewEvent], before: Booking | None, after: Booking) -> None:
    known = {} if before is None else {refund.refund_id: refund.status for refund in before.refunds}
    for refund in after.refunds:
        status = known.get(refund.refund_id)
        if status is None:
            events.append(_about_refund(after, EventType.REFUND_OWED, refund))
        if status is not refund.status and refund.status in _REFUND_EVENTS:
            events.append(_about_refund(after, _REFUND_EVENTS[refund.status], refund))


def _add_redemptions(events: list[NewEvent], before: Booking | None, after: Booking) -> None:
    known = {} if before is None else _effective(before)
    seats = {ticket.ticket_id: ticket.seat for ticket in after.tickets}
    # A CONFLICT takes the place of one that was reversed: what stands comes last.
    for each in sorted(_effective(after).values(), key=lambda each: each.reversal is None):
        if known.get(each.redemption_id) == each:
            continue
        about = NewEvent(
            EventType.TICKET_REDEEMED,
            after.booking_id,
            after.user_id,
            [seats[each.ticket_id]],
            time=each.redeem_time,
            ticket_id=each.ticket_id,
        )
        if each.redemption_id not in known:
            events.append(about)
        if each.reversal is not None:
            events.append(about._replace(type=EventType.REDEMPTION_REVERSED, time=each.reversal.time))


def _effective(booking: Booking) -> dict[str, Redemption]:
    """Return the redemptions that tickets are redeemed by, or were until these were reversed, by redemption_id."""
    standing = {each.redemption_id for each in standing_redemptions(booking.redemptions).values()}
    return {
        each.redemption_id: each
        for each in booking.redemptions
        if each.redemption_id in standing or each.reversal is not None
    }


def _add_terms(events: list[NewEvent], before: Terms, after: Terms) -> None:
    blocked = [{seat for block in terms.blocks for seat in block.seats} for terms in (before, after)]
    if blocked[0] != blocked[1]:
        labels = after.seat_plan.labels
        seats = [labels[position] for position in after.seat_plan.positions(tuple(blocked[1]))]
        events.append(NewEvent(EventType.SEAT_BLOCKS_CHANGED, seats=seats))
    if before.status is not after.status and after.status is ShowtimeStatus.CANCELLED:
        events.append(NewEvent(EventType.SHOWTIME_CANCELLED))
    elif _sold_by(before) != _sold_by(after):
        events.append(NewEvent(EventType.SHOWTIME_UPDATED))


def _sold_by(terms: Terms) -> tuple[object, ...]:
    return terms.start_time, terms.end_time, terms.prices, terms.seat_gap_policy


def _about(booking: Booking, type_: EventType, seats: Sequence[BookedSeat]) -> NewEvent:
    labels, amount = [], 0
    for seat in seats:
        labels.append(seat[0])  # by place: many bookings come through here
        amount += seat[1].minor_units
    return NewEvent(type_, booking.booking_id, booking.user_id, labels, seats[0].price.currency_code, amount)


def _about_refund(booking: Booking, type_: EventType, refund: Refund) -> NewEvent:
    amount = refund.amount
    return NewEvent(
        type_,
        booking.booking_id,
        booking.user_id,
        refund.seats,
        amount.currency_code,
        amount.minor_units,
        refund_id=refund.refund_id,
    )
