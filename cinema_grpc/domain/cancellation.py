"""Cancelling bookings, and the policy: the refunded share of the price, by the time left until the start."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from cinema_grpc.domain.booking import MICROSECOND, BookedSeat, Booking, BookingStatus, CancelCause
from cinema_grpc.domain.booking_errors import ShowtimeEnded
from cinema_grpc.domain.door import check_cancellable_by_customer
from cinema_grpc.domain.errors import FieldViolation, InvalidRequest
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.terms import Move, Terms

TIERS = ((timedelta(hours=24), 100), (timedelta(hours=12), 50))
"""Time before the start, and the refund up to then in percent. After the last one there is no refund."""
FULL_REFUND_AFTER = timedelta(minutes=15)
"""From this change of the start on, bookings made before it are refunded in full."""


UnitRule = Callable[[str], int]
"""Returns the payment provider's unit of a currency, in minor units: it pays multiples of this only."""


@dataclass(frozen=True, slots=True)
class CancellationQuote:
    """What cancelling would pay back; `valid_until_time` is the last moment at which that holds."""

    amount: Money
    percent: int
    valid_until_time: datetime


def refund_percent(start_time: datetime, now: datetime) -> tuple[int, datetime]:
    """Return the refund for cancelling `now` in whole percent, and the last moment at which it applies."""
    for before_start, percent in TIERS:
        if now <= start_time - before_start:
            return percent, start_time - before_start
    return 0, start_time - MICROSECOND


def refund_percent_after_moves(
    start_time: datetime, moves: Sequence[Move], create_time: datetime, now: datetime
) -> tuple[int, datetime]:
    """Return the same for a booking of a showtime that was moved.

    A move of 15 minutes or more since the booking was made means 100% until the start. Otherwise the best percent over
    the starts since then applies.

    Args:
        start_time: The present start.
        moves: The changes of the start, oldest first.
        create_time: When the booking was made.
        now: The present moment.
    """
    last_moment = start_time - MICROSECOND
    lived_through = [move.start_time for move in moves if move.time >= create_time]
    starts = [*lived_through, start_time]
    if any(abs(after - before) >= FULL_REFUND_AFTER for before, after in pairwise(starts)):
        return 100, last_moment
    percent, until = max(refund_percent(each, now) for each in starts)
    return percent, min(until, last_moment)


def quote(
    booking: Booking, start_time: datetime, moves: Sequence[Move], seats: Collection[str], now: datetime
) -> CancellationQuote:
    """Return what cancelling seats at `now` would pay back; all that are active if none are named.

    Args:
        booking: The booking.
        start_time: Of its showtime.
        moves: The changes of that start.
        seats: Labels.
        now: The present moment.

    Raises:
        BookingNotCancellable: It is EXPIRED or CANCELLED, or the showtime has started.
        SeatNotInBooking: It does not keep some of the seats.
        TicketAlreadyRedeemed: Someone was let in with the ticket of one of them.
    """
    chosen = booking.check_cancellable(seats, now, start_time if now >= start_time else None)
    check_cancellable_by_customer(booking, chosen)
    if booking.status is BookingStatus.RESERVED:
        last_moment = min(booking.hold_expire_time, start_time) - MICROSECOND
        return CancellationQuote(Money(booking.total_price.currency_code, 0), 0, last_moment)
    percent, last_moment = refund_percent_after_moves(start_time, moves, booking.create_time, now)
    return CancellationQuote(booking.refund_amount(chosen, percent), percent, last_moment)


def cancel(booking: Booking, terms: Terms, seats: Collection[str], refund_id: str, now: datetime) -> Booking:
    """Return a booking without seats, as its owner asked; with the refund that the policy owes if it was paid for.

    Raises:
        BookingNotCancellable, SeatNotInBooking, TicketAlreadyRedeemed: As for `quote`.
        PaymentInProgress: A charge is under way.
    """
    quoted = quote(booking, terms.start_time, terms.moves, seats, now)
    chosen = booking.check_cancellable(seats, now)
    refund = None
    if booking.status is BookingStatus.CONFIRMED:
        refund = booking.new_refund(refund_id, quoted.amount, quoted.percent, chosen, now)
    return booking.cancelled(chosen, now, CancelCause.CUSTOMER, "", refund)


def any_amount(_currency_code: str) -> int:
    """Return 1: the unit of a provider that can pay any amount."""
    return 1


def void(
    booking: Booking,
    terms: Terms,
    seats: Collection[str],
    percent: int,
    reason: str,
    refund_id: str,
    now: datetime,
    unit_of: UnitRule = any_amount,
) -> Booking:
    """Return a booking without seats, as staff decided; with a refund of `percent` if it was paid for.

    Args:
        booking: The booking.
        terms: Those of its showtime.
        seats: Labels of its active seats; empty for all.
        percent: The share of their price that is paid back, from 0 to 100.
        reason: Why.
        refund_id: The identifier of the refund, if there is one.
        now: The present moment.
        unit_of: The payment provider's units.

    Raises:
        InvalidRequest: The payment provider can't pay that percent.
        BookingNotCancellable: It is EXPIRED or CANCELLED.
        ShowtimeEnded, SeatNotInBooking.
        PaymentInProgress: A charge is under way.
    """
    booking.check_cancellable((), now)
    if now >= terms.end_time:
        raise ShowtimeEnded(terms.showtime_id, terms.end_time)
    chosen = booking.check_cancellable(seats, now)
    refund = None
    if booking.status is BookingStatus.CONFIRMED:
        if booking.payment is not None:
            _check_percent(booking, chosen, percent, unit_of(booking.total_price.currency_code))
        refund = booking.new_refund(refund_id, booking.refund_amount(chosen, percent), percent, chosen, now)
    return booking.cancelled(chosen, now, CancelCause.STAFF, reason, refund)


def _check_percent(booking: Booking, chosen: Sequence[BookedSeat], percent: int, unit: int) -> None:
    """Check that the refund at a percent is a multiple of the payment provider's unit.

    Raises:
        InvalidRequest: It is not; the error names the nearest percent at which it is.
    """

    def is_payable(share: int) -> bool:
        return booking.refund_amount(chosen, share).minor_units % unit == 0

    if is_payable(percent):
        return
    nearest = min(filter(is_payable, range(101)), key=lambda share: abs(share - percent))
    amount = booking.refund_amount(chosen, percent)
    units = f"{unit} minor units of {amount.currency_code}"
    problem = (
        f"must make the refund a multiple of {units}, which the payment provider can pay, not {amount.minor_units}; "
    )
    problem += f"the nearest percent that does is {nearest}"
    raise InvalidRequest(FieldViolation("refund_percent", problem))


def cancel_with_showtime(booking: Booking, reason: str, refund_id: str, now: datetime) -> Booking:
    """Return a booking CANCELLED since its showtime was; all that was paid and not refunded yet is owed back."""
    chosen = booking.check_cancellable((), now)
    refund = None
    if booking.status is BookingStatus.CONFIRMED:
        refund = booking.new_refund(refund_id, left_to_refund(booking), 100, chosen, now)
    return booking.cancelled(chosen, now, CancelCause.SHOWTIME, reason, refund)


def left_to_refund(booking: Booking) -> Money:
    """Return what was paid for a CONFIRMED booking and not refunded yet."""
    total = booking.total_price
    refunded = sum(refund.amount.minor_units for refund in booking.refunds)
    return Money(total.currency_code, total.minor_units - refunded)
