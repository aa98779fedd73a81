"""Holding seats: each rule, at its boundary."""

from datetime import timedelta

import pytest

from cinema_grpc.domain.booking import BookingStatus
from cinema_grpc.domain.booking_errors import HoldLimit, SalesClosed, SeatsUnavailable, SingleSeatGap
from cinema_grpc.domain.errors import InvalidRequest, SeatNotFound
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.seating import SeatRow
from cinema_grpc.domain.showtime import SeatStatus
from cinema_grpc.domain.terms import SeatGapPolicy
from tests.builders import NOW, a_showtime
from tests.domain.commands import MICROSECOND, TEN_MINUTES, hold, pay, state


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
