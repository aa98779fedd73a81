"""Changing the start, the prices and the gap policy of a showtime: what becomes of its bookings."""

from datetime import datetime, timedelta

import pytest

from cinema_grpc.domain.booking import Booking, BookingStatus
from cinema_grpc.domain.booking_errors import HoldExpired, SalesClosed, ShowtimeCancelled, ShowtimeEnded
from cinema_grpc.domain.errors import InvalidRequest, ShowtimeOverlap
from cinema_grpc.domain.holds import renewed
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.pricing import STANDARD, PriceLine, PriceList, single_price
from cinema_grpc.domain.showtime import Showtime
from cinema_grpc.domain.showtime_changes import Impact, ShowtimeChanges, cancel_showtime, update_showtime
from cinema_grpc.domain.terms import Move, SeatGapPolicy, Slot
from tests.builders import NOW, PRICE, a_showtime
from tests.domain.commands import (
    MICROSECOND,
    NO_TIME,
    START,
    TEN_MINUTES,
    cancel,
    hold,
    settle_decline,
    sold,
)

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
NOTHING = Money("EUR", 0)


def update(showtime: Showtime, changes: ShowtimeChanges, *neighbours: Slot, after: timedelta = NO_TIME) -> Impact:
    return update_showtime(showtime, changes, neighbours, TEN_MINUTES, NOW + after)


def move(showtime: Showtime, start: datetime, *neighbours: Slot, after: timedelta = NO_TIME) -> Impact:
    return update(showtime, ShowtimeChanges(start_time=start), *neighbours, after=after)


class TestStart:
    def test_every_booking_stays(self) -> None:
        """The end moves by as much as the start, and the old start is remembered."""
        showtime = a_showtime()
        paid = sold(showtime, "A1", "A2")
        held = hold(showtime, "B1", "B2", by="bob", name="b2")
        impact = move(showtime, START + HOUR, after=MINUTE)
        assert impact == Impact(1, 1, 0, 4, 0, NOTHING)
        assert (showtime.booking("b1"), showtime.booking("b2")) == (paid, held)
        terms = showtime.terms
        assert (terms.start_time, terms.end_time) == (START + HOUR, START + 3 * HOUR)
        assert terms.moves == (Move(NOW + MINUTE, START),)

    def test_sales_move_with_it(self) -> None:
        showtime = a_showtime()
        move(showtime, NOW + HOUR)
        with pytest.raises(SalesClosed):
            hold(showtime, "A1", "A2", after=HOUR)
        later = a_showtime(start_time=NOW + HOUR)
        move(later, NOW + 2 * HOUR)
        hold(later, "A1", "A2", after=2 * HOUR - MICROSECOND)

    def test_a_showtime_that_runs_can_be_moved(self) -> None:
        """Until its end, to a start in the future."""
        showtime = a_showtime(start_time=NOW)
        move(showtime, NOW + 3 * HOUR, after=2 * HOUR - MICROSECOND)
        hold(showtime, "A1", "A2", after=2 * HOUR)

    @pytest.mark.parametrize("start", [NOW, NOW - MICROSECOND, NOW + timedelta(days=5 * 366)])
    def test_a_start_that_no_showtime_may_have(self, start: datetime) -> None:
        showtime = a_showtime()
        with pytest.raises(InvalidRequest) as refusal:
            move(showtime, start)
        assert [each.field for each in refusal.value.violations] == ["start_time"]
        assert showtime.terms_before is None

    def test_the_auditorium_must_be_free(self) -> None:
        """15 minutes before and after other showtimes."""
        showtime = a_showtime()
        earlier = Slot("earlier", START - 3 * HOUR, START - HOUR)
        later = Slot("later", START + 4 * HOUR, START + 6 * HOUR)
        for start, other in (
            (START - 46 * MINUTE, "earlier"),
            (START + 106 * MINUTE, "later"),
            (START + 5 * HOUR, "later"),
        ):
            with pytest.raises(ShowtimeOverlap) as refusal:
                move(showtime, start, earlier, later)
            assert refusal.value.metadata["showtime_id"] == other
        assert showtime.terms_before is None
        move(showtime, START - 45 * MINUTE, earlier, later)
        move(showtime, START + 105 * MINUTE, earlier, later)

    def test_the_same_start_is_no_move(self) -> None:
        showtime = a_showtime()
        move(showtime, START)
        assert showtime.terms_before is None


class TestHoldsOfAMovedShowtime:
    def moved(self, before: timedelta, after: timedelta) -> Booking:
        """Hold seats at NOW, move the start a minute later, and return the booking; times are from NOW."""
        showtime = a_showtime(start_time=NOW + before)
        hold(showtime, "A1", "A2")
        move(showtime, NOW + after, after=MINUTE)
        return showtime.booking("b1")

    @pytest.mark.parametrize(
        ("before", "after", "end"),
        [
            (60, 90, 10),  # the start was never near
            (60, 7, 7),  # the new start cuts it short
            (5, 7, 7),
            (5, 3, 3),
            (5, 10, 10),
            (5, 60, 10),  # the old start no longer does
            (10, 60, 10),
        ],
    )
    def test_they_end_by_the_new_start(self, before: int, after: int, end: int) -> None:
        """Or after ten minutes, whichever comes first."""
        assert self.moved(before * MINUTE, after * MINUTE).hold_expire_time == NOW + end * MINUTE

    def test_a_hold_cut_short_recovers(self) -> None:
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        for start, end in ((5, 5), (8, 8), (60, 10)):
            move(showtime, NOW + start * MINUTE, after=MINUTE)
            assert showtime.booking("b1").hold_expire_time == NOW + end * MINUTE

    def test_an_extended_hold_never_ends_sooner_because_the_start_is_later(self) -> None:
        """It was extended up to the old start, which was more than ten minutes after the booking was made."""
        showtime = a_showtime(start_time=NOW + 15 * MINUTE)
        hold(showtime, "A1", "A2")
        showtime.update("b1", renewed, showtime.terms, TEN_MINUTES, NOW + 9 * MINUTE)
        move(showtime, NOW + HOUR, after=12 * MINUTE)
        booking = showtime.booking("b1")
        assert booking.as_of(NOW + 12 * MINUTE).status is BookingStatus.RESERVED
        assert booking.hold_expire_time >= NOW + 15 * MINUTE

    def test_a_payment_keeps_its_two_minutes(self) -> None:
        """It may end after the new start, as it may after the old one."""
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        showtime.open_payment("b1", "ada", "first", NOW)
        move(showtime, NOW + MINUTE)
        assert showtime.booking("b1").hold_expire_time == NOW + TEN_MINUTES

    @pytest.mark.parametrize(("after", "end"), [(3, 5), (7, 7), (60, 10)])
    def test_a_payment_of_a_hold_cut_short_lasts_longer_only_up_to_the_new_start(self, after: int, end: int) -> None:
        showtime = a_showtime(start_time=NOW + 5 * MINUTE)
        hold(showtime, "A1", "A2")
        showtime.open_payment("b1", "ada", "first", NOW)
        move(showtime, NOW + after * MINUTE, after=MINUTE)
        assert showtime.booking("b1").hold_expire_time == NOW + end * MINUTE

    def test_after_a_declined_charge_a_hold_ends_by_the_new_start(self) -> None:
        """No other charge can begin then."""
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        showtime.open_payment("b1", "ada", "first", NOW)
        settle_decline(showtime, "b1", "first")
        move(showtime, NOW + MINUTE)
        assert showtime.booking("b1").hold_expire_time == NOW + MINUTE

    def test_a_lapsed_hold_stays_lapsed(self) -> None:
        showtime = a_showtime(start_time=NOW + 5 * MINUTE)
        hold(showtime, "A1", "A2")
        move(showtime, NOW + HOUR, after=5 * MINUTE)
        with pytest.raises(HoldExpired):
            showtime.open_payment("b1", "ada", "first", NOW + 5 * MINUTE)


class TestPrices:
    def test_new_prices_are_for_later_claims(self) -> None:
        showtime = a_showtime()
        sold(showtime, "A1", "A2")
        prices = single_price(Money("EUR", 2_000), [])
        impact = update(showtime, ShowtimeChanges(prices=prices))
        assert impact == Impact(1, 0, 0, 2, 0, NOTHING)
        assert showtime.terms.prices == prices
        assert hold(showtime, "A3", "A4", name="b2").total_price == Money("EUR", 4_000)
        refund = cancel(showtime).refund
        assert refund is not None
        assert refund.amount == Money("EUR", 2_500)

    @pytest.mark.parametrize(
        ("lines", "field"),
        [
            ([PriceLine(STANDARD, STANDARD, Money("USD", 1))], "prices[0].price.currency_code"),
            ([PriceLine("vip", STANDARD, Money("EUR", 1))], "prices"),
        ],
    )
    def test_prices_that_do_not_fit_the_showtime(self, lines: list[PriceLine], field: str) -> None:
        """In another currency, or without one for a category of the auditorium."""
        showtime = a_showtime()
        with pytest.raises(InvalidRequest) as refusal:
            update(showtime, ShowtimeChanges(prices=PriceList(lines), seat_gap_policy=SeatGapPolicy.ALLOW))
        assert [each.field for each in refusal.value.violations] == [field]
        assert showtime.terms_before is None


def test_the_gap_policy() -> None:
    showtime = a_showtime()
    update(showtime, ShowtimeChanges(seat_gap_policy=SeatGapPolicy.ALLOW))
    hold(showtime, "A2")


def test_nothing_to_change() -> None:
    """The same values change nothing: the terms are not written."""
    showtime = a_showtime()
    update(showtime, ShowtimeChanges())
    update(showtime, ShowtimeChanges(START, single_price(PRICE, []), SeatGapPolicy.REFUSE))
    assert showtime.terms_before is None


def test_not_after_the_end() -> None:
    """Nor when it is cancelled."""
    showtime = a_showtime(start_time=NOW)
    with pytest.raises(ShowtimeEnded):
        move(showtime, NOW + timedelta(days=1), after=2 * HOUR)
    cancelled = a_showtime()
    cancel_showtime(cancelled, "no power", lambda: "refund", NOW)
    with pytest.raises(ShowtimeCancelled):
        move(cancelled, START + HOUR)
