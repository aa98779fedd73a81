"""The steps of a payment, as they change a booking. Repeating a step changes nothing."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from cinema_grpc.domain.booking import MICROSECOND, Booking, BookingStatus, CancelCause
from cinema_grpc.domain.booking_errors import HoldExpired, PaymentDeclined, PaymentInProgress, ShowtimeCancelled
from cinema_grpc.domain.payment import PAYMENT_TIME, AttemptStatus, PaymentAttempt, Refund, RefundStatus
from cinema_grpc.domain.terms import Terms
from cinema_grpc.domain.ticket import Ticket


def with_payment_opened(booking: Booking, attempt_id: str, now: datetime, request: str) -> Booking:
    """Return a booking with a new attempt to charge; the first one leaves at least PAYMENT_TIME of the hold."""
    hold_expire_time = booking.hold_expire_time
    if not booking.hold_extended:
        hold_expire_time = max(hold_expire_time, now + PAYMENT_TIME)
    # The latest attempt counts, so each is later than the one before it, even if the clock stands still.
    create_time = now if booking.payment is None else max(now, booking.payment.create_time + MICROSECOND)
    attempt = PaymentAttempt(attempt_id, AttemptStatus.OPEN, create_time, request)
    return replace(booking, payment=attempt, hold_extended=True, hold_expire_time=hold_expire_time)


def with_provider_id(booking: Booking, attempt_id: str, provider_id: str) -> Booking:
    """Return a booking whose OPEN attempt has the provider's identifier; in any other state it stays as it is."""
    attempt = booking.attempt(attempt_id, AttemptStatus.OPEN)
    return booking if attempt is None else replace(booking, payment=replace(attempt, provider_id=provider_id))


def with_action_asked(booking: Booking, attempt_id: str, now: datetime) -> Booking:
    """Return a booking whose OPEN attempt waits for the customer.

    The call that it belonged to has its response then, so it belongs to none. The booking stays as it is if the attempt
    is not OPEN, or the hold has ended.
    """
    attempt = booking.attempt(attempt_id, AttemptStatus.OPEN)
    if attempt is None or booking.as_of(now).status is not BookingStatus.RESERVED:
        return booking
    waiting = replace(attempt, action=True, request="")
    return booking if waiting == attempt else replace(booking, payment=waiting)


def waits_for_customer(booking: Booking, attempt_id: str, now: datetime) -> bool:
    """Return whether an attempt is OPEN, the customer was asked to act, and the hold has not ended."""
    attempt = booking.attempt(attempt_id, AttemptStatus.OPEN)
    return attempt is not None and attempt.action and booking.as_of(now).status is BookingStatus.RESERVED


def with_payment_resumed(booking: Booking, terms: Terms, now: datetime, request: str) -> Booking:
    """Return a booking whose payment goes on after the customer has acted.

    Its attempt is OPEN, even if the hold has ended since; or the booking is CONFIRMED already.

    Raises:
        ShowtimeCancelled, HoldExpired, BookingNotReserved, SalesClosed, PaymentInProgress: See Booking.check_payable.
        PaymentDeclined: The attempt was declined or called off.
    """
    attempt = booking.payment
    if attempt is not None and attempt.status is AttemptStatus.OPEN:
        return replace(booking, payment=replace(attempt, request=request))
    if booking.status is BookingStatus.CONFIRMED:
        return booking
    if attempt is not None and attempt.status is AttemptStatus.CHARGED and booking.confirm_time is None:
        if booking.cancel_cause is CancelCause.SHOWTIME:
            raise ShowtimeCancelled(booking.showtime_id, charged=True)
        raise HoldExpired(booking.booking_id, booking.hold_expire_time, charged=True)
    _check_not_voiding(booking)
    booking.check_payable(terms, now)
    raise PaymentDeclined(booking.booking_id)


def _check_not_voiding(booking: Booking) -> None:
    """Check that the latest attempt is not being voided: until that is done, the charge may have succeeded.

    Raises:
        PaymentInProgress: It is.
    """
    if booking.payment is not None and booking.payment.status is AttemptStatus.VOIDING:
        raise PaymentInProgress(booking.booking_id)


def with_charge_settled(
    booking: Booking,
    attempt_id: str,
    tickets: Sequence[Ticket],
    refund_id: str,
    terms: Terms,
    now: datetime,
    *,
    expected: AttemptStatus = AttemptStatus.OPEN,
) -> Booking:
    """Return a booking CONFIRMED.

    All of the money is owed back if the hold has lapsed, and the booking is EXPIRED, or if the showtime was cancelled,
    and the booking stays CANCELLED.

    Args:
        booking: The booking.
        attempt_id: The attempt.
        tickets: The tickets, if it is CONFIRMED.
        refund_id: The identifier of the refund, if one is owed.
        terms: The showtime's.
        now: The present moment.
        expected: The state of the attempt: OPEN, or VOIDING if the provider could not void it.

    Raises:
        HoldExpired, BookingNotReserved, SalesClosed, ShowtimeCancelled, PaymentInProgress: The attempt was called off.
    """
    attempt = booking.attempt(attempt_id, expected)
    if attempt is None and booking.attempt(attempt_id, AttemptStatus.CHARGED, AttemptStatus.DECLINED):
        return booking
    if attempt is None:
        _check_not_voiding(booking)
        booking.check_payable(terms, now)
        raise PaymentInProgress(booking.booking_id)
    charged = attempt.to(AttemptStatus.CHARGED)
    if booking.as_of(now).status is BookingStatus.RESERVED:
        return booking.to(BookingStatus.CONFIRMED, payment=charged, confirm_time=now, tickets=tuple(tickets))
    late = replace(booking.as_of(now), payment=charged)
    refund = late.new_refund(refund_id, late.total_price, 100, late.seats, now)
    return replace(late, refunds=(*late.refunds, refund))


def with_decline_settled(booking: Booking, attempt_id: str) -> Booking:
    """Return a booking with an OPEN attempt DECLINED; in any other state it stays as it is."""
    attempt = booking.attempt(attempt_id, AttemptStatus.OPEN)
    return booking if attempt is None else replace(booking, payment=attempt.to(AttemptStatus.DECLINED))


def with_void_begun(booking: Booking, attempt_id: str) -> Booking:
    """Return a booking with an OPEN attempt VOIDING; in any other state it stays as it is."""
    attempt = booking.attempt(attempt_id, AttemptStatus.OPEN)
    return booking if attempt is None else replace(booking, payment=attempt.to(AttemptStatus.VOIDING))


def with_void_settled(booking: Booking, attempt_id: str) -> Booking:
    """Return a booking with a VOIDING attempt VOIDED; in any other state it stays as it is."""
    attempt = booking.attempt(attempt_id, AttemptStatus.VOIDING)
    return booking if attempt is None else replace(booking, payment=attempt.to(AttemptStatus.VOIDED))


def with_refund_settled(booking: Booking, refund_id: str, status: RefundStatus, provider_id: str = "") -> Booking:
    """Return a booking with a refund as the provider reports it.

    A refund that was paid may fail later. One that has failed, or that was paid by hand, stays as it is.
    """
    refund = find_refund(booking, refund_id)
    if refund is None or refund.settlement is not None or refund.status is RefundStatus.FAILED:
        return booking
    if refund.status is RefundStatus.COMPLETED and status is not RefundStatus.FAILED:
        return booking
    answered = replace(refund, status=status, provider_id=provider_id or refund.provider_id)
    return booking if answered == refund else booking.with_refund(answered)


def find_refund(booking: Booking, refund_id: str) -> Refund | None:
    """Return a refund of a booking, or None."""
    return next((refund for refund in booking.refunds if refund.refund_id == refund_id), None)
