"""Paying for a booking: each step, whenever it comes."""

from datetime import timedelta

import pytest

from cinema_grpc.domain.booking import BookingStatus
from cinema_grpc.domain.booking_errors import BookingNotReserved, HoldExpired, NotBookingOwner, PaymentInProgress
from cinema_grpc.domain.errors import BookingNotFound
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.payment import AttemptStatus, RefundStatus
from cinema_grpc.domain.showtime import SeatStatus
from tests.builders import NOW, a_showtime
from tests.domain.commands import (
    TEN_MINUTES,
    begin_void,
    hold,
    pay,
    settle_charge,
    settle_decline,
    settle_void,
    state,
)


class TestPayment:
    def test_confirms_and_issues_tickets(self) -> None:
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        booking = pay(showtime)
        assert booking.status is BookingStatus.CONFIRMED
        assert booking.confirm_time == NOW
        assert [ticket.seat for ticket in booking.tickets] == ["A1", "A2"]
        assert state(showtime, "A1", timedelta(days=1)) is SeatStatus.SOLD

    def test_a_charge_makes_the_hold_longer_once(self) -> None:
        """To two minutes ahead at least; a second charge does not make it longer again."""
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        late = TEN_MINUTES - timedelta(seconds=1)
        opened = showtime.open_payment("b1", "ada", "first", NOW + late)
        assert opened.hold_expire_time == NOW + late + timedelta(minutes=2)
        settle_decline(showtime, "b1", "first")
        again = showtime.open_payment("b1", "ada", "second", NOW + late + timedelta(minutes=1))
        assert again.hold_expire_time == opened.hold_expire_time

    def test_an_early_charge_does_not_make_the_hold_shorter(self) -> None:
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        assert showtime.open_payment("b1", "ada", "first", NOW).hold_expire_time == NOW + TEN_MINUTES

    def test_one_charge_at_a_time(self) -> None:
        """Meanwhile another charge, and a cancellation, are refused."""
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        showtime.open_payment("b1", "ada", "first", NOW)
        with pytest.raises(PaymentInProgress):
            showtime.open_payment("b1", "ada", "second", NOW)
        with pytest.raises(PaymentInProgress):
            showtime.cancel("b1", "ada", "refund", NOW)

    def test_a_charge_is_later_than_the_one_before_it_though_time_stands_still(self) -> None:
        """As after a step back of the clock: read from the database, the latest one counts."""
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        times = []
        for attempt in ("z", "y", "x"):
            payment = showtime.open_payment("b1", "ada", attempt, NOW).payment
            assert payment is not None
            times.append(payment.create_time)
            settle_decline(showtime, "b1", attempt)
        assert times == [NOW, NOW + timedelta(microseconds=1), NOW + timedelta(microseconds=2)]

    def test_declined_stays_reserved(self) -> None:
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        showtime.open_payment("b1", "ada", "first", NOW)
        booking = settle_decline(showtime, "b1", "first")
        assert booking.status is BookingStatus.RESERVED
        assert booking.payment is not None
        assert booking.payment.status is AttemptStatus.DECLINED
        assert pay(showtime).status is BookingStatus.CONFIRMED

    def test_too_late_a_charge_is_owed_back(self) -> None:
        """The hold is over when the money arrives: EXPIRED, all of it owed, the seats free."""
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        showtime.open_payment("b1", "ada", "first", NOW)
        booking = settle_charge(showtime, "b1", "first", "refund", TEN_MINUTES)
        assert booking.status is BookingStatus.EXPIRED
        assert booking.refund is not None
        assert (booking.refund.amount, booking.refund.percent) == (Money("EUR", 2_500), 100)
        assert booking.refund.status is RefundStatus.PENDING
        assert state(showtime, "A1", TEN_MINUTES) is SeatStatus.AVAILABLE

    def test_a_repeat_of_a_request_whose_charge_came_too_late_gets_the_same_error(self) -> None:
        """It says that the money goes back; other requests only learn that the hold is over."""
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        showtime.open_payment("b1", "ada", "first", NOW, "request")
        settle_charge(showtime, "b1", "first", "refund", TEN_MINUTES)
        for request, charged in (("request", True), ("another", False), ("", False)):
            with pytest.raises(HoldExpired) as refusal:
                showtime.open_payment("b1", "ada", "second", NOW + TEN_MINUTES, request)
            assert ("charged" in refusal.value.metadata) is charged

    def test_a_repeat_of_a_request_under_way_says_so(self) -> None:
        """Also when the hold is over, because the charge may still succeed."""
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        showtime.open_payment("b1", "ada", "first", NOW, "request")
        for request, own in (("request", True), ("another", False)):
            with pytest.raises(PaymentInProgress) as refusal:
                showtime.open_payment("b1", "ada", "second", NOW, request)
            assert refusal.value.of_this_request is own
        with pytest.raises(PaymentInProgress):
            showtime.open_payment("b1", "ada", "second", NOW + TEN_MINUTES, "request")

    def test_too_late_a_charge_takes_no_seat_from_its_new_owner(self) -> None:
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        showtime.open_payment("b1", "ada", "first", NOW)
        hold(showtime, "A1", "A2", by="bob", name="b2", after=TEN_MINUTES)
        booking = settle_charge(showtime, "b1", "first", "refund", TEN_MINUTES)
        assert booking.status is BookingStatus.EXPIRED
        assert booking.refund is not None
        assert pay(showtime, "b2", by="bob", after=TEN_MINUTES).status is BookingStatus.CONFIRMED

    def test_settling_again_changes_nothing(self) -> None:
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        booking = pay(showtime)
        assert settle_charge(showtime, "b1", "attempt of b1", "another") == booking
        assert settle_decline(showtime, "b1", "attempt of b1") == booking

    def test_only_the_latest_attempt_is_settled(self) -> None:
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        showtime.open_payment("b1", "ada", "first", NOW)
        with pytest.raises(PaymentInProgress):
            settle_charge(showtime, "b1", "another", "refund")
        booking = settle_decline(showtime, "b1", "another")
        assert booking.payment is not None
        assert booking.payment.status is AttemptStatus.OPEN

    def test_an_attempt_that_is_called_off_confirms_nothing(self) -> None:
        """A later success of its charge is refused; once it is VOIDED the hold can be paid for."""
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        showtime.open_payment("b1", "ada", "first", NOW)
        voiding = begin_void(showtime, "b1", "first")
        assert voiding.payment is not None
        assert voiding.payment.status is AttemptStatus.VOIDING
        assert begin_void(showtime, "b1", "first") is voiding
        for attempt in ("first", "second"):
            with pytest.raises(PaymentInProgress):
                settle_charge(showtime, "b1", "first", "refund")
            with pytest.raises(PaymentInProgress):
                showtime.open_payment("b1", "ada", attempt, NOW)
        settle_void(showtime, "b1", "first", taken=False)
        booking = pay(showtime)
        assert (booking.status, booking.refund) == (BookingStatus.CONFIRMED, None)
        assert begin_void(showtime, "b1", "attempt of b1") is booking
        with pytest.raises(BookingNotReserved):
            settle_charge(showtime, "b1", "first", "refund")
        assert settle_void(showtime, "b1", "first", taken=False) is booking

    def test_a_charge_that_succeeded_before_it_could_be_voided_confirms_the_booking(self) -> None:
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        showtime.open_payment("b1", "ada", "first", NOW)
        begin_void(showtime, "b1", "first")
        booking = settle_void(showtime, "b1", "first", taken=True)
        assert (booking.status, booking.refund) == (BookingStatus.CONFIRMED, None)
        assert settle_void(showtime, "b1", "first", taken=True) is booking

    @pytest.mark.parametrize("taken", [True, False])
    def test_and_after_the_hold_it_is_owed_back(self, taken: bool) -> None:
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        showtime.open_payment("b1", "ada", "first", NOW)
        begin_void(showtime, "b1", "first")
        with pytest.raises(PaymentInProgress):  # until it is known whether the charge came through
            settle_charge(showtime, "b1", "first", "refund", TEN_MINUTES)
        booking = settle_void(showtime, "b1", "first", taken=taken, after=TEN_MINUTES)
        assert booking.payment is not None
        if taken:
            assert booking.refund is not None
            assert (booking.refund.percent, booking.refund.status) == (100, RefundStatus.PENDING)
            assert (booking.payment.status, booking.status) == (AttemptStatus.CHARGED, BookingStatus.EXPIRED)
        else:
            assert (booking.payment.status, booking.refund) == (AttemptStatus.VOIDED, None)

    def test_refusals(self) -> None:
        """Of an unknown booking, of another customer's, of an expired one and of a paid one."""
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        with pytest.raises(BookingNotFound):
            showtime.open_payment("b9", "ada", "x", NOW)
        with pytest.raises(NotBookingOwner):
            showtime.open_payment("b1", "bob", "x", NOW)
        with pytest.raises(HoldExpired):
            showtime.open_payment("b1", "ada", "x", NOW + TEN_MINUTES)
        pay(showtime)
        with pytest.raises(BookingNotReserved):
            showtime.open_payment("b1", "ada", "x", NOW)
