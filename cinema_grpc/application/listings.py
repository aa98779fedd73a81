"""Listings: pages of showtimes, and seat maps.

Seat maps are made of the cached showtimes that the box office decides on. Where other processes sell seats too, a
cached showtime is first compared with the stored one, and brought up to date, so a seat map shows every commit that was
acknowledged before the call. One query does this for all calls that wait. A process that sells alone need not ask.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from cinema_grpc.application.batcher import Batcher
from cinema_grpc.application.box_office.cache import CachedShowtime, ShowtimeCache, catch_up
from cinema_grpc.application.box_office.store import BoxOfficeStore, LoadRequest
from cinema_grpc.application.clock import Clock
from cinema_grpc.application.errors import StorageUnavailable
from cinema_grpc.application.ports import ListingsReader, ShowtimeFilter
from cinema_grpc.domain.catalog import ListedShowtime
from cinema_grpc.domain.errors import ShowtimeNotFound
from cinema_grpc.domain.seating import SeatPlan
from cinema_grpc.domain.showtime import SeatStatus

SHOWTIMES_A_LOAD = 16
"""How many showtimes one query brings up to date. More that are not cached would hold up the event loop."""


@dataclass(frozen=True, slots=True, eq=False)
class SeatMap:
    """A showtime and the status of each of its seats, by position, all at one moment."""

    listed: ListedShowtime
    seat_plan: SeatPlan
    seats: Sequence[SeatStatus]


class Listings:
    """Shows what is on, and which seats are free."""

    def __init__(
        self, reader: ListingsReader, store: BoxOfficeStore, cache: ShowtimeCache, sole_clock: Clock | None = None
    ) -> None:
        """Set up.

        Args:
            reader: Reads showtimes as they are listed.
            store: Loads their seats.
            cache: The cache of the box office.
            sole_clock: The clock that decides, if no other process sells seats: then what is cached is current.
        """
        self._reader = reader
        self._store = store
        self._cache = cache
        self._sole_clock = sole_clock
        self._entries: Batcher[str, ListedShowtime | None] = Batcher(self._read_entries)
        self._loads: Batcher[str, tuple[datetime, CachedShowtime | None]] = Batcher(self._load)

    async def list_showtimes(
        self, condition: ShowtimeFilter, after: tuple[datetime, str] | None, limit: int
    ) -> tuple[datetime, list[ListedShowtime]]:
        """Return the time, and showtimes by start and identifier, from the one after `after` on."""
        return await self._reader.page(condition, after, limit)

    async def seat_map(self, showtime_id: str) -> SeatMap:
        """Return the seat map of a showtime; the same object as before, if nothing has changed.

        Raises:
            ShowtimeNotFound.
        """
        cached = self._cache.get(showtime_id) if self._sole_clock else None
        if self._sole_clock is not None and cached is not None:
            now = self._sole_clock.now()
        else:
            now, cached = await self._loads.ask(showtime_id)
        if cached is None:
            raise ShowtimeNotFound(showtime_id)
        if not _has_seat_map(cached, now):
            listed = await self._entries.ask(showtime_id)
            if listed is None:
                raise ShowtimeNotFound(showtime_id)
            if not _has_seat_map(cached, now):  # another call may have made it meanwhile
                _make_seat_map(cached, listed, now)
        seat_map: SeatMap = cached.seat_map
        return seat_map

    async def _read_entries(self, showtime_ids: list[str]) -> list[ListedShowtime | Exception | None]:
        """Read showtimes as they are listed, each once for all calls that wait for it."""
        distinct = [*dict.fromkeys(showtime_ids)]
        found = await asyncio.gather(*map(self._reader.entry, distinct), return_exceptions=True)
        entries = {
            showtime_id: entry
            if entry is None or isinstance(entry, ListedShowtime | Exception)
            else StorageUnavailable()
            for showtime_id, entry in zip(distinct, found, strict=True)
        }
        return [entries[each] for each in showtime_ids]

    async def _load(self, showtime_ids: list[str]) -> list[tuple[datetime, CachedShowtime | None]]:
        """Bring cached showtimes up to date, each once for all calls; None for those that do not exist."""
        distinct = [*dict.fromkeys(showtime_ids)]
        current: dict[str, tuple[datetime, CachedShowtime | None]] = {}
        for first in range(0, len(distinct), SHOWTIMES_A_LOAD):
            current |= await self._load_some(distinct[first : first + SHOWTIMES_A_LOAD])
        return [current[each] for each in showtime_ids]

    async def _load_some(self, showtime_ids: list[str]) -> dict[str, tuple[datetime, CachedShowtime | None]]:
        before = {each: self._cache.get(each) for each in showtime_ids}
        evictions = self._cache.evictions
        loaded = await self._store.load(
            LoadRequest({each: None if cached is None else cached.version for each, cached in before.items()})
        )
        current: dict[str, CachedShowtime] = {}
        for showtime_id, found in loaded.showtimes.items():
            cached = before.get(showtime_id)
            if cached is None or cached.version != found.version:
                showtime = catch_up(cached, found)
                showtime.mark_stored()
                cached = CachedShowtime(showtime, found.version)
                # What was committed here since the load is newer. It may have been evicted again, too.
                if self._cache.get(showtime_id) is before.get(showtime_id) and self._cache.evictions == evictions:
                    self._cache.put(cached)
                    evictions = self._cache.evictions
            current[showtime_id] = cached
        return {each: (loaded.now, current.get(each)) for each in showtime_ids}


def _has_seat_map(cached: CachedShowtime, now: datetime) -> bool:
    return cached.seat_map is not None and (cached.seat_map_until is None or now < cached.seat_map_until)


def _make_seat_map(cached: CachedShowtime, listed: ListedShowtime, now: datetime) -> None:
    showtime = cached.showtime
    seats = showtime.seats(now)
    listed = replace(listed, available_seats=seats.count(SeatStatus.AVAILABLE), revision=cached.version.revision)
    cached.seat_map = SeatMap(listed, showtime.terms.seat_plan, seats)
    cached.seat_map_until = showtime.next_lapse(now)
