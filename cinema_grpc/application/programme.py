"""The programme for those who browse: pages of showtimes, and the map of who may still have which seat.

Seat maps are kept in memory and follow each commit. Where other processes sell seats too, none is shown before storage
has said that it is of the latest version, so what any of them has acknowledged is seen at once; that question is asked
for many callers together. A process that sells alone needs not ask.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from cinema_grpc.application.box_office_ports import Version, Written
from cinema_grpc.application.line import Line
from cinema_grpc.application.ports import Clock, FoundShowtime, ProgrammeReader, ShowtimeFilter
from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.catalog import ListedShowtime
from cinema_grpc.domain.errors import ShowtimeNotFound
from cinema_grpc.domain.seating import SeatPlan
from cinema_grpc.domain.showtime import SeatStatus, Showtime

SEATS_AT_HAND = 200_000
"""How many seats the maps that are kept have in all, at most."""


@dataclass(frozen=True, slots=True, eq=False)
class SeatMap:
    """A showtime and the state of each of its seats, by position, all as of one moment."""

    listed: ListedShowtime
    seat_plan: SeatPlan
    seats: Sequence[SeatStatus]


class _Kept:
    """A showtime at hand, and its map as it was last shown."""

    def __init__(self, found: FoundShowtime) -> None:
        self.version = found.version
        self.size = len(found.terms.seat_plan)
        self._listed = found.listed
        self._showtime = Showtime(found.terms, found.bookings)
        self._map: SeatMap | None = None
        self._good_until: datetime | None = None

    def follow(self, bookings: Iterable[Booking], version: Version) -> None:
        for booking in bookings:
            self._showtime.restore(booking)
        self._showtime.settle()
        self.version = version
        self._map = None

    def map(self, now: datetime) -> SeatMap:
        if self._map is None or (self._good_until is not None and now >= self._good_until):
            seats = self._showtime.seats(now)
            free = seats.count(SeatStatus.AVAILABLE)
            listed = replace(self._listed, available_seats=free, revision=self.version.revision)
            self._map = SeatMap(listed, self._showtime.terms.seat_plan, seats)
            self._good_until = self._showtime.next_lapse(now)
        return self._map


class Programme:
    """Shows what is on, and which seats are free."""

    def __init__(self, reader: ProgrammeReader, clock: Clock | None = None) -> None:
        """Begin with nothing in memory.

        Args:
            reader: Reads storage.
            clock: The clock that decides, if no other process sells seats: then what follows each commit is believed.
        """
        self._reader = reader
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._seats = 0
        self._asking: Line[str, tuple[datetime, Version | None]] = Line(self._ask_versions)
        self._loading: dict[str, asyncio.Task[_Kept]] = {}
        self._committed: dict[str, int] = {}

    async def list_showtimes(
        self, condition: ShowtimeFilter, after: tuple[datetime, str] | None, limit: int
    ) -> tuple[datetime, list[ListedShowtime]]:
        """Tell the time, and list showtimes by start and identifier, from the one after `after` on."""
        return await self._reader.page(condition, after, limit)

    async def seat_map(self, showtime_id: str) -> SeatMap:
        """Show a showtime with the state of each seat; the same object as before, if nothing has changed.

        Raises:
            ShowtimeNotFound.
        """
        if self._clock is not None:
            known = self._kept.get(showtime_id) or await self._load(showtime_id)
            return self._look_at(known, showtime_id, self._clock.now())
        before = self._version(showtime_id)
        now, latest = await self._asking.ask(showtime_id)
        if latest is None:
            raise ShowtimeNotFound(showtime_id)
        kept = self._kept.get(showtime_id)
        # What was committed here while storage was asked may be newer than what it named. Any other difference means
        # that storage is right: another process wrote, or the database was put back to an older state.
        if kept is None or not (kept.version == latest or _was_followed(before, kept.version, latest)):
            await self._load(showtime_id)  # which may have begun before storage was asked,
            kept = self._kept.get(showtime_id)
            if kept is None or not (kept.version == latest or kept.version.came_from(latest)):
                kept = await self._load(showtime_id)  # but this one has not
        return self._look_at(kept, showtime_id, now)

    def follow(self, written: Sequence[Written]) -> None:
        """Take over what was committed to the showtimes at hand."""
        for work in written:
            kept = self._kept.get(work.showtime_id)
            if kept is not None and kept.version == work.known:
                kept.follow((change.after for change in work.changes), work.version)
            elif self._clock is not None and (kept is None or kept.version != work.version):
                self._drop(work.showtime_id)
                if work.showtime_id in self._loading:
                    self._committed[work.showtime_id] = work.version.revision

    def doubt(self, showtime_ids: Collection[str]) -> None:
        """Read showtimes anew when they are asked for: it is not known whether a commit to them was kept."""
        for showtime_id in showtime_ids:
            self._drop(showtime_id)

    def _look_at(self, kept: _Kept, showtime_id: str, now: datetime) -> SeatMap:
        if showtime_id in self._kept:
            self._kept.move_to_end(showtime_id)
        return kept.map(now)

    def _version(self, showtime_id: str) -> Version | None:
        kept = self._kept.get(showtime_id)
        return None if kept is None else kept.version

    async def _ask_versions(self) -> None:
        """Ask storage for the time and the versions of showtimes, once for all who ask."""

        async def ask(showtime_ids: list[str]) -> list[tuple[datetime, Version | None]]:
            now, versions = await self._reader.versions(set(showtime_ids))
            return [(now, versions.get(showtime_id)) for showtime_id in showtime_ids]

        await self._asking.answer_all(ask)

    async def _load(self, showtime_id: str) -> _Kept:
        """Read a showtime anew, once for all who want it.

        Raises:
            ShowtimeNotFound.
        """
        loading = self._loading.get(showtime_id)
        if loading is None:
            loading = self._loading[showtime_id] = asyncio.create_task(self._load_once(showtime_id))
            loading.add_done_callback(partial(self._end_loading, showtime_id))
        return await asyncio.shield(loading)

    def _end_loading(self, showtime_id: str, _: object) -> None:
        del self._loading[showtime_id]
        self._committed.pop(showtime_id, None)

    async def _load_once(self, showtime_id: str) -> _Kept:
        kept = self._kept.get(showtime_id)
        if kept is not None:
            known = kept.version
            changes = await self._reader.changes(showtime_id, known)
            if changes is not None and kept.version == known:  # no commit of ours came between
                kept.follow(changes.bookings, changes.version)
                return kept
        found = await self._reader.showtime(showtime_id)
        while found is not None and found.version.revision < self._committed.get(showtime_id, 0):
            found = await self._reader.showtime(showtime_id)  # a commit of ours came between
        if found is None:
            raise ShowtimeNotFound(showtime_id)
        self._drop(showtime_id)
        kept = self._kept[showtime_id] = _Kept(found)
        self._seats += kept.size
        while self._seats > SEATS_AT_HAND:
            self._drop(next(iter(self._kept)))
        return kept

    def _drop(self, showtime_id: str) -> None:
        kept = self._kept.pop(showtime_id, None)
        if kept is not None:
            self._seats -= kept.size


def _was_followed(before: Version | None, version: Version, latest: Version) -> bool:
    return before is not None and version != before and version.came_from(latest)
