"""Listings: pages of showtimes, and seat maps.

Seat maps are made of the cached showtimes that the box office decides on. Where other processes sell seats too, a
cached showtime is first compared with the stored one, and brought up to date, so a seat map shows every commit that was
acknowledged before the call. One query does this for all calls that wait. A process that sells alone need not ask.

A seat map also has names of the catalog. It is made again when the catalog has another revision.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

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
from cinema_grpc.domain.terms import ShowtimeStatus, Terms

SHOWTIMES_A_LOAD = 16
"""How many showtimes one query brings up to date. More that are not cached would hold up the event loop."""


@dataclass(frozen=True, slots=True, eq=False)
class SeatMap:
    """A showtime and the status of each of its seats, by position, all at one moment.

    Attributes:
        catalog_revision: Its names are at least as new as this revision of the catalog.
        on_sale: Whether seats can be booked: the showtime takes place and has not started.
    """

    listed: ListedShowtime
    seat_plan: SeatPlan
    seats: Sequence[SeatStatus]
    catalog_revision: int
    on_sale: bool


class _Current(NamedTuple):
    """The time, a showtime as it is then, or None, and the revision of the catalog."""

    now: datetime
    cached: CachedShowtime | None
    catalog_revision: int


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
        self._entries: Batcher[tuple[str, int], ListedShowtime | None] = Batcher(self._read_entries)
        self._loads: Batcher[str, _Current] = Batcher(self._load)
        self._catalog_revision: int | None = None
        self._catalog_changes = 0

    async def list_showtimes(
        self, condition: ShowtimeFilter, after: tuple[datetime, str] | None, limit: int
    ) -> tuple[datetime, list[ListedShowtime]]:
        """Return the time, and showtimes by start and identifier, from the one after `after` on."""
        return await self._reader.page(condition, after, limit)

    async def listed(self, showtime_id: str) -> ListedShowtime | None:
        """Return a showtime with its names, or None. What it says of seats and terms may be out of date."""
        return await self._reader.entry(showtime_id, await self._reader.catalog_revision())

    async def seat_map(self, showtime_id: str) -> SeatMap:
        """Return the seat map of a showtime; the same object as before, if nothing has changed.

        Raises:
            ShowtimeNotFound, StorageUnavailable, Overloaded.
        """
        now, cached, catalog_revision = await self._current(showtime_id)
        if cached is None:
            raise ShowtimeNotFound(showtime_id)
        if not _has_seat_map(cached, catalog_revision, now):
            listed = await self._entries.ask((showtime_id, catalog_revision))
            if listed is None:
                raise ShowtimeNotFound(showtime_id)
            if not _has_seat_map(cached, catalog_revision, now):  # another call may have made it meanwhile
                _make_seat_map(cached, listed, catalog_revision, now)
        seat_map: SeatMap = cached.seat_map
        return seat_map

    async def current(self, showtime_id: str) -> tuple[datetime, CachedShowtime]:
        """Return the time and the state of a showtime, with every commit that was acknowledged before the call.

        Raises:
            ShowtimeNotFound, StorageUnavailable, Overloaded.
        """
        now, cached, _ = await self._current(showtime_id)
        if cached is None:
            raise ShowtimeNotFound(showtime_id)
        return now, cached

    def forget_catalog_revision(self) -> None:
        """Read the revision of the catalog again: a movie, cinema or auditorium was changed, or may have been."""
        self._catalog_revision = None
        self._catalog_changes += 1

    async def _current(self, showtime_id: str) -> _Current:
        if self._sole_clock is None:
            return await self._loads.ask(showtime_id)
        catalog_revision = await self._sole_catalog_revision()
        cached = self._cache.get(showtime_id)
        if cached is not None:
            return _Current(self._sole_clock.now(), cached, catalog_revision)
        return (await self._loads.ask(showtime_id))._replace(catalog_revision=catalog_revision)

    async def _sole_catalog_revision(self) -> int:
        """Return the revision of the catalog, if no other process changes it: it is read once after each change."""
        if self._catalog_revision is not None:
            return self._catalog_revision
        changes = self._catalog_changes
        revision = await self._reader.catalog_revision()
        if changes == self._catalog_changes:
            self._catalog_revision = revision
        return revision

    async def _read_entries(self, keys: list[tuple[str, int]]) -> list[ListedShowtime | Exception | None]:
        """Read showtimes as they are listed, each once for all calls that wait for it."""
        distinct = [*dict.fromkeys(keys)]
        found = await asyncio.gather(*(self._reader.entry(*key) for key in distinct), return_exceptions=True)
        entries = {
            key: entry if entry is None or isinstance(entry, ListedShowtime | Exception) else StorageUnavailable()
            for key, entry in zip(distinct, found, strict=True)
        }
        return [entries[each] for each in keys]

    async def _load(self, showtime_ids: list[str]) -> list[_Current]:
        """Bring cached showtimes up to date, each once for all calls; None for those that do not exist."""
        distinct = [*dict.fromkeys(showtime_ids)]
        current: dict[str, _Current] = {}
        for first in range(0, len(distinct), SHOWTIMES_A_LOAD):
            current |= await self._load_some(distinct[first : first + SHOWTIMES_A_LOAD])
        return [current[each] for each in showtime_ids]

    async def _load_some(self, showtime_ids: list[str]) -> dict[str, _Current]:
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
        return {each: _Current(loaded.now, current.get(each), loaded.catalog_revision) for each in showtime_ids}


def _has_seat_map(cached: CachedShowtime, catalog_revision: int, now: datetime) -> bool:
    seat_map: SeatMap | None = cached.seat_map
    if seat_map is None or seat_map.catalog_revision != catalog_revision:
        return False
    return cached.seat_map_until is None or now < cached.seat_map_until


def _make_seat_map(cached: CachedShowtime, listed: ListedShowtime, catalog_revision: int, now: datetime) -> None:
    showtime = cached.showtime
    terms, seats = showtime.terms, showtime.seats(now)
    listed = with_state(listed, terms, seats, cached.version.revision)
    started = now >= terms.start_time
    on_sale = terms.status is ShowtimeStatus.SCHEDULED and not started
    cached.seat_map = SeatMap(listed, terms.seat_plan, seats, catalog_revision, on_sale)
    next_lapse = showtime.next_lapse(now)
    cached.seat_map_until = next_lapse if started else min(next_lapse or terms.start_time, terms.start_time)


def with_state(listed: ListedShowtime, terms: Terms, seats: Sequence[SeatStatus], revision: int) -> ListedShowtime:
    """Return a showtime with its names and the terms, free seats and revision of a state of it."""
    return replace(
        listed,
        start_time=terms.start_time,
        end_time=terms.end_time,
        prices=terms.prices,
        seat_gap_policy=terms.seat_gap_policy,
        status=terms.status,
        cancel_time=terms.cancel_time,
        cancel_reason=terms.cancel_reason,
        available_seats=seats.count(SeatStatus.AVAILABLE),
        revision=revision,
    )
