"""Limits on holding seats without paying: how many at once, and how often."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cinema_grpc.domain.booking import Booking, BookingStatus, CancelCause
from cinema_grpc.domain.booking_errors import HoldLimit, TooManyUnpaidHolds
from cinema_grpc.domain.payment import AttemptStatus

MAX_SEATS_ON_HOLD = 10
"""How many seats one customer may have on hold in one showtime."""
COUNTED_FOR = timedelta(hours=1)
"""How long an unpaid hold counts after its end."""
SHORTEST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class HoldLimits:
    """Limits for one customer; 0 means no limit.

    Attributes:
        seats: Maximum seats on hold at once, over all showtimes.
        unpaid_holds: Number of holds in one showtime that may end unpaid within an hour before the customer must wait.
    """

    seats: int = 0
    unpaid_holds: int = 0


class UnpaidHolds:
    """The unpaid holds of one showtime, by customer: those that stand, and those that ended within an hour."""

    def __init__(self) -> None:
        # Tuples, so that a shallow copy is independent. Most customers have one hold.
        self._reserved: dict[str, tuple[Booking, ...]] = {}
        self._ended: dict[str, tuple[tuple[str, datetime], ...]] = {}
        self._swept: datetime | None = None

    def copy(self) -> "UnpaidHolds":
        """Return an independent copy; its cost grows with the number of customers, not of holds."""
        copy = UnpaidHolds()
        copy._reserved, copy._ended, copy._swept = self._reserved.copy(), self._ended.copy(), self._swept
        return copy

    def add(self, booking: Booking) -> None:
        """Count a booking if it is RESERVED or ended unpaid; counting an end again changes nothing."""
        if booking.status is BookingStatus.RESERVED:
            self._reserved[booking.user_id] = (*self._reserved.get(booking.user_id, ()), booking)
            return
        end = _end(booking)
        if end is None:
            return
        others = (each for each in self._ended.get(booking.user_id, ()) if each[0] != booking.booking_id)
        self._ended[booking.user_id] = (*others, (booking.booking_id, end))
        if self._swept is None or end - self._swept > COUNTED_FOR:
            self._sweep(end)

    def discard(self, booking: Booking) -> None:
        """Stop counting a booking that was RESERVED and has another state now."""
        holds = self._reserved.pop(booking.user_id, ())
        if len(holds) > 1:
            self._reserved[booking.user_id] = tuple(each for each in holds if each.booking_id != booking.booking_id)

    def of(self, user_id: str) -> tuple[Booking, ...]:
        """Return the RESERVED bookings of a customer, including those that have lapsed."""
        return self._reserved.get(user_id, ())

    def check(self, user_id: str, seats: int, held_elsewhere: int, limits: HoldLimits, now: datetime) -> None:
        """Check that a customer may hold more seats.

        Args:
            user_id: The customer.
            seats: How many more.
            held_elsewhere: How many seats the customer has on hold in other showtimes.
            limits: What the customer may hold.
            now: The present moment.

        Raises:
            HoldLimit: The customer would have too many seats on hold, in this showtime or over all of them.
            TooManyUnpaidHolds: Too many of the customer's holds here ended unpaid within an hour.
        """
        holds = self._reserved.get(user_id, ())
        held = sum(booking.seats_on_hold(now) for booking in holds)
        if held + seats > MAX_SEATS_ON_HOLD:
            raise HoldLimit(MAX_SEATS_ON_HOLD, held, seats)
        if limits.seats and held_elsewhere + held + seats > limits.seats:
            raise HoldLimit(limits.seats, held_elsewhere + held, seats, of_account=True)
        if limits.unpaid_holds:
            self._check_wait(user_id, limits.unpaid_holds, now)

    def _check_wait(self, user_id: str, limit: int, now: datetime) -> None:
        """Refuse a hold during the wait, which starts at the end of the latest unpaid one.

        It is a minute at the limit and doubles with each further one, up to an hour.
        """
        lapsed = [each for each in self._reserved.get(user_id, ()) if each.lapsed(now) and not each.being_paid]
        ends = dict(self._ended.get(user_id, ())) | {each.booking_id: each.hold_expire_time for each in lapsed}
        counted = [end for end in ends.values() if now - end < COUNTED_FOR]
        if len(counted) < limit:
            return
        wait = min(LONGEST_WAIT, SHORTEST_WAIT * 2 ** min(len(counted) - limit, 10))
        left = min(LONGEST_WAIT, max(counted) + wait - now)
        if left > timedelta():
            raise TooManyUnpaidHolds(len(counted), left)

    def _sweep(self, now: datetime) -> None:
        """Forget the ends that no longer count, once an hour."""
        self._swept = now
        counted = {
            user_id: tuple(hold for hold in holds if now - hold[1] < COUNTED_FOR)
            for user_id, holds in self._ended.items()
        }
        self._ended = {user_id: holds for user_id, holds in counted.items() if holds}


def _end(booking: Booking) -> datetime | None:
    """Return when a hold ended unpaid; None if it was paid for, also too late, is being paid for, or staff ended it."""
    if booking.status is BookingStatus.CONFIRMED or booking.confirm_time is not None or booking.being_paid:
        return None
    if booking.payment is not None and booking.payment.status is AttemptStatus.CHARGED:
        return None
    if booking.cancel_cause is CancelCause.STAFF:
        return None
    return booking.cancel_time if booking.status is BookingStatus.CANCELLED else booking.hold_expire_time
