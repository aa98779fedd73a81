"""A fake clock, and objects of the domain with defaults."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cinema_grpc.domain.booking import BookedSeat, Booking, BookingStatus
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.pricing import STANDARD, PriceList, single_price
from cinema_grpc.domain.seating import SeatPlan, SeatRow
from cinema_grpc.domain.showtime import Showtime
from cinema_grpc.domain.terms import SeatGapPolicy, Terms

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
"""The time at which a test begins."""
PRICE = Money("EUR", 1_250)


class FakeClock:
    """A clock that only `advance` moves."""

    def __init__(self, now: datetime = NOW) -> None:
        self._now = now

    def now(self) -> datetime:
        """Return the current time."""
        return self._now

    def advance(self, by: timedelta) -> None:
        """Move the clock."""
        self._now += by


def a_booking(
    seats: tuple[str, ...] = ("A1", "A2"),
    price: Money = PRICE,
    status: BookingStatus = BookingStatus.RESERVED,
    hold_expire_time: datetime = NOW + timedelta(minutes=10),
    booking_id: str = "a-booking",
    user_id: str = "a-customer",
) -> Booking:
    """Return a booking created at NOW."""
    return Booking(
        booking_id=booking_id,
        user_id=user_id,
        showtime_id="a-showtime",
        seats=tuple(BookedSeat(label, price, STANDARD, STANDARD) for label in seats),
        status=status,
        create_time=NOW,
        hold_expire_time=hold_expire_time,
    )


def some_terms(
    rows: Sequence[SeatRow] = (SeatRow("A", (10,)), SeatRow("B", (10,))),
    policy: SeatGapPolicy = SeatGapPolicy.REFUSE,
    start_time: datetime = NOW + timedelta(days=2),
    showtime_id: str = "a-showtime",
    prices: PriceList | None = None,
) -> Terms:
    """Return the terms of a showtime that starts two days after NOW and lasts two hours."""
    plan = SeatPlan(rows)
    return Terms(
        showtime_id,
        "an-auditorium",
        start_time,
        start_time + timedelta(hours=2),
        prices or single_price(PRICE, plan.categories),
        policy,
        plan,
    )


def a_showtime(
    rows: Sequence[SeatRow] = (SeatRow("A", (10,)), SeatRow("B", (10,))),
    policy: SeatGapPolicy = SeatGapPolicy.REFUSE,
    start_time: datetime = NOW + timedelta(days=2),
) -> Showtime:
    """Return a showtime without bookings that starts two days after NOW."""
    return Showtime(some_terms(rows, policy, start_time))
