"""Limits on holding seats without paying for them: how many at once, and how often."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cinema_grpc.domain.booking import AttemptStatus, Booking, BookingStatus

COUNTED_FOR = timedelta(hours=1)
"""How long an unpaid hold counts after it has ended."""
SHORTEST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class HoldLimits:
    """What one customer may hold; 0 means no limit.

    Attributes:
        seats: How many seats at once, over all showtimes.
        unpaid_holds: How many holds of one showtime may end unpaid within an hour before the customer has to wait.
    """

    seats: int = 0
    unpaid_holds: int = 0


class UnpaidHolds:
    """The holds of one showtime that ended without having been paid for, by customer, for an hour each."""

    def __init__(self) -> None:
        self._ended: dict[str, dict[str, datetime]] = {}
        self._swept: datetime | None = None

    def note(self, booking: Booking) -> None:
        """Count a booking if it ended unpaid; counting it again changes nothing."""
        ended = _end(booking)
        if ended is None:
            return
        self._ended.setdefault(booking.user_id, {})[booking.booking_id] = ended
        if self._swept is None or ended - self._swept > COUNTED_FOR:
            self._sweep(ended)

    def wait(self, user_id: str, lapsed: Iterable[Booking], limit: int, now: datetime) -> tuple[int, timedelta]:
        """Return how many holds count, and how long the customer has to wait before the next one.

        The wait is counted from the end of the latest: a minute at the limit, twice as long with each further one, an
        hour at most.

        Args:
            user_id: The customer.
            lapsed: The customer's holds that are over and not written down as such.
            limit: From how many on the customer has to wait.
            now: The present moment.
        """
        ended = {**self._ended.get(user_id, {}), **{each.booking_id: each.hold_expire_time for each in lapsed}}
        counted = [each for each in ended.values() if now - each < COUNTED_FOR]
        if len(counted) < limit:
            return len(counted), timedelta()
        wait = min(LONGEST_WAIT, SHORTEST_WAIT * 2 ** min(len(counted) - limit, 10))
        return len(counted), max(timedelta(), min(LONGEST_WAIT, max(counted) + wait - now))

    def _sweep(self, now: datetime) -> None:
        """Forget what counts no more, once an hour."""
        self._swept = now
        for user_id, ended in list(self._ended.items()):
            kept = {booking_id: each for booking_id, each in ended.items() if now - each < COUNTED_FOR}
            if kept:
                self._ended[user_id] = kept
            else:
                del self._ended[user_id]


def _end(booking: Booking) -> datetime | None:
    """Return when a hold ended unpaid, or None if it did not; one that was charged too late was paid for."""
    if booking.confirm_time is not None or booking.being_paid:
        return None
    if booking.payment is not None and booking.payment.status is AttemptStatus.CHARGED:
        return None
    return booking.cancel_time if booking.status is BookingStatus.CANCELLED else booking.hold_expire_time
