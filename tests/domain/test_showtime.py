"""A showtime's bookings: cancelling, expiring, and the changes that are stored."""

from datetime import timedelta

import pytest

from cinema_grpc.domain.booking import BookingStatus
from cinema_grpc.domain.booking_errors import BookingNotCancellable
from cinema_grpc.domain.payment import RefundStatus
from cinema_grpc.domain.terms import SeatGapPolicy
from tests.builders import NOW, a_showtime
from tests.domain.commands import START, TEN_MINUTES, hold, pay, settle_refund


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
        settled = settle_refund(showtime, "b1", "refund", status)
        assert settled.refund is not None
        assert settled.refund.status is status
        assert settle_refund(showtime, "b1", "refund", RefundStatus.COMPLETED) is settled
        assert settle_refund(showtime, "b1", "another", RefundStatus.COMPLETED) is settled


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
