"""Limits on holding seats without paying: how many at once, and how often."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Self

from cinema_grpc.domain.booking import AttemptStatus, Booking, BookingStatus

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


@dataclass(slots=True)
class UnpaidHolds:
    """Holds of one showtime that ended unpaid within the last hour, by customer."""

    # By user_id: the booking_id and the end of each hold. Tuples, so that a shallow copy is independent.
    _ended: dict[str, tuple[tuple[str, datetime], ...]] = field(default_factory=dict)
    _swept: datetime | None = None

    def copy(self) -> Self:
        """Return an independent copy. Its cost grows with the number of customers, not of holds."""
        return replace(self, _ended=self._ended.copy())

    def note(self, booking: Booking) -> None:
        """Count a booking if it ended unpaid. Counting it again changes nothing."""
        end = _end(booking)
        if end is None:
            return
        others = (hold for hold in self._ended.get(booking.user_id, ()) if hold[0] != booking.booking_id)
        self._ended[booking.user_id] = (*others, (booking.booking_id, end))
        if self._swept is None or end - self._swept > COUNTED_FOR:
            self._sweep(end)

    def wait(self, user_id: str, lapsed: Iterable[Booking], limit: int, now: datetime) -> tuple[int, timedelta]:
        """Return the number of counted holds, and the time until the customer may hold again.

        The wait starts at the latest end: one minute at the limit, doubled by each further hold, one hour at most.

        Args:
            user_id: The customer.
            lapsed: The customer's holds that have ended but are not yet recorded as expired.
            limit: Number of counted holds from which on the customer must wait.
            now: The current time.
        """
        ends = dict(self._ended.get(user_id, ())) | {hold.booking_id: hold.hold_expire_time for hold in lapsed}
        counted = [end for end in ends.values() if now - end < COUNTED_FOR]
        if len(counted) < limit:
            return len(counted), timedelta()
        wait = min(LONGEST_WAIT, SHORTEST_WAIT * 2 ** min(len(counted) - limit, 10))
        return len(counted), max(timedelta(), min(LONGEST_WAIT, max(counted) + wait - now))

    def _sweep(self, now: datetime) -> None:
        self._swept = now
        counted = {
            user_id: tuple(hold for hold in holds if now - hold[1] < COUNTED_FOR)
            for user_id, holds in self._ended.items()
        }
        self._ended = {user_id: holds for user_id, holds in counted.items() if holds}


def _end(booking: Booking) -> datetime | None:
    """Return when a hold ended unpaid; None if it did not. A hold that was charged too late counts as paid."""
    if booking.confirm_time is not None or booking.being_paid:
        return None
    if booking.payment is not None and booking.payment.status is AttemptStatus.CHARGED:
        return None
    return booking.cancel_time if booking.status is BookingStatus.CANCELLED else booking.hold_expire_time
