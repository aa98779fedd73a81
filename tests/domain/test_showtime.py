"""Selling the seats of one showtime: each rule, at its boundary."""

from datetime import timedelta

import pytest

from cinema_grpc.domain.booking import Booking, BookingStatus, Ticket
from cinema_grpc.domain.booking_errors import (
    BookingNotCancellable,
    BookingNotReserved,
    HoldExpired,
    HoldLimit,
    NotBookingOwner,
    PaymentInProgress,
    SalesClosed,
    SeatsUnavailable,
    SingleSeatGap,
)
from cinema_grpc.domain.errors import BookingNotFound, InvalidRequest, SeatNotFound
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.payment import AttemptStatus, RefundStatus
from cinema_grpc.domain.seating import SeatRow
from cinema_grpc.domain.showtime import SeatGapPolicy, SeatStatus, Showtime
from tests.builders import NOW, a_showtime

TEN_MINUTES = timedelta(minutes=10)
MICROSECOND = timedelta(microseconds=1)
START = NOW + timedelta(days=2)


def hold(showtime: Showtime, *seats: str, by: str = "ada", name: str = "b1", after: timedelta = timedelta()) -> Booking:
    return showtime.hold(name, by, seats, TEN_MINUTES, NOW + after)


def pay(showtime: Showtime, name: str = "b1", by: str = "ada", after: timedelta = timedelta()) -> Booking:
    opened = showtime.open_payment(name, by, f"attempt of {name}", NOW + after)
    tickets = [Ticket(f"t-{seat}", seat, f"code of {seat}") for seat in opened.labels]
    return showtime.settle_charge(name, f"attempt of {name}", tickets, f"refund of {name}", NOW + after)


def state(showtime: Showtime, seat: str, after: timedelta = timedelta()) -> SeatStatus:
    (position,) = showtime.terms.seat_plan.positions([seat])
    return showtime.seats(NOW + after)[position]


class TestHold:
    def test_holds_for_ten_minutes(self) -> None:
        """In row order, at today's price, until ten minutes are over."""
        booking = hold(a_showtime(), "A2", "A1")
        assert booking.labels == ("A1", "A2")
        assert booking.total_price == Money("EUR", 2_500)
        assert booking.hold_expire_time == NOW + TEN_MINUTES
        assert booking.status is BookingStatus.RESERVED

    def test_holds_until_the_start_if_that_is_sooner(self) -> None:
        booking = hold(a_showtime(start_time=NOW + timedelta(minutes=3)), "A1", "A2")
        assert booking.hold_expire_time == NOW + timedelta(minutes=3)

    def test_sales_end_at_the_start(self) -> None:
        """Not a microsecond sooner."""
        hold(a_showtime(start_time=NOW + MICROSECOND), "A1", "A2")
        with pytest.raises(SalesClosed):
            hold(a_showtime(start_time=NOW), "A1", "A2")

    @pytest.mark.parametrize("seats", [(), ("A1", "A1"), tuple(f"A{number}" for number in range(1, 12))])
    def test_one_to_ten_different_seats(self, seats: tuple[str, ...]) -> None:
        with pytest.raises(InvalidRequest):
            hold(a_showtime(rows=(SeatRow("A", (20,)),)), *seats)

    def test_unknown_seats_come_before_taken_ones(self) -> None:
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        with pytest.raises(SeatNotFound):
            hold(showtime, "A1", "Z9", name="b2")

    def test_all_or_nothing(self) -> None:
        """Every seat that is taken is named, in row order, and none of the others is held."""
        showtime = a_showtime()
        hold(showtime, "A1", "A2", "B1", "B2")
        with pytest.raises(SeatsUnavailable) as refusal:
            hold(showtime, "B2", "A3", "A2", "A4", by="bob", name="b2")
        assert refusal.value.metadata == {"seats": "A2,B2"}
        assert state(showtime, "A3") is SeatStatus.AVAILABLE

    def test_a_lapsed_hold_is_free_at_its_end(self) -> None:
        """From the end on, not a microsecond sooner; its whole booking is then written down as EXPIRED."""
        showtime = a_showtime()
        hold(showtime, "A1", "A2", "B1", "B2")
        with pytest.raises(SeatsUnavailable):
            hold(showtime, "A1", "A2", by="bob", name="b2", after=TEN_MINUTES - MICROSECOND)
        hold(showtime, "A1", "A2", by="bob", name="b2", after=TEN_MINUTES)
        states = {change.after.booking_id: change.after.status for change in showtime.changes()}
        assert states == {"b1": BookingStatus.EXPIRED, "b2": BookingStatus.RESERVED}
        assert state(showtime, "A1", TEN_MINUTES) is SeatStatus.HELD
        assert state(showtime, "B1", TEN_MINUTES) is SeatStatus.AVAILABLE
        assert showtime.taken == 2

    def test_a_lapsed_hold_beside_is_free_for_the_gap_rule(self) -> None:
        """A1-A2 lapsed: taking A3-A4 leaves a run of two, not a wall."""
        showtime = a_showtime(rows=(SeatRow("A", (5,)),))
        hold(showtime, "A1", "A2")
        booking = hold(showtime, "A4", "A5", by="bob", name="b2", after=TEN_MINUTES)
        assert booking.labels == ("A4", "A5")

    def test_gap_rule_counts_own_bookings_as_taken(self) -> None:
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        with pytest.raises(SingleSeatGap) as refusal:
            hold(showtime, "A4", "A5", name="b2")
        assert refusal.value.metadata == {"stranded_seats": "A3"}

    def test_gap_rule_may_be_off(self) -> None:
        assert hold(a_showtime(policy=SeatGapPolicy.ALLOW), "A2").labels == ("A2",)

    def test_ten_seats_on_hold_for_one_customer(self) -> None:
        """Ten are fine, eleven are not; a lapsed or paid hold does not count, nor another customer's."""
        showtime = a_showtime(rows=(SeatRow("A", (20,)), SeatRow("B", (20,))))
        hold(showtime, *(f"A{number}" for number in range(1, 9)))
        with pytest.raises(HoldLimit) as refusal:
            hold(showtime, "B1", "B2", "B3", name="b2")
        assert refusal.value.metadata == {"limit": "10", "held": "8", "requested": "3"}
        hold(showtime, "B1", "B2", name="b2")
        hold(showtime, "B3", "B4", "B5", by="bob", name="b3")
        pay(showtime, "b2")
        hold(showtime, "B6", "B7", name="b4")
        hold(showtime, *(f"A{number}" for number in range(11, 21)), name="b5", after=TEN_MINUTES)

    def test_hold_limit_comes_before_the_gap_rule(self) -> None:
        showtime = a_showtime(rows=(SeatRow("A", (20,)),))
        hold(showtime, *(f"A{number}" for number in range(1, 11)))
        with pytest.raises(HoldLimit):
            hold(showtime, "A12", name="b2")


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
        showtime.settle_decline("b1", "first")
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
            showtime.settle_decline("b1", attempt)
        assert times == [NOW, NOW + timedelta(microseconds=1), NOW + timedelta(microseconds=2)]

    def test_declined_stays_reserved(self) -> None:
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        showtime.open_payment("b1", "ada", "first", NOW)
        booking = showtime.settle_decline("b1", "first")
        assert booking.status is BookingStatus.RESERVED
        assert booking.payment is not None
        assert booking.payment.status is AttemptStatus.DECLINED
        assert pay(showtime).status is BookingStatus.CONFIRMED

    def test_too_late_a_charge_is_owed_back(self) -> None:
        """The hold is over when the money arrives: EXPIRED, all of it owed, the seats free."""
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        showtime.open_payment("b1", "ada", "first", NOW)
        booking = showtime.settle_charge("b1", "first", [], "refund", NOW + TEN_MINUTES)
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
        showtime.settle_charge("b1", "first", [], "refund", NOW + TEN_MINUTES)
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
        booking = showtime.settle_charge("b1", "first", [], "refund", NOW + TEN_MINUTES)
        assert booking.status is BookingStatus.EXPIRED
        assert booking.refund is not None
        assert pay(showtime, "b2", by="bob", after=TEN_MINUTES).status is BookingStatus.CONFIRMED

    def test_settling_again_changes_nothing(self) -> None:
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        booking = pay(showtime)
        assert showtime.settle_charge("b1", "attempt of b1", [], "another", NOW) == booking
        assert showtime.settle_decline("b1", "attempt of b1") == booking

    def test_only_the_latest_attempt_is_settled(self) -> None:
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        showtime.open_payment("b1", "ada", "first", NOW)
        with pytest.raises(PaymentInProgress):
            showtime.settle_charge("b1", "another", [], "refund", NOW)
        booking = showtime.settle_decline("b1", "another")
        assert booking.payment is not None
        assert booking.payment.status is AttemptStatus.OPEN

    def test_an_attempt_that_is_called_off_confirms_nothing(self) -> None:
        """A later success of its charge is refused; once it is VOIDED the hold can be paid for."""
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        showtime.open_payment("b1", "ada", "first", NOW)
        voiding = showtime.begin_void("b1", "first")
        assert voiding.payment is not None
        assert voiding.payment.status is AttemptStatus.VOIDING
        assert showtime.begin_void("b1", "first") is voiding
        for attempt in ("first", "second"):
            with pytest.raises(PaymentInProgress):
                showtime.settle_charge("b1", "first", [], "refund", NOW)
            with pytest.raises(PaymentInProgress):
                showtime.open_payment("b1", "ada", attempt, NOW)
        showtime.settle_void("b1", "first", "refund", NOW, given_back=True)
        booking = pay(showtime)
        assert (booking.status, booking.refund) == (BookingStatus.CONFIRMED, None)
        assert showtime.begin_void("b1", "attempt of b1") is booking
        with pytest.raises(BookingNotReserved):
            showtime.settle_charge("b1", "first", [], "refund", NOW)
        assert showtime.settle_void("b1", "first", "refund", NOW, given_back=True) is booking

    @pytest.mark.parametrize("given_back", [True, False])
    def test_what_is_given_back_after_the_hold_shows_as_a_refund(self, given_back: bool) -> None:
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        showtime.open_payment("b1", "ada", "first", NOW)
        showtime.begin_void("b1", "first")
        with pytest.raises(HoldExpired):
            showtime.settle_charge("b1", "first", [], "refund", NOW + TEN_MINUTES)
        booking = showtime.settle_void("b1", "first", "refund", NOW + TEN_MINUTES, given_back=given_back)
        assert booking.payment is not None
        if given_back:
            assert booking.refund is not None
            assert (booking.refund.percent, booking.refund.status) == (100, RefundStatus.COMPLETED)
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


class TestCancel:
    def test_a_hold_goes_free(self) -> None:
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        booking = showtime.cancel("b1", "ada", "refund", NOW)
        assert booking.status is BookingStatus.CANCELLED
        assert booking.cancel_time == NOW
        assert booking.refund is None
        assert showtime.taken == 0

    @pytest.mark.parametrize(
        ("before_start", "percent", "status"),
        [
            (timedelta(hours=24), 100, RefundStatus.PENDING),
            (timedelta(hours=12), 50, RefundStatus.PENDING),
            (timedelta(hours=11), 0, RefundStatus.COMPLETED),
        ],
    )
    def test_what_was_paid_is_owed_by_the_policy(
        self, before_start: timedelta, percent: int, status: RefundStatus
    ) -> None:
        """A refund of nothing is written down too, and complete at once."""
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        pay(showtime)
        refund = showtime.cancel("b1", "ada", "refund", START - before_start).refund
        assert refund is not None
        assert (refund.percent, refund.amount.minor_units, refund.status) == (percent, 25 * percent, status)
        assert showtime.taken == 0

    def test_never_fails_for_the_gap_rule(self) -> None:
        """Giving A2 back strands it between A1 and A3, which are taken; that is fine."""
        showtime = a_showtime(policy=SeatGapPolicy.ALLOW)
        for number in (1, 2, 3):
            hold(showtime, f"A{number}", name=f"b{number}")
        assert showtime.cancel("b2", "ada", "refund", NOW).status is BookingStatus.CANCELLED

    def test_once(self) -> None:
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        showtime.cancel("b1", "ada", "refund", NOW)
        with pytest.raises(BookingNotCancellable):
            showtime.cancel("b1", "ada", "refund", NOW)

    def test_not_from_the_start_on(self) -> None:
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        pay(showtime)
        with pytest.raises(BookingNotCancellable):
            showtime.cancel("b1", "ada", "refund", START)

    @pytest.mark.parametrize("status", [RefundStatus.COMPLETED, RefundStatus.FAILED])
    def test_a_refund_is_settled_once(self, status: RefundStatus) -> None:
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        pay(showtime)
        showtime.cancel("b1", "ada", "refund", NOW)
        settled = showtime.settle_refund("b1", "refund", status)
        assert settled.refund is not None
        assert settled.refund.status is status
        assert showtime.settle_refund("b1", "refund", RefundStatus.COMPLETED) is settled
        assert showtime.settle_refund("b1", "another", RefundStatus.COMPLETED) is settled


class TestExpire:
    def test_the_longest_over_first_and_not_more_than_the_limit(self) -> None:
        showtime = a_showtime()
        for number in range(1, 4):
            hold(showtime, f"A{number * 2 - 1}", f"A{number * 2}", name=f"b{number}", after=timedelta(minutes=number))
        assert showtime.expire(25, NOW + timedelta(minutes=10, seconds=59)) == 0
        assert showtime.expire(1, NOW + timedelta(minutes=12)) == 1
        assert showtime.taken == 4
        assert showtime.expire(25, NOW + timedelta(minutes=12)) == 1
        assert {change.after.booking_id for change in showtime.changes() if change.after.status.value == "EXPIRED"} == {
            "b1",
            "b2",
        }


class TestChanges:
    def test_are_net(self) -> None:
        """A booking held and cancelled since the last settling is one change, from nothing to CANCELLED."""
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        showtime.cancel("b1", "ada", "refund", NOW)
        (change,) = showtime.changes()
        assert (change.before, change.after.status) == (None, BookingStatus.CANCELLED)

    def test_settling_forgets_what_keeps_no_seats(self) -> None:
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        hold(showtime, "B1", "B2", name="b2")
        showtime.cancel("b1", "ada", "refund", NOW)
        showtime.mark_stored()
        assert showtime.changes() == []
        assert "b1" not in showtime
        assert "b2" in showtime

    def test_restoring_brings_up_to_date(self) -> None:
        """The changes of another replica can be restored in any order."""
        showtime, elsewhere = a_showtime(), a_showtime()
        for each in (showtime, elsewhere):
            hold(each, "A1", "A2")
            each.mark_stored()
        hold(elsewhere, "A1", "A2", by="bob", name="b2", after=TEN_MINUTES)
        for change in reversed(elsewhere.changes()):
            showtime.restore(change.after)
        assert showtime.seats(NOW + TEN_MINUTES) == elsewhere.seats(NOW + TEN_MINUTES)
        assert showtime.taken == 2
        assert showtime.changes() == []
