"""Watched seats: streams of frames with the seats of a showtime that have changed.

All watchers of a showtime share one `SeatChanges`, and a watcher is no more than a number: the step up to which it
knows everything. When its client has read a frame, the next one has what has changed since, so the frames of a slow
client merge, and cost nothing meanwhile. A frame is encoded once for all watchers that are at the same step.

Commits of this process are seen at once. Those of others are found by one query for all watched showtimes; what they
changed is then loaded into the cache as for seat maps. Holds and blocks end by a timer, on the clock that decides.

Frames are sent at a bounded rate, so that many watchers leave time to sell. A rush merges their frames, too.
"""

import asyncio
import math
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from cinema_grpc.application.background import BackgroundTask
from cinema_grpc.application.box_office.cache import CachedShowtime, ShowtimeCache
from cinema_grpc.application.box_office.store import ShowtimeUpdate, Version
from cinema_grpc.application.clock import Clock
from cinema_grpc.application.errors import StorageUnavailable
from cinema_grpc.application.listings import Listings
from cinema_grpc.application.watched_showtime import WakePace, WatchedShowtime, call_later
from cinema_grpc.domain.errors import ShowtimeNotFound
from cinema_grpc.domain.seat_changes import SeatFrame

SECONDS_BETWEEN_QUERIES = 0.2
"""How often other processes' commits are looked for. With the query and the sending it must stay below 0.5 s."""
SECONDS_BETWEEN_PASSES = 0.2
SECONDS_BETWEEN_STEPS = 0.02
"""Minimum time between two steps of a showtime: a step compares all of its seats."""
SECONDS_BETWEEN_FRAMES = 14.0
"""Time after which a watcher gets an empty frame. With the pause between two passes, and with the turns of 2,000
watchers at FRAMES_A_SECOND, it is below 15 s."""
FRAMES_A_SECOND = 4_000
MAX_UNWATCHED = 200
"""Maximum showtimes that are kept after their last watcher has gone, so that it can resume without a snapshot."""
SECONDS_UNWATCHED = 30.0
LONGEST_SILENCE = 10.0
"""Seconds without an answer of a shared database, after which a stream ends."""
TIMER_MARGIN = timedelta(milliseconds=1)


ReadVersions = Callable[[Collection[str]], Awaitable[tuple[datetime | None, Mapping[str, Version]]]]
"""Returns the time, and the stored versions of showtimes; None for the time if there are none of these. It may raise
StorageUnavailable."""


class SeatWatch:
    """Serves the watchers of seats.

    Attributes:
        tasks: The background tasks that it needs.
    """

    def __init__(
        self,
        listings: Listings,
        cache: ShowtimeCache,
        encode: Callable[[SeatFrame], bytes],
        clock: Clock | None = None,
        read_versions: ReadVersions | None = None,
    ) -> None:
        """Set up.

        Args:
            listings: Brings cached showtimes up to date.
            cache: The cache of the box office.
            encode: Serializes a frame.
            clock: The clock that decides; None: the database's, whose time is read with each version.
            read_versions: Reads what other processes have committed; None if there are none.
        """
        self._listings = listings
        self._cache = cache
        self._encode = encode
        self._clock = clock
        self._read_versions = read_versions
        self._watched: dict[str, WatchedShowtime] = {}
        self._unwatched: OrderedDict[str, float] = OrderedDict()
        self._pace = WakePace(FRAMES_A_SECOND)
        self._outdated: set[str] = set()
        self._known_time: tuple[datetime, float] | None = None
        self._query_time = math.inf  # of the latest answer; infinite before the first, and without other processes
        self._reload_task = BackgroundTask("seat reloads", self.reload, SECONDS_BETWEEN_PASSES)
        self.tasks = [BackgroundTask("seat watch", self.run_pass, SECONDS_BETWEEN_PASSES), self._reload_task]
        if read_versions is not None:
            self.tasks.append(BackgroundTask("seat revisions", self.look_for_commits, SECONDS_BETWEEN_QUERIES))

    @property
    def watchers(self) -> int:
        """How many streams are open."""
        return sum(each.watchers for each in self._watched.copy().values())

    async def frames(self, showtime_id: str, after_revision: int) -> AsyncGenerator[bytes, None]:
        """Yield encoded frames: at once what has changed since a revision, or all; then each change.

        It ends after the frame that says CANCELLED, and when the showtime ends.

        Args:
            showtime_id: The showtime.
            after_revision: A revision at which the caller knows the seats; 0, or one that is not known here: none.

        Raises:
            ShowtimeNotFound, StorageUnavailable, Overloaded.
        """
        watched = await self._join(showtime_id)
        try:
            step = watched.changes.step_at(after_revision) if after_revision else None
            while True:
                frame, is_last = watched.frame_since(step), watched.is_over(self._now())
                step = watched.changes.step
                yield frame
                if is_last:
                    return
                if step == watched.changes.step:
                    await watched.until_woken()
                    self._check_known(watched, step)
                else:  # it changed while the client was reading
                    await self._pace.turn()
                if watched.is_lost:
                    raise ShowtimeNotFound(showtime_id)
        finally:
            self._leave(watched)

    def note_commit(self, updates: Sequence[ShowtimeUpdate]) -> None:
        """Notify the watchers of the showtimes that a commit of this process changed."""
        if not self._watched:
            return
        for update in updates:
            watched = self._watched.get(update.showtime_id)
            if watched is not None:
                watched.latest_time = max(watched.latest_time, update.latest_time)
                self._step_soon(watched)

    async def run_pass(self) -> None:
        """Send empty frames where nothing else was sent, set timers, and drop showtimes that are no longer watched."""
        time, now = asyncio.get_running_loop().time(), self._now()
        while self._unwatched and next(iter(self._unwatched.values())) <= time - SECONDS_UNWATCHED:
            self._forget_oldest()
        for watched in self._watched.values():
            self._pace.wake(watched.take_waiting(since=time - SECONDS_BETWEEN_FRAMES))
            due = watched.next_moment
            if watched.has_timer or due is None or not watched.watchers:
                continue
            if due <= now + timedelta(seconds=2 * SECONDS_BETWEEN_PASSES):
                watched.has_timer = True
                delay = max(due - now, timedelta()) + TIMER_MARGIN
                call_later(delay.total_seconds(), self._lapse, watched)

    async def reload(self) -> None:
        """Load showtimes that are not cached, or whose holds may have been changed by others at the last moment.

        Raises:
            StorageUnavailable, Overloaded.
        """
        while self._outdated:
            await asyncio.gather(*map(self._reload, [*self._outdated]))

    async def look_for_commits(self) -> None:
        """Find out what other processes have committed to watched showtimes.

        Raises:
            StorageUnavailable, Overloaded.
        """
        if self._read_versions is None:
            return
        loop = asyncio.get_running_loop()
        if not self._watched:
            self._query_time = loop.time()
            return
        asked = [*self._watched]
        now, versions = await self._read_versions(asked)
        self._query_time = loop.time()
        if now is not None:
            self._note_time(now)
        # Also those that are not stored any more: a failover may lose a showtime.
        stale = [
            each for each in asked if (watched := self._watched.get(each)) and versions.get(each) != watched.version
        ]
        await asyncio.gather(*map(self._reload, stale))

    def _check_known(self, watched: WatchedShowtime, step: int) -> None:
        """Check, before an empty frame, that the database has answered lately: the frame says that nothing has changed.

        Raises:
            StorageUnavailable: It has not answered for LONGEST_SILENCE.
        """
        silence = asyncio.get_running_loop().time() - self._query_time
        if step == watched.changes.step and silence > LONGEST_SILENCE and not watched.is_over(self._now()):
            raise StorageUnavailable

    async def _join(self, showtime_id: str) -> WatchedShowtime:
        before = self._cache.get(showtime_id)
        now, cached = await self._listings.current(showtime_id)
        self._note_time(now)
        newer = self._cache.get(showtime_id)
        # A commit of this process may have come since. What was cached before may be older, or lost in a failover.
        if newer is not None and newer is not before and newer.version.revision > cached.version.revision:
            cached = newer
        watched = self._watched.get(showtime_id)
        if watched is None:
            watched = self._watched[showtime_id] = WatchedShowtime(cached, now, self._encode)
        else:
            self._unwatched.pop(showtime_id, None)
            if cached.version.revision >= watched.version.revision:  # else it was loaded before a later one
                self._advance(watched, cached, now)
        watched.watchers += 1
        return watched

    def _leave(self, watched: WatchedShowtime) -> None:
        watched.watchers -= 1
        if not watched.watchers:
            self._unwatched[watched.showtime_id] = asyncio.get_running_loop().time()
            if len(self._unwatched) > MAX_UNWATCHED:
                self._forget_oldest()

    def _forget_oldest(self) -> None:
        showtime_id, _ = self._unwatched.popitem(last=False)
        del self._watched[showtime_id]

    async def _reload(self, showtime_id: str) -> None:
        self._outdated.discard(showtime_id)  # before the load: it may be outdated again by its end
        before = None if (watched := self._watched.get(showtime_id)) is None else watched.version
        try:
            now, cached = await self._listings.current(showtime_id)
        except ShowtimeNotFound:
            if (lost := self._watched.get(showtime_id)) is not None:
                lost.is_lost = True
                self._pace.wake(lost.take_waiting())
            return
        except BaseException:
            self._outdated.add(showtime_id)
            raise
        self._note_time(now)
        watched = self._watched.get(showtime_id)
        if watched is None:
            return
        if watched.version != before and watched.version.revision > cached.version.revision:
            return  # a commit of this process has overtaken the load, and has what was loaded
        self._advance(watched, cached, now)
        if watched.is_over(self._now()):
            self._pace.wake(watched.take_waiting())

    def _reload_soon(self, watched: WatchedShowtime) -> None:
        self._outdated.add(watched.showtime_id)
        self._reload_task.wake()

    def _step_soon(self, watched: WatchedShowtime) -> None:
        if not watched.is_due:
            watched.is_due = True
            wait = watched.step_time + SECONDS_BETWEEN_STEPS - asyncio.get_running_loop().time()
            call_later(max(wait, 0), self._step, watched)

    def _step(self, watched: WatchedShowtime) -> None:
        watched.is_due = False
        watched.step_time = asyncio.get_running_loop().time()
        cached = self._cache.get(watched.showtime_id)
        if cached is None:  # it was evicted
            self._reload_soon(watched)
        elif cached.version.revision > watched.version.revision:
            self._advance(watched, cached, self._now())

    def _lapse(self, watched: WatchedShowtime) -> None:
        """Let holds and blocks end, or the showtime."""
        watched.has_timer = False
        if self._read_versions is not None:  # another process may have extended the hold, or sold its seats
            self._reload_soon(watched)
            return
        if watched.is_due:  # a commit that the watchers do not see yet may have been a payment for the hold
            return
        now, step = self._now(), watched.changes.step
        watched.changes.lapse(now)
        if watched.changes.step != step or watched.is_over(now):
            self._pace.wake(watched.take_waiting())

    def _advance(self, watched: WatchedShowtime, cached: CachedShowtime, now: datetime) -> None:
        """Bring a showtime up to date, and its watchers if anything has changed."""
        step = watched.changes.step
        watched.changes.advance(cached.showtime, *cached.version, max(now, watched.latest_time))
        if watched.changes.step != step:
            self._pace.wake(watched.take_waiting())

    def _now(self) -> datetime:
        """Return the time by the clock that decides; where that is the database's, at most a little less."""
        if self._clock is not None:
            return self._clock.now()
        if self._known_time is None:
            return datetime.min.replace(tzinfo=UTC)  # nothing is watched yet
        then, at = self._known_time
        return then + timedelta(seconds=asyncio.get_running_loop().time() - at)

    def _note_time(self, now: datetime) -> None:
        self._known_time = now, asyncio.get_running_loop().time()
