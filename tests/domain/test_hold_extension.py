"""Extending a hold: once, to ten minutes from now, twenty from its creation, and never past the start."""

from datetime import timedelta

import pytest

from cinema_grpc.domain import holds
from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.booking_errors import (
    BookingNotReserved,
    HoldExpired,
    HoldExtensionLimit,
    PaymentInProgress,
    SalesClosed,
    SeatsUnavailable,
)
from cinema_grpc.domain.showtime import Showtime
from tests.builders import NOW, a_showtime
from tests.domain.commands import MICROSECOND, NO_TIME, TEN_MINUTES, hold, pay, settle_decline

MINUTE = timedelta(minutes=1)


def extend(showtime: Showtime, after: timedelta) -> Booking:
    return showtime.update("b1", holds.renewed, showtime.terms, TEN_MINUTES, NOW + after)


@pytest.mark.parametrize("after", [MICROSECOND, 5 * MINUTE, TEN_MINUTES - MICROSECOND])
def test_extends_to_ten_minutes_from_now(after: timedelta) -> None:
    showtime = a_showtime()
    hold(showtime, "A1", "A2")
    booking = extend(showtime, after)
    assert booking.hold_expire_time == NOW + after + TEN_MINUTES
    assert booking.hold_renewed


def test_extends_to_twenty_minutes_after_it_was_made() -> None:
    """A charge had extended it before."""
    showtime = a_showtime()
    hold(showtime, "A1", "A2")
    showtime.open_payment("b1", "ada", "first", NOW + 9 * MINUTE)
    settle_decline(showtime, "b1", "first")
    assert extend(showtime, 10 * MINUTE + MICROSECOND).hold_expire_time == NOW + 20 * MINUTE


def test_once() -> None:
    """A refusal changes nothing."""
    showtime = a_showtime()
    hold(showtime, "A1", "A2")
    booking = extend(showtime, MINUTE)
    with pytest.raises(HoldExtensionLimit) as refusal:
        extend(showtime, 2 * MINUTE)
    assert refusal.value.metadata == {"booking_id": "b1", "hold_expire_time": "2026-05-01T12:11:00Z"}
    assert showtime.booking("b1") is booking


def test_an_extension_that_moves_nothing_does_not_count() -> None:
    showtime = a_showtime()
    booking = hold(showtime, "A1", "A2")
    assert extend(showtime, NO_TIME) is booking
    assert extend(showtime, MINUTE).hold_expire_time == NOW + 11 * MINUTE


def test_never_past_the_start() -> None:
    showtime = a_showtime(start_time=NOW + 12 * MINUTE)
    hold(showtime, "A1", "A2")
    assert extend(showtime, 5 * MINUTE).hold_expire_time == NOW + 12 * MINUTE
    near = a_showtime(start_time=NOW + 5 * MINUTE)
    booking = hold(near, "A1", "A2")
    assert extend(near, MINUTE) is booking


def test_a_charge_extends_it_all_the_same() -> None:
    showtime = a_showtime()
    hold(showtime, "A1", "A2")
    extend(showtime, 9 * MINUTE)
    opened = showtime.open_payment("b1", "ada", "first", NOW + 18 * MINUTE)
    assert opened.hold_expire_time == NOW + 20 * MINUTE


def test_seats_stay_held() -> None:
    showtime = a_showtime()
    hold(showtime, "A1", "A2")
    extend(showtime, 5 * MINUTE)
    with pytest.raises(SeatsUnavailable):
        hold(showtime, "A1", "A2", by="bob", name="b2", after=15 * MINUTE - MICROSECOND)
    hold(showtime, "A1", "A2", by="bob", name="b2", after=15 * MINUTE)


def test_of_what_is_no_hold() -> None:
    showtime = a_showtime()
    hold(showtime, "A1", "A2")
    with pytest.raises(HoldExpired):
        extend(showtime, TEN_MINUTES)
    showtime.open_payment("b1", "ada", "first", NOW)
    with pytest.raises(PaymentInProgress):
        extend(showtime, NO_TIME)
    settle_decline(showtime, "b1", "first")
    pay(showtime)
    with pytest.raises(BookingNotReserved):
        extend(showtime, NO_TIME)


def test_not_after_the_start() -> None:
    """A charge had extended the hold past it."""
    showtime = a_showtime(start_time=NOW + 5 * MINUTE)
    hold(showtime, "A1", "A2")
    showtime.open_payment("b1", "ada", "first", NOW + 4 * MINUTE)
    settle_decline(showtime, "b1", "first")
    with pytest.raises(SalesClosed):
        extend(showtime, 5 * MINUTE)
