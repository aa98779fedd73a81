"""The cancellation policy at its boundaries, and its rounding."""

from datetime import timedelta

import pytest

from cinema_grpc.domain.booking import Booking, BookingStatus, CancellationQuote
from cinema_grpc.domain.booking_errors import BookingNotCancellable
from cinema_grpc.domain.cancellation import refund_percent
from cinema_grpc.domain.money import Money
from tests.builders import NOW, a_booking

START = NOW + timedelta(days=3)
MICROSECOND = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("before_start", "percent", "valid_until_before_start"),
    [
        (timedelta(days=3), 100, timedelta(hours=24)),
        (timedelta(hours=24), 100, timedelta(hours=24)),
        (timedelta(hours=24) - MICROSECOND, 50, timedelta(hours=12)),
        (timedelta(hours=12), 50, timedelta(hours=12)),
        (timedelta(hours=12) - MICROSECOND, 0, MICROSECOND),
        (MICROSECOND, 0, MICROSECOND),
    ],
)
def test_boundaries(before_start: timedelta, percent: int, valid_until_before_start: timedelta) -> None:
    """24 hours or more 100%, 12 hours or more 50%, less 0%; and the last moment at which that applies."""
    assert refund_percent(START, START - before_start) == (percent, START - valid_until_before_start)


@pytest.mark.parametrize(
    ("minor_units", "percent", "expected"),
    [
        (1, 50, 1),
        (3, 50, 2),
        (1_250, 50, 625),
        (999, 50, 500),
        (999, 100, 999),
        (999, 0, 0),
        (10**13 - 1, 50, 5 * 10**12),
    ],
)
def test_half_a_minor_unit_rounds_up(minor_units: int, percent: int, expected: int) -> None:
    """In the customer's favour, without floats."""
    assert Money("EUR", minor_units).percent(percent) == Money("EUR", expected)


def confirmed() -> Booking:
    return a_booking(seats=("A1", "A2", "A3"), price=Money("EUR", 333), status=BookingStatus.CONFIRMED)


def test_quote_of_a_confirmed_booking() -> None:
    """A share of the total price, not of each seat's price."""
    quote = confirmed().quote(START, START - timedelta(hours=20))
    assert quote == CancellationQuote(Money("EUR", 500), 50, START - timedelta(hours=12))


def test_quote_of_a_reserved_booking() -> None:
    """Nothing was paid, so nothing is refunded. The quote is valid until the end of the hold."""
    booking = a_booking(seats=("A1",), hold_expire_time=NOW + timedelta(minutes=10))
    assert booking.quote(START, NOW) == CancellationQuote(Money("EUR", 0), 0, NOW + timedelta(minutes=10) - MICROSECOND)


def test_no_cancellation_from_the_start_on() -> None:
    """Up to a microsecond before the start a booking can be cancelled."""
    confirmed().quote(START, START - MICROSECOND)
    with pytest.raises(BookingNotCancellable) as refusal:
        confirmed().quote(START, START)
    assert refusal.value.metadata["status"] == "CONFIRMED"


@pytest.mark.parametrize("status", [BookingStatus.CANCELLED, BookingStatus.EXPIRED])
def test_a_finished_booking_is_not_cancelled(status: BookingStatus) -> None:
    """A cancelled or expired booking has no quote."""
    with pytest.raises(BookingNotCancellable) as refusal:
        a_booking(status=status).quote(START, NOW)
    assert refusal.value.metadata["status"] == status.value


def test_an_ended_hold_is_not_cancelled() -> None:
    """Recorded or not, it reads EXPIRED from its end on."""
    booking = a_booking(hold_expire_time=NOW + timedelta(minutes=10))
    with pytest.raises(BookingNotCancellable) as refusal:
        booking.quote(START, NOW + timedelta(minutes=10))
    assert refusal.value.metadata["status"] == "EXPIRED"
