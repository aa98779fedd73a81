"""The states of a booking and of its payment: every step that the table allows, and every other refused."""

from dataclasses import replace
from datetime import timedelta

import pytest

from cinema_grpc.domain import payment
from cinema_grpc.domain.booking import TRANSITIONS, BookedSeat, BookingStatus
from cinema_grpc.domain.booking_errors import BookingNotReserved, HoldExpired, SalesClosed
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.payment import AttemptStatus, PaymentAttempt
from tests.builders import NOW, PRICE, a_booking, some_terms

TERMS = some_terms()
START = TERMS.start_time


@pytest.mark.parametrize("before", BookingStatus)
@pytest.mark.parametrize("after", BookingStatus)
def test_transitions(before: BookingStatus, after: BookingStatus) -> None:
    """A step that the table does not have is a fault of ours."""
    booking = a_booking(status=before)
    if after in TRANSITIONS[before]:
        assert booking.to(after).status is after
    else:
        with pytest.raises(ValueError, match="never goes"):
            booking.to(after)


def test_allowed_steps() -> None:
    """A CANCELLED or EXPIRED booking stays so."""
    steps = {(before.value, after.value) for before, afters in TRANSITIONS.items() for after in afters}
    assert steps == {
        ("RESERVED", "CONFIRMED"),
        ("RESERVED", "CANCELLED"),
        ("RESERVED", "EXPIRED"),
        ("CONFIRMED", "CANCELLED"),
    }


def test_the_total_price_is_the_sum_of_the_prices() -> None:
    seats = (
        BookedSeat("A1", PRICE, "standard", "adult"),
        BookedSeat("A2", Money("EUR", 900), "standard", "child"),
    )
    assert replace(a_booking(), seats=seats).total_price == Money("EUR", 2_150)


def test_a_hold_ends_at_its_end() -> None:
    """At hold_expire_time itself the hold is over; one microsecond before it is not."""
    booking = a_booking(hold_expire_time=NOW)
    assert not booking.lapsed(NOW - timedelta(microseconds=1))
    assert booking.lapsed(NOW)
    assert booking.as_of(NOW).status is BookingStatus.EXPIRED


@pytest.mark.parametrize("status", [BookingStatus.CONFIRMED, BookingStatus.CANCELLED])
def test_only_a_reserved_booking_is_payable(status: BookingStatus) -> None:
    """The refusal names the status."""
    with pytest.raises(BookingNotReserved) as refusal:
        a_booking(status=status).check_payable(TERMS, NOW)
    assert refusal.value.metadata["status"] == status.value


@pytest.mark.parametrize("status", [BookingStatus.EXPIRED, BookingStatus.RESERVED])
def test_an_expired_hold_is_not_payable(status: BookingStatus) -> None:
    """Written down or not; the refusal says when it ended."""
    with pytest.raises(HoldExpired) as refusal:
        a_booking(status=status, hold_expire_time=NOW).check_payable(TERMS, NOW)
    assert refusal.value.metadata["hold_expire_time"] == "2026-05-01T12:00:00Z"


def test_sales_end_at_the_start() -> None:
    """A hold that a charge made longer may outlive the start, but no new charge begins then."""
    booking = a_booking(hold_expire_time=START + timedelta(minutes=1))
    booking.check_payable(TERMS, START - timedelta(microseconds=1))
    with pytest.raises(SalesClosed):
        booking.check_payable(TERMS, START)


@pytest.mark.parametrize("before", AttemptStatus)
@pytest.mark.parametrize("after", AttemptStatus)
def test_steps_of_a_payment_attempt(before: AttemptStatus, after: AttemptStatus) -> None:
    attempt = PaymentAttempt("attempt", before, NOW)
    if after in payment.TRANSITIONS[before]:
        assert attempt.to(after).status is after
    else:
        with pytest.raises(ValueError, match="never goes"):
            attempt.to(after)


def test_allowed_steps_of_a_payment_attempt() -> None:
    """An attempt ends CHARGED, DECLINED or VOIDED, and stays so."""
    steps = {(before.value, after.value) for before, afters in payment.TRANSITIONS.items() for after in afters}
    assert steps == {
        ("OPEN", "CHARGED"),
        ("OPEN", "DECLINED"),
        ("OPEN", "VOIDING"),
        ("VOIDING", "VOIDED"),
        ("VOIDING", "CHARGED"),
    }
