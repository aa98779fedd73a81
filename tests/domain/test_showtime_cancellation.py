"""Cancelling a showtime: what becomes of its bookings, their payments and the blocked seats."""

from datetime import timedelta
from itertools import count

import pytest

from cinema_grpc.domain.booking import Booking, BookingStatus, CancelCause
from cinema_grpc.domain.booking_errors import (
    BookingNotCancellable,
    HoldExpired,
    PaymentInProgress,
    ShowtimeCancelled,
    ShowtimeEnded,
)
from cinema_grpc.domain.cancellation import void
from cinema_grpc.domain.claims import Selection
from cinema_grpc.domain.counter import sell
from cinema_grpc.domain.holds import change_seats, renewed
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.payment import AttemptStatus, Refund, RefundStatus
from cinema_grpc.domain.sale import Sale, Tender
from cinema_grpc.domain.showtime import SeatStatus, Showtime
from cinema_grpc.domain.showtime_changes import Impact, cancel_showtime, set_seat_blocks
from cinema_grpc.domain.terms import ShowtimeStatus
from tests.builders import NOW, a_showtime
from tests.domain.commands import (
    MICROSECOND,
    NO_TIME,
    START,
    TEN_MINUTES,
    a_block,
    begin_void,
    cancel,
    hold,
    issue,
    settle_charge,
    settle_decline,
    settle_void,
    sold,
)

REASON = "the projector is broken"
END = START + timedelta(hours=2)


def call_off(showtime: Showtime, after: timedelta = NO_TIME) -> Impact:
    """Cancel the showtime; the refunds are r1, r2 and so on."""
    numbers = count(1)
    return cancel_showtime(showtime, REASON, lambda: f"r{next(numbers)}", NOW + after)


def amounts(booking: Booking) -> list[tuple[int, int]]:
    """Return the percent and the amount of each refund."""
    return [(refund.percent, refund.amount.minor_units) for refund in booking.refunds]


def test_everything_is_cancelled_and_paid_back() -> None:
    showtime = a_showtime()
    sold(showtime, "A1", "A2", by="ada")
    hold(showtime, "A3", "A4", by="bob", name="b2")
    hold(showtime, "B1", "B2", "B3", by="cyd", name="b3")
    showtime.open_payment("b3", "cyd", "attempt of b3", NOW)
    impact = call_off(showtime)
    assert impact == Impact(1, 2, 1, 7, 0, Money("EUR", 2_500))
    for name in ("b1", "b2", "b3"):
        booking = showtime.booking(name)
        assert booking.status is BookingStatus.CANCELLED
        assert (booking.cancel_cause, booking.cancel_reason) == (CancelCause.SHOWTIME, REASON)
        assert booking.cancel_time == NOW
    (refund,) = showtime.booking("b1").refunds
    assert refund == Refund(
        refund.refund_id, "attempt of b1", Money("EUR", 2_500), 100, RefundStatus.PENDING, NOW, ("A1", "A2")
    )
    assert showtime.booking("b2").refunds == showtime.booking("b3").refunds == ()


def test_the_showtime_is_cancelled() -> None:
    showtime = a_showtime()
    before = showtime.terms
    set_seat_blocks(showtime, a_block("A1"), (), NOW)
    call_off(showtime, MICROSECOND)
    terms = showtime.terms
    assert terms.status is ShowtimeStatus.CANCELLED
    assert (terms.cancel_time, terms.cancel_reason, terms.blocks) == (NOW + MICROSECOND, REASON, ())
    assert set(showtime.seats(NOW)) == {SeatStatus.AVAILABLE}
    assert showtime.taken == 0
    assert showtime.next_lapse(NOW) is None
    assert showtime.terms_before == before


def test_until_the_end_and_once() -> None:
    """Also when it has started and nothing else can be cancelled."""
    with pytest.raises(ShowtimeEnded):
        call_off(a_showtime(), END - NOW)
    showtime = a_showtime()
    sold(showtime, "A1", "A2")
    call_off(showtime, END - NOW - MICROSECOND)
    assert amounts(showtime.booking("b1")) == [(100, 2_500)]
    with pytest.raises(ShowtimeCancelled):
        call_off(showtime)


def test_what_was_refunded_before_is_not_refunded_again() -> None:
    """100% of the rest, whatever the earlier refunds were; a booking that is over is left alone."""
    showtime = a_showtime()
    sold(showtime, "A1", "A2", "A3")
    cancel(showtime, "A1", after=timedelta(hours=30))  # 50%
    sold(showtime, "B1", "B2", name="b2")
    cancelled = cancel(showtime, name="b2", after=timedelta(hours=30))
    impact = call_off(showtime)
    booking = showtime.booking("b1")
    assert amounts(booking) == [(50, 625), (100, 3_125)]
    assert booking.refunds[1].seats == ("A2", "A3")
    assert (impact.seats, impact.refund_total) == (2, Money("EUR", 3_125))
    assert showtime.booking("b2") is cancelled


def test_seats_that_staff_voided_for_nothing_are_paid_back_too() -> None:
    showtime = a_showtime()
    sold(showtime, "A1", "A2")
    showtime.update("b1", void, showtime.terms, ["A1"], 0, "rude", "refund", NOW)
    call_off(showtime)
    assert amounts(showtime.booking("b1")) == [(0, 0), (100, 2_500)]


@pytest.mark.parametrize(
    ("tender", "amount", "status"),
    [
        (Tender.CASH, 2_500, RefundStatus.PENDING),
        (Tender.CARD_TERMINAL, 2_500, RefundStatus.PENDING),
        (Tender.COMPLIMENTARY, 0, RefundStatus.COMPLETED),
    ],
)
def test_counter_sales_are_owed_by_hand(tender: Tender, amount: int, status: RefundStatus) -> None:
    """Without a charge; those that cost nothing are complete at once."""
    showtime = a_showtime()
    sell(showtime, "b1", "ada", Selection(["A1", "A2"]), Sale(tender, "staff", "press"), issue, NOW)
    call_off(showtime)
    (refund,) = showtime.booking("b1").refunds
    assert (refund.attempt_id, refund.amount.minor_units, refund.status) == ("", amount, status)


def test_a_lapsed_hold_expires() -> None:
    """It counts for nothing."""
    showtime = a_showtime()
    hold(showtime, "A1", "A2")
    impact = call_off(showtime, TEN_MINUTES)
    assert impact == Impact(0, 0, 0, 0, 0, Money("EUR", 0))
    booking = showtime.booking("b1")
    assert (booking.status, booking.cancel_cause) == (BookingStatus.EXPIRED, None)


class TestChargeUnderWay:
    def under_way(self, after: timedelta = NO_TIME) -> Showtime:
        """Return a showtime that was cancelled while b1 was being paid."""
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        showtime.open_payment("b1", "ada", "first", NOW, "request")
        call_off(showtime, after)
        return showtime

    @pytest.mark.parametrize("later", [NO_TIME, TEN_MINUTES, timedelta(days=1)])
    def test_that_comes_through_later_is_refunded_in_full(self, later: timedelta) -> None:
        """Once, also after the hold would have ended; the booking stays CANCELLED, without tickets."""
        showtime = self.under_way()
        booking = settle_charge(showtime, "b1", "first", "late", later)
        assert booking.status is BookingStatus.CANCELLED
        assert (booking.tickets, booking.confirm_time) == ((), None)
        (refund,) = booking.refunds
        assert refund == Refund(
            "late", "first", Money("EUR", 2_500), 100, RefundStatus.PENDING, NOW + later, ("A1", "A2")
        )
        assert settle_charge(showtime, "b1", "first", "again", later) is booking
        assert showtime.taken == 0

    def test_of_a_lapsed_hold_is_refunded_in_full(self) -> None:
        booking = settle_charge(self.under_way(TEN_MINUTES), "b1", "first", "late", TEN_MINUTES)
        assert booking.status is BookingStatus.EXPIRED
        assert amounts(booking) == [(100, 2_500)]

    def test_that_is_declined_owes_nothing(self) -> None:
        booking = settle_decline(self.under_way(), "b1", "first")
        assert (booking.status, booking.refunds) == (BookingStatus.CANCELLED, ())

    @pytest.mark.parametrize("taken", [True, False])
    def test_that_is_called_off(self, taken: bool) -> None:
        """What was charged before it could be voided is owed back."""
        showtime = self.under_way()
        begin_void(showtime, "b1", "first")
        with pytest.raises(PaymentInProgress):  # until it is known whether the charge came through
            settle_charge(showtime, "b1", "first")
        booking = settle_void(showtime, "b1", "first", taken=taken)
        assert booking.status is BookingStatus.CANCELLED
        assert booking.payment is not None
        if taken:
            assert booking.payment.status is AttemptStatus.CHARGED
            assert amounts(booking) == [(100, 2_500)]
            assert booking.refunds[0].status is RefundStatus.PENDING
        else:
            assert (booking.payment.status, booking.refunds) == (AttemptStatus.VOIDED, ())

    def test_a_repeat_of_the_request_learns_of_the_refund(self) -> None:
        """While the charge is under way it has to wait; other requests only learn that the showtime is cancelled."""
        showtime = self.under_way()
        with pytest.raises(ShowtimeCancelled):
            showtime.open_payment("b1", "ada", "second", NOW, "another")
        settle_charge(showtime, "b1", "first")
        for request, charged in (("request", True), ("another", False), ("", False)):
            with pytest.raises(ShowtimeCancelled) as refusal:
                showtime.open_payment("b1", "ada", "second", NOW, request)
            assert ("charged" in refusal.value.metadata) is charged


def test_afterwards_nothing_is_held_paid_or_sold() -> None:
    """Each is SHOWTIME_CANCELLED; a booking that is over is not cancelled again."""
    showtime = a_showtime()
    sold(showtime, "A1", "A2")
    hold(showtime, "B1", "B2", name="b2")
    call_off(showtime)
    with pytest.raises(ShowtimeCancelled):
        hold(showtime, "A3", "A4", name="b3")
    with pytest.raises(ShowtimeCancelled):
        hold(showtime, "A3", "A4", name="b3", after=timedelta(days=3))  # before SALES_CLOSED
    with pytest.raises(ShowtimeCancelled):
        showtime.open_payment("b2", "ada", "attempt", NOW)
    with pytest.raises(ShowtimeCancelled):
        change_seats(showtime, "b2", "ada", Selection(["B3", "B4"]), NOW)
    with pytest.raises(ShowtimeCancelled):
        renewed(showtime.booking("b2"), showtime.terms, TEN_MINUTES, NOW)
    with pytest.raises(ShowtimeCancelled):
        sell(showtime, "b3", "ada", Selection(["A3", "A4"]), Sale(Tender.CASH, "staff", ""), issue, NOW)
    with pytest.raises(ShowtimeCancelled):
        set_seat_blocks(showtime, a_block("A1"), (), NOW)
    with pytest.raises(BookingNotCancellable):
        cancel(showtime)


def test_a_booking_that_expired_before_is_refused_as_cancelled() -> None:
    """SHOWTIME_CANCELLED comes before HOLD_EXPIRED."""
    showtime = a_showtime()
    hold(showtime, "A1", "A2")
    with pytest.raises(HoldExpired):
        showtime.open_payment("b1", "ada", "attempt", NOW + TEN_MINUTES)
    call_off(showtime, TEN_MINUTES)
    with pytest.raises(ShowtimeCancelled):
        showtime.open_payment("b1", "ada", "attempt", NOW + TEN_MINUTES)
