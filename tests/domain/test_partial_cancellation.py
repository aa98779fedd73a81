"""Cancelling some seats of a booking: refunds that add up, and what is left; voiding by staff; moved showtimes."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinema_grpc.domain import cancellation
from cinema_grpc.domain.booking import BookedSeat, Booking, BookingStatus, CancelCause
from cinema_grpc.domain.booking_errors import (
    BookingNotCancellable,
    PaymentInProgress,
    SeatNotInBooking,
    ShowtimeEnded,
)
from cinema_grpc.domain.cancellation import CancellationQuote, left_to_refund, quote
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.payment import RefundStatus
from cinema_grpc.domain.sale import Sale, Tender
from cinema_grpc.domain.showtime import SeatStatus, Showtime
from tests.builders import NOW, a_booking, a_showtime, some_terms
from tests.domain.commands import (
    MICROSECOND,
    NO_TIME,
    START,
    TEN_MINUTES,
    begin_void,
    cancel,
    hold,
    pay,
    settle_decline,
    sold,
    state,
)

END = START + timedelta(hours=2)
TERMS = some_terms()
HALF = timedelta(hours=30)
"""After NOW: 18 hours before the start, when half is paid back."""


def paid(prices: list[int]) -> Booking:
    """Return a booking that was paid at the counter, with seats A1, A2 and so on at these prices."""
    seats = tuple(
        BookedSeat(f"A{number + 1}", Money("EUR", price), "standard", "adult") for number, price in enumerate(prices)
    )
    booking = a_booking(status=BookingStatus.CONFIRMED)
    return replace(booking, seats=seats, sale=Sale(Tender.CASH, "staff", ""), confirm_time=NOW)


def void(booking: Booking, seats: list[str], percent: int, now: datetime = NOW) -> Booking:
    return cancellation.void(booking, TERMS, seats, percent, "asked", f"refund {len(booking.refunds) + 1}", now)


def refunded(booking: Booking) -> int:
    return sum(refund.amount.minor_units for refund in booking.refunds)


def parts_of(data: st.DataObject, booking: Booking) -> list[list[str]]:
    """Choose parts of the booking's seats, in any order, that are all seats together."""
    order = data.draw(st.permutations(booking.labels))
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(order) - 1)), max_size=len(order) - 1)))
    edges = [0, *(cut for cut in cuts if cut < len(order)), len(order)]
    return [list(order[start:stop]) for start, stop in pairwise(edges)]


PRICES = st.lists(st.integers(0, 999) | st.integers(0, 10**12), min_size=1, max_size=10)


class TestSums:
    @given(prices=PRICES, percent=st.integers(0, 100), data=st.data())
    def test_parts_pay_what_the_whole_would(self, prices: list[int], percent: int, data: st.DataObject) -> None:
        """After every part: what cancelling those seats at once would have paid, in any order."""
        booking = paid(prices)
        gone: list[str] = []
        for part in parts_of(data, booking):
            before, gone = booking, gone + part
            booking = void(booking, part, percent)
            assert refunded(booking) == refunded(void(paid(prices), gone, percent))
            assert booking.refunds[:-1] == before.refunds
            assert booking.total_price == before.total_price
        assert booking.status is BookingStatus.CANCELLED
        assert refunded(booking) == Money("EUR", sum(prices)).percent(percent).minor_units

    @given(prices=PRICES, data=st.data())
    def test_parts_never_pay_more_than_was_paid(self, prices: list[int], data: st.DataObject) -> None:
        """At any mix of percents, each part pays between nothing and the price of its seats; the rest is left."""
        booking = paid(prices)
        price_of = {seat.label: seat.price.minor_units for seat in booking.seats}
        percents = data.draw(st.lists(st.integers(0, 100), min_size=1, max_size=3))
        for part in parts_of(data, booking):
            booking = void(booking, part, data.draw(st.sampled_from(percents)))
            assert 0 <= booking.refunds[-1].amount.minor_units <= sum(price_of[seat] for seat in part)
        assert left_to_refund(booking) == Money("EUR", sum(prices) - refunded(booking))
        for percent in percents:
            refunds = [each for each in booking.refunds if each.percent == percent]
            price = Money("EUR", sum(price_of[seat] for each in refunds for seat in each.seats))
            assert sum(each.amount.minor_units for each in refunds) == price.percent(percent).minor_units

    def test_seats_cancelled_at_another_percent_play_no_part(self) -> None:
        """Two seats at 12.51, one cancelled at 100%: the other is paid back 6.26 at 50%, as a single one is."""
        booking = void(void(paid([1251, 1251]), ["A1"], 100), ["A2"], 50)
        assert [refund.amount.minor_units for refund in booking.refunds] == [1251, 626]

    def test_half_units_round_up_once(self) -> None:
        """Three seats at 333 and 50%: 167, then 166, then 167, which is 500 of 999."""
        booking = paid([333, 333, 333])
        for seat in ("A2", "A3", "A1"):
            booking = void(booking, [seat], 50)
        assert [refund.amount.minor_units for refund in booking.refunds] == [167, 166, 167]


class TestPartOfAPaidBooking:
    def test_the_rest_stays(self) -> None:
        showtime = a_showtime()
        before = sold(showtime, "A1", "A2", "A3", "A4")
        booking = cancel(showtime, "A3", "A1", after=HALF)
        assert booking.status is BookingStatus.CONFIRMED
        assert (booking.cancel_time, booking.cancel_cause) == (None, None)
        assert booking.labels == ("A2", "A4")
        assert [seat.active for seat in booking.seats] == [False, True, False, True]
        assert (booking.total_price, booking.tickets) == (before.total_price, before.tickets)
        (refund,) = booking.refunds
        assert (refund.refund_id, refund.seats, refund.percent) == ("refund 1", ("A1", "A3"), 50)
        assert (refund.amount, refund.status, refund.create_time) == (
            Money("EUR", 1_250),
            RefundStatus.PENDING,
            NOW + HALF,
        )
        assert refund.attempt_id == "attempt of b1"

    def test_its_seats_are_free(self) -> None:
        """Never refused for the gap rule, though A2 is single then."""
        showtime = a_showtime()
        sold(showtime, "A1", "A2", "A3")
        cancel(showtime, "A2")
        assert (state(showtime, "A1"), state(showtime, "A2")) == (SeatStatus.SOLD, SeatStatus.AVAILABLE)
        assert showtime.taken == 2
        sold(showtime, "A2", by="bob", name="b2")
        cancel(showtime)
        assert state(showtime, "A2") is SeatStatus.SOLD
        assert showtime.taken == 1

    def test_the_last_seat_makes_it_cancelled(self) -> None:
        showtime = a_showtime()
        sold(showtime, "A1", "A2", "A3")
        cancel(showtime, "A1", "A2")
        booking = cancel(showtime, "A3", after=HALF)
        assert booking.status is BookingStatus.CANCELLED
        assert (booking.cancel_time, booking.cancel_cause) == (NOW + HALF, CancelCause.CUSTOMER)
        assert [refund.seats for refund in booking.refunds] == [("A1", "A2"), ("A3",)]
        assert [refund.percent for refund in booking.refunds] == [100, 50]
        assert booking.refund is booking.refunds[1]
        assert showtime.taken == 0

    def test_no_seats_named_means_all_that_are_left(self) -> None:
        showtime = a_showtime()
        sold(showtime, "A1", "A2", "A3")
        cancel(showtime, "A1")
        booking = cancel(showtime)
        assert booking.status is BookingStatus.CANCELLED
        assert booking.refunds[1].seats == ("A2", "A3")

    @pytest.mark.parametrize("seats", [("A1",), ("A2", "A10", "A1"), ("A4", "B1")])
    def test_seats_that_it_does_not_keep(self, seats: tuple[str, ...]) -> None:
        """Cancelled before, or never its own. All are named, in row order, and nothing is cancelled."""
        showtime = a_showtime()
        sold(showtime, "A1", "A2", "A3")
        booking = cancel(showtime, "A1")
        with pytest.raises(SeatNotInBooking) as refusal:
            cancel(showtime, *seats)
        missing = {("A1",): "A1", ("A2", "A10", "A1"): "A1,A10", ("A4", "B1"): "A4,B1"}[seats]
        assert refusal.value.metadata == {"booking_id": "b1", "seats": missing}
        assert showtime.booking("b1") is booking

    def test_quotes_say_what_cancelling_pays(self) -> None:
        booking = paid([333, 333, 333])
        for seats in (["A2"], ["A1"], ["A3"]):
            quoted = quote(booking, START, (), seats, NOW + HALF)
            booking = cancellation.cancel(booking, TERMS, seats, "refund", NOW + HALF)
            assert booking.refund is not None
            assert (quoted.amount, quoted.percent) == (booking.refund.amount, booking.refund.percent)
        assert refunded(booking) == 500

    def test_from_the_start_on_no_seat_is_cancelled(self) -> None:
        showtime = a_showtime()
        sold(showtime, "A1", "A2")
        with pytest.raises(BookingNotCancellable):
            cancel(showtime, "A1", after=START - NOW)
        cancel(showtime, "A1", after=START - NOW - MICROSECOND)


class TestPartOfAHold:
    def test_its_seats_leave_the_booking(self) -> None:
        """Nothing was paid, so nothing is paid back, and only the rest is charged."""
        showtime = a_showtime()
        before = hold(showtime, "A1", "A2", "A3")
        booking = cancel(showtime, "A1")
        assert booking == replace(before, seats=before.seats[1:])
        assert state(showtime, "A1") is SeatStatus.AVAILABLE
        assert pay(showtime).total_price == Money("EUR", 2_500)

    def test_the_last_seat_makes_it_cancelled(self) -> None:
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        cancel(showtime, "A1")
        booking = cancel(showtime, "A2", after=MICROSECOND)
        assert (booking.status, booking.cancel_time) == (BookingStatus.CANCELLED, NOW + MICROSECOND)
        assert (booking.labels, booking.refunds) == (("A2",), ())

    def test_they_no_longer_count_as_on_hold(self) -> None:
        showtime = a_showtime()
        hold(showtime, *(f"A{number}" for number in range(1, 11)))
        cancel(showtime, "A1", "A2")
        hold(showtime, "B1", "B2", name="b2")

    def test_a_quote(self) -> None:
        booking = a_booking(seats=("A1", "A2"))
        nothing = CancellationQuote(Money("EUR", 0), 0, NOW + TEN_MINUTES - MICROSECOND)
        assert quote(booking, START, (), ["A1"], NOW) == nothing

    def test_not_during_a_payment(self) -> None:
        """What was charged would not match the seats."""
        showtime = a_showtime()
        hold(showtime, "A1", "A2", "A3")
        showtime.open_payment("b1", "ada", "first", NOW)
        for _ in range(2):
            with pytest.raises(PaymentInProgress):
                cancel(showtime, "A1")
            begin_void(showtime, "b1", "first")
        again = a_showtime()
        hold(again, "A1", "A2", "A3")
        again.open_payment("b1", "ada", "first", NOW)
        settle_decline(again, "b1", "first")
        assert cancel(again, "A1").labels == ("A2", "A3")


class TestVoid:
    def void(self, showtime: Showtime, *seats: str, percent: int = 100, after: timedelta = NO_TIME) -> Booking:
        step = cancellation.void
        return showtime.update("b1", step, showtime.terms, seats, percent, "asked", "voided", NOW + after)

    @pytest.mark.parametrize(("percent", "amount"), [(0, 0), (33, 413), (100, 1_250)])
    def test_pays_the_percent_that_staff_give(self, percent: int, amount: int) -> None:
        """After the start too; a refund of nothing is complete."""
        showtime = a_showtime()
        sold(showtime, "A1", "A2")
        booking = self.void(showtime, "A1", percent=percent, after=END - NOW - MICROSECOND)
        assert booking.status is BookingStatus.CONFIRMED
        (refund,) = booking.refunds
        assert (refund.percent, refund.amount.minor_units, refund.seats) == (percent, amount, ("A1",))
        assert refund.status is (RefundStatus.PENDING if amount else RefundStatus.COMPLETED)

    def test_says_who_and_why(self) -> None:
        showtime = a_showtime()
        sold(showtime, "A1", "A2")
        booking = self.void(showtime)
        assert (booking.status, booking.cancel_cause) == (BookingStatus.CANCELLED, CancelCause.STAFF)
        assert (booking.cancel_reason, booking.cancel_time) == ("asked", NOW)

    def test_of_a_hold(self) -> None:
        """Whatever the percent, nothing was paid."""
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        assert self.void(showtime, "A1").labels == ("A2",)
        booking = self.void(showtime)
        assert (booking.cancel_cause, booking.refunds) == (CancelCause.STAFF, ())

    def test_until_the_end(self) -> None:
        showtime = a_showtime()
        sold(showtime, "A1", "A2")
        with pytest.raises(ShowtimeEnded):
            self.void(showtime, after=END - NOW)

    def test_refusals(self) -> None:
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        with pytest.raises(SeatNotInBooking):
            self.void(showtime, "A3")
        with pytest.raises(BookingNotCancellable):
            self.void(showtime, after=TEN_MINUTES)
        showtime.open_payment("b1", "ada", "first", NOW)
        with pytest.raises(PaymentInProgress):
            self.void(showtime)
        settle_decline(showtime, "b1", "first")
        self.void(showtime)
        with pytest.raises(BookingNotCancellable):
            self.void(showtime)
