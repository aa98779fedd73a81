"""The steps of a payment, as they change a booking. Repeating a step changes nothing."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from cinema_grpc.domain.booking import MICROSECOND, Booking, BookingStatus, Ticket
from cinema_grpc.domain.booking_errors import PaymentInProgress
from cinema_grpc.domain.payment import PAYMENT_TIME, AttemptStatus, PaymentAttempt, Refund, RefundStatus
from cinema_grpc.domain.terms import Terms


def with_payment_opened(booking: Booking, attempt_id: str, now: datetime, request: str) -> Booking:
    """Return a booking with a new attempt to charge; the first one leaves at least PAYMENT_TIME of the hold."""
    hold_expire_time = booking.hold_expire_time
    if not booking.hold_extended:
        hold_expire_time = max(hold_expire_time, now + PAYMENT_TIME)
    # The latest attempt counts, so each is later than the one before it, even if the clock stands still.
    create_time = now if booking.payment is None else max(now, booking.payment.create_time + MICROSECOND)
    attempt = PaymentAttempt(attempt_id, AttemptStatus.OPEN, create_time, request)
    return replace(booking, payment=attempt, hold_extended=True, hold_expire_time=hold_expire_time)


def with_charge_settled(
    booking: Booking, attempt_id: str, tickets: Sequence[Ticket], refund_id: str, terms: Terms, now: datetime
) -> Booking:
    """Return a booking CONFIRMED.

    All of the money is owed back if the hold has lapsed, and the booking is EXPIRED, or if the showtime was cancelled,
    and the booking stays CANCELLED.

    Raises:
        HoldExpired, BookingNotReserved, SalesClosed, ShowtimeCancelled, PaymentInProgress: The attempt was called off.
    """
    attempt = booking.attempt(attempt_id, AttemptStatus.OPEN)
    if attempt is None and booking.attempt(attempt_id, AttemptStatus.CHARGED, AttemptStatus.DECLINED):
        return booking
    if attempt is None:
        booking.check_payable(terms, now)
        raise PaymentInProgress(booking.booking_id)
    charged = attempt.to(AttemptStatus.CHARGED)
    if booking.as_of(now).status is BookingStatus.RESERVED:
        return booking.to(BookingStatus.CONFIRMED, payment=charged, confirm_time=now, tickets=tuple(tickets))
    return _with_full_refund(replace(booking.as_of(now), payment=charged), refund_id, now)


def with_decline_settled(booking: Booking, attempt_id: str) -> Booking:
    """Return a booking with an OPEN attempt DECLINED; in any other state it stays as it is."""
    attempt = booking.attempt(attempt_id, AttemptStatus.OPEN)
    return booking if attempt is None else replace(booking, payment=attempt.to(AttemptStatus.DECLINED))


def with_void_begun(booking: Booking, attempt_id: str) -> Booking:
    """Return a booking with an OPEN attempt VOIDING; in any other state it stays as it is."""
    attempt = booking.attempt(attempt_id, AttemptStatus.OPEN)
    return booking if attempt is None else replace(booking, payment=attempt.to(AttemptStatus.VOIDING))


def with_void_settled(booking: Booking, attempt_id: str, refund_id: str, now: datetime, *, given_back: bool) -> Booking:
    """Return a booking with a VOIDING attempt settled; in any other state it stays as it is.

    The attempt is VOIDED. If money was given back and the hold has ended, it shows as a charge with its refund.
    """
    attempt = booking.attempt(attempt_id, AttemptStatus.VOIDING)
    if attempt is None:
        return booking
    current = booking.as_of(now)
    if not given_back or current.status is BookingStatus.RESERVED:
        return replace(booking, payment=attempt.to(AttemptStatus.VOIDED))
    charged = _with_full_refund(replace(current, payment=attempt.to(AttemptStatus.CHARGED)), refund_id, now)
    return charged.with_refund(replace(charged.refunds[-1], status=RefundStatus.COMPLETED))


def with_refund_settled(booking: Booking, refund_id: str, status: RefundStatus) -> Booking:
    """Return a booking with a PENDING refund settled; in any other state it stays as it is."""
    refund = find_refund(booking, refund_id)
    if refund is None or refund.status is not RefundStatus.PENDING:
        return booking
    return booking.with_refund(replace(refund, status=status))


def find_refund(booking: Booking, refund_id: str) -> Refund | None:
    """Return a refund of a booking, or None."""
    return next((refund for refund in booking.refunds if refund.refund_id == refund_id), None)


def _with_full_refund(booking: Booking, refund_id: str, now: datetime) -> Booking:
    refund = booking.owed(refund_id, booking.total_price, 100, booking.seats, now)
    return replace(booking, refunds=(*booking.refunds, refund))
