"""The cancellation policy at its boundaries, its rounding, and showtimes that were moved."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from cinema_grpc.domain.booking import Booking, BookingStatus
from cinema_grpc.domain.booking_errors import BookingNotCancellable
from cinema_grpc.domain.cancellation import CancellationQuote, cancel, quote, refund_percent, refund_percent_after_moves
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.payment import AttemptStatus, PaymentAttempt
from cinema_grpc.domain.terms import Move
from tests.builders import NOW, a_booking, some_terms

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
    booking = a_booking(seats=("A1", "A2", "A3"), price=Money("EUR", 333), status=BookingStatus.CONFIRMED)
    return replace(booking, payment=PaymentAttempt("attempt", AttemptStatus.CHARGED, NOW))


def test_quote_of_a_confirmed_booking() -> None:
    """A share of the total price, not of each seat's price."""
    quoted = quote(confirmed(), START, (), (), START - timedelta(hours=20))
    assert quoted == CancellationQuote(Money("EUR", 500), 50, START - timedelta(hours=12))


def test_quote_of_a_reserved_booking() -> None:
    """Nothing was paid, so nothing is refunded. The quote is valid until the end of the hold."""
    booking = a_booking(seats=("A1",), hold_expire_time=NOW + timedelta(minutes=10))
    assert quote(booking, START, (), (), NOW) == CancellationQuote(
        Money("EUR", 0), 0, NOW + timedelta(minutes=10) - MICROSECOND
    )


def test_no_cancellation_from_the_start_on() -> None:
    """Up to a microsecond before the start a booking can be cancelled."""
    quote(confirmed(), START, (), (), START - MICROSECOND)
    with pytest.raises(BookingNotCancellable) as refusal:
        quote(confirmed(), START, (), (), START)
    assert refusal.value.metadata["status"] == "CONFIRMED"


@pytest.mark.parametrize("status", [BookingStatus.CANCELLED, BookingStatus.EXPIRED])
def test_a_finished_booking_is_not_cancelled(status: BookingStatus) -> None:
    """A cancelled or expired booking has no quote."""
    with pytest.raises(BookingNotCancellable) as refusal:
        quote(a_booking(status=status), START, (), (), NOW)
    assert refusal.value.metadata["status"] == status.value


def test_an_ended_hold_is_not_cancelled() -> None:
    """Recorded or not, it reads EXPIRED from its end on."""
    booking = a_booking(hold_expire_time=NOW + timedelta(minutes=10))
    with pytest.raises(BookingNotCancellable) as refusal:
        quote(booking, START, (), (), NOW + timedelta(minutes=10))
    assert refusal.value.metadata["status"] == "EXPIRED"


MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
MOVED = NOW + HOUR
"""When the showtime was moved; the booking was made at NOW."""


def moved_by(*minutes: int, at: datetime = MOVED) -> tuple[Move, ...]:
    """Return moves that each made the start so much later, the last one to START."""
    starts = [START - sum(minutes[number:]) * MINUTE for number in range(len(minutes))]
    return tuple(Move(at + number * MINUTE, start) for number, start in enumerate(starts))


@pytest.mark.parametrize(
    ("moves", "percent"),
    [
        ((15,), 100),
        ((-15,), 100),
        ((16,), 100),
        ((14,), 0),
        ((-14,), 0),
        ((8, 8), 0),  # neither is of 15 minutes
        ((20, -20), 100),  # though the start is the old one again
        ((8, 20, -8), 100),
        ((), 0),
    ],
)
def test_a_move_of_fifteen_minutes_means_everything_back(moves: tuple[int, ...], percent: int) -> None:
    """Until the new start."""
    last_moment = START - MICROSECOND
    assert refund_percent_after_moves(START, moved_by(*moves), NOW, last_moment) == (percent, last_moment)


def test_a_microsecond_less_does_not() -> None:
    move = Move(MOVED, START - timedelta(minutes=15) + MICROSECOND)
    assert refund_percent_after_moves(START, (move,), NOW, START - HOUR)[0] == 0


@pytest.mark.parametrize(("created", "percent"), [(-MICROSECOND, 100), (timedelta(), 100), (MICROSECOND, 0)])
def test_only_moves_since_the_booking_was_made_count(created: timedelta, percent: int) -> None:
    """One at the same moment does: the customer may have seen the old start."""
    found = refund_percent_after_moves(START, moved_by(60), MOVED + created, START - HOUR)
    assert found == (percent, START - MICROSECOND)


def test_moves_before_the_booking_was_made_leave_no_better_start() -> None:
    """The start was ten minutes later before the booking was made."""
    moves = moved_by(-10)
    now = START - 24 * HOUR + 5 * MINUTE
    assert refund_percent_after_moves(START, moves, MOVED + MICROSECOND, now) == (50, START - 12 * HOUR)
    assert refund_percent_after_moves(START, moves, NOW, now) == (100, START - 24 * HOUR + 10 * MINUTE)


@pytest.mark.parametrize(
    ("before_start", "percent", "until_before_start"),
    [
        (24 * HOUR, 100, 24 * HOUR - 10 * MINUTE),
        (24 * HOUR - 10 * MINUTE, 100, 24 * HOUR - 10 * MINUTE),
        (24 * HOUR - 10 * MINUTE - MICROSECOND, 50, 12 * HOUR - 10 * MINUTE),
        (12 * HOUR - 10 * MINUTE, 50, 12 * HOUR - 10 * MINUTE),
        (12 * HOUR - 10 * MINUTE - MICROSECOND, 0, MICROSECOND),
    ],
)
def test_small_moves_leave_the_best_percent(
    before_start: timedelta, percent: int, until_before_start: timedelta
) -> None:
    """Over all starts since the booking was made, here START, 10 minutes later, and START again."""
    found = refund_percent_after_moves(START, moved_by(10, -10), NOW, START - before_start)
    assert found == (percent, START - until_before_start)


def test_an_earlier_start_before_does_no_harm() -> None:
    """A quote never holds beyond the present start."""
    found = refund_percent_after_moves(START, moved_by(10), NOW, START - 24 * HOUR)
    assert found == (100, START - 24 * HOUR)
    late = refund_percent_after_moves(START, moved_by(-10), NOW, START - HOUR)
    assert late == (0, START - MICROSECOND)


def test_a_quote_after_a_move() -> None:
    """For some seats of a booking, within the last hours."""
    quoted = quote(confirmed(), START, moved_by(15), ["A1", "A3"], START - HOUR)
    assert quoted == CancellationQuote(Money("EUR", 666), 100, START - MICROSECOND)
    cancelled = cancel(confirmed(), replace(some_terms(start_time=START), moves=moved_by(15)), (), "r", START - HOUR)
    assert cancelled.refund is not None
    assert (cancelled.refund.percent, cancelled.refund.amount) == (100, Money("EUR", 999))
