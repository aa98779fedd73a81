"""Limits on holding seats without paying: how many at once, and how long to wait after too many unpaid holds."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from cinema_grpc.domain.booking import MICROSECOND, Booking, BookingStatus
from cinema_grpc.domain.booking_errors import HoldLimit, SeatsUnavailable, SingleSeatGap, TooManyUnpaidHolds
from cinema_grpc.domain.cancellation import void
from cinema_grpc.domain.claims import Selection
from cinema_grpc.domain.holds import hold
from cinema_grpc.domain.seating import SeatRow
from cinema_grpc.domain.showtime import Showtime
from cinema_grpc.domain.unpaid_holds import COUNTED_FOR, HoldLimits, UnpaidHolds
from tests.builders import NOW, a_showtime
from tests.domain.commands import TEN_MINUTES, settle_charge, settle_decline

MINUTE = timedelta(minutes=1)
ROWS = (SeatRow("A", (20,)), SeatRow("B", (20,)))


class Seller:
    """A showtime of two rows, and a clock."""

    def __init__(self, limits: HoldLimits, showtime: Showtime | None = None) -> None:
        self.showtime = showtime or a_showtime(rows=ROWS)
        self.limits, self.now, self.made = limits, NOW, 0

    def hold(self, *seats: str, by: str = "ada", elsewhere: int = 0) -> Booking:
        self.made += 1
        name = f"b{self.made}"
        return hold(self.showtime, name, by, Selection(seats), TEN_MINUTES, self.now, self.limits, elsewhere)

    def give_up(self, *seats: str) -> None:
        self.showtime.cancel(self.hold(*seats).booking_id, "ada", "refund", self.now)

    def wait(self) -> timedelta:
        """Return the wait in the refusal of a hold."""
        with pytest.raises(TooManyUnpaidHolds) as refusal:
            self.hold("A1", "A2")
        return timedelta(seconds=int(refusal.value.metadata["retry_after_seconds"]))


def test_seats_over_all_showtimes() -> None:
    """20 are accepted, 21 are not. Those of this showtime count once."""
    seller = Seller(HoldLimits(seats=20))
    seller.hold("A1", "A2", "A3", elsewhere=12)
    seller.hold("A4", "A5", elsewhere=15)
    with pytest.raises(HoldLimit) as refusal:
        seller.hold("A6", elsewhere=15)
    assert refusal.value.metadata == {"limit": "20", "held": "20", "requested": "1", "scope": "account"}


def test_after_the_third_unpaid_hold_the_next_must_wait() -> None:
    """A minute after the third, two after the fourth, and so on, to the microsecond."""
    seller = Seller(HoldLimits(unpaid_holds=3))
    for _ in range(2):
        seller.give_up("A1", "A2")
    seller.give_up("A1", "A2")
    for minutes in (1, 2, 4, 8, 16):
        assert seller.wait() == minutes * MINUTE
        seller.now += minutes * MINUTE - MICROSECOND
        assert seller.wait() == timedelta(seconds=1)
        seller.now += MICROSECOND
        seller.give_up("A1", "A2")


def test_the_wait_is_an_hour_at_most() -> None:
    seller = Seller(HoldLimits(unpaid_holds=1))
    for number in range(1, 11):
        seller.hold(f"A{number}")
    seller.now += TEN_MINUTES
    assert seller.wait() == 60 * MINUTE
    seller.now += 60 * MINUTE
    seller.hold("A1", "A2")


def test_lapsed_holds_count_from_their_end() -> None:
    """Whether or not they are recorded as expired, and only once."""
    seller = Seller(HoldLimits(unpaid_holds=3))
    for seat in (1, 3, 5):
        seller.hold(f"A{seat}", f"A{seat + 1}")
    seller.now += TEN_MINUTES
    assert seller.wait() == MINUTE
    seller.showtime.expire(10, seller.now)
    assert seller.wait() == MINUTE
    seller.showtime.mark_stored()
    seller.now += MINUTE
    seller.hold("A1", "A2")


def test_paid_holds_do_not_count() -> None:
    """Nor do refunded ones, ones that were charged too late, or another customer's."""
    seller = Seller(HoldLimits(unpaid_holds=1))
    paid = seller.hold("A1", "A2").booking_id
    seller.showtime.open_payment(paid, "ada", "one", seller.now)
    settle_charge(seller.showtime, paid, "one", after=seller.now - NOW)
    seller.showtime.cancel(paid, "ada", "refund", seller.now)
    late = seller.hold("A1", "A2").booking_id
    seller.showtime.open_payment(late, "ada", "two", seller.now)
    seller.hold("B1", "B2", by="bob")
    seller.now += TEN_MINUTES
    settle_charge(seller.showtime, late, "two", after=seller.now - NOW)
    seller.hold("A1", "A2")


def test_holds_whose_payment_was_declined_count() -> None:
    """Else a card that is refused would end all limits."""
    seller = Seller(HoldLimits(unpaid_holds=3))
    for number in (1, 3, 5):
        held = seller.hold(f"A{number}", f"A{number + 1}").booking_id
        seller.showtime.open_payment(held, "ada", f"attempt of {held}", seller.now)
        settle_decline(seller.showtime, held, f"attempt of {held}")
    seller.now += TEN_MINUTES
    seller.showtime.expire(10, seller.now)
    assert seller.wait() == MINUTE


def test_holds_that_staff_end_do_not_count() -> None:
    seller = Seller(HoldLimits(unpaid_holds=1))
    held = seller.hold("A1", "A2").booking_id
    seller.showtime.update(held, void, seller.showtime.terms, (), 100, "by mistake", "refund", seller.now)
    seller.give_up("A1", "A2")
    assert seller.wait() == MINUTE


def test_another_process_restores_the_count() -> None:
    """From the bookings that it reads. Each counts once, however often it is read."""
    seller = Seller(HoldLimits(unpaid_holds=3))
    for _ in range(3):
        seller.give_up("A1", "A2")
    read = [change.after for change in seller.showtime.changes()]
    other = Seller(seller.limits, Showtime(seller.showtime.terms, read[:2]))
    for booking in read[:2]:
        other.showtime.restore(booking)
    other.hold("B1", "B2")
    other.showtime.restore(read[2])
    assert other.wait() == MINUTE


def test_order_of_the_checks() -> None:
    """SEATS_UNAVAILABLE, HOLD_LIMIT, TOO_MANY_ATTEMPTS, SINGLE_SEAT_GAP."""
    seller = Seller(HoldLimits(seats=20, unpaid_holds=1))
    seller.give_up("A1", "A2")
    seller.hold("B1", "B2", by="bob")
    with pytest.raises(SeatsUnavailable):
        seller.hold("B1", elsewhere=20)
    with pytest.raises(HoldLimit):
        seller.hold("A2", elsewhere=20)
    with pytest.raises(TooManyUnpaidHolds):
        seller.hold("A2")
    seller.now += MINUTE
    with pytest.raises(SingleSeatGap):
        seller.hold("A2")


def test_no_limits() -> None:
    seller = Seller(HoldLimits())
    for _ in range(10):
        seller.give_up("A1", "A2")
    seller.hold("A1", "A2", elsewhere=1_000)


def test_old_holds_are_dropped_from_memory() -> None:
    """After an hour, when another hold ends."""
    seller = Seller(HoldLimits(unpaid_holds=1))
    seller.give_up("A1", "A2")
    seller.now += 61 * MINUTE
    seller.showtime.cancel(seller.hold("A1", "A2", by="bob").booking_id, "bob", "refund", seller.now)
    assert list(seller.showtime.unpaid_holds._ended) == ["bob"]


def test_copies_are_independent() -> None:
    """A copy starts with the same counts; what one counts or forgets later, the other does not."""
    expired = Seller(HoldLimits()).hold("A1", "A2").to(BookingStatus.EXPIRED)
    end = expired.hold_expire_time
    first = UnpaidHolds()
    first.add(expired)
    second = first.copy()
    second.add(replace(expired, booking_id="b2", hold_expire_time=end + 2 * COUNTED_FOR))
    assert _counted(first, end) == 1
    assert _counted(second, end) == 1  # the later one; the earlier is an hour past by then
    third = first.copy()
    third.add(replace(expired, booking_id="b3"))
    assert (_counted(third, end), _counted(first, end)) == (2, 1)


def _counted(holds: UnpaidHolds, now: datetime) -> int:
    with pytest.raises(TooManyUnpaidHolds) as refusal:
        holds.check("ada", 1, 0, HoldLimits(unpaid_holds=1), now)
    return int(refusal.value.metadata["unpaid_holds"])
