"""The cache of showtimes: committed states, for decisions and for seat maps.

The showtime of an entry is never changed: a batch decides on copies, and puts them here once they are committed.
"""

from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from cinema_grpc.application.box_office.store import LoadedShowtime, Version
from cinema_grpc.domain.showtime import Showtime

MAX_SEATS = 200_000
"""How many seats the cached showtimes have in all, at most: about 100 bytes each."""


class CachedShowtime:
    """A committed state of a showtime.

    Attributes:
        showtime: The state. It must not be changed.
        version: Its version.
        seat_map: The seat map that was made of it last, for `Listings`.
        seat_map_until: When the seat map is out of date without a commit: a hold or block ends, or the showtime starts.
    """

    __slots__ = ("seat_map", "seat_map_until", "showtime", "version")

    def __init__(self, showtime: Showtime, version: Version) -> None:
        self.showtime = showtime
        self.version = version
        self.seat_map: Any = None
        self.seat_map_until: datetime | None = None

    @property
    def showtime_id(self) -> str:
        """The showtime's identifier."""
        return self.showtime.terms.showtime_id


def catch_up(cached: CachedShowtime | None, found: LoadedShowtime) -> Showtime:
    """Return a showtime as stored, which may be changed, from the cached state and what was loaded beside it."""
    if cached is None or found.complete:
        if found.terms is None:
            raise ValueError("a showtime that is not cached has to be loaded completely")
        return Showtime(found.terms, found.bookings)
    showtime = cached.showtime.copy()
    if found.terms is not None:
        showtime.restore_terms(found.terms)
    for booking in found.bookings:
        showtime.restore(booking)
    return showtime


class ShowtimeCache:
    """The showtimes used last, bounded by their seats.

    Attributes:
        evictions: How many showtimes were evicted or dropped so far.
        hits, misses: How many look-ups found a showtime so far, and how many did not.
    """

    def __init__(self, max_seats: int = MAX_SEATS) -> None:
        self._max_seats = max_seats
        self._showtimes: OrderedDict[str, CachedShowtime] = OrderedDict()
        self._seats = 0
        self.evictions = 0
        self.hits = 0
        self.misses = 0

    @property
    def size(self) -> int:
        """How many showtimes are cached."""
        return len(self._showtimes)

    @property
    def seats(self) -> int:
        """How many seats the cached showtimes have in all."""
        return self._seats

    def get(self, showtime_id: str) -> CachedShowtime | None:
        """Return the latest known state of a showtime, or None."""
        cached = self._showtimes.get(showtime_id)
        if cached is None:
            self.misses += 1
        else:
            self.hits += 1
            self._showtimes.move_to_end(showtime_id)
        return cached

    def put(self, cached: CachedShowtime) -> None:
        """Replace the state of a showtime by one that is committed."""
        self._remove(cached.showtime_id)
        self._showtimes[cached.showtime_id] = cached
        self._seats += len(cached.showtime.terms.seat_plan)
        while self._seats > self._max_seats:
            self.drop([next(iter(self._showtimes))])

    def drop(self, showtime_ids: Iterable[str]) -> None:
        """Remove showtimes, as where it is not known whether a commit was kept."""
        for showtime_id in showtime_ids:
            self.evictions += 1
            self._remove(showtime_id)

    def _remove(self, showtime_id: str) -> None:
        cached = self._showtimes.pop(showtime_id, None)
        if cached is not None:
            self._seats -= len(cached.showtime.terms.seat_plan)
