"""A showtime that is watched: its seats, encoded frames and waiting watchers, which are woken at a bounded rate."""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import Context
from datetime import datetime
from itertools import takewhile

from cinema_grpc.application.box_office.cache import CachedShowtime
from cinema_grpc.application.box_office.store import Version
from cinema_grpc.domain.seat_changes import SeatChanges, SeatFrame
from cinema_grpc.domain.terms import ShowtimeStatus

AT_ONCE = 40
"""How many watchers are woken in one turn of the event loop at most. The pause after it leaves time for calls."""


class WatchedShowtime:
    """A showtime that is watched.

    Attributes:
        changes: Its seats.
        watchers: The number of watchers.
        latest_time: The time of the latest decision of this process.
        is_due: Whether a step is to be taken soon.
        step_time: When the last one was taken, on the clock of the event loop.
        has_timer: Whether a timer for the next moment is set.
        is_lost: Whether it is not stored any more.
    """

    def __init__(self, cached: CachedShowtime, now: datetime, encode: Callable[[SeatFrame], bytes]) -> None:
        self.showtime_id = cached.showtime_id
        self.changes = SeatChanges(cached.showtime, *cached.version, now)
        self.watchers = 0
        self.latest_time = now
        self.is_due = False
        self.step_time = 0.0
        self.has_timer = False
        self.is_lost = False
        self._encode = encode
        self._frames: dict[int | None, bytes] = {}
        self._frames_step = 0
        self._waiting: dict[asyncio.Future[None], float] = {}

    @property
    def version(self) -> Version:
        """The version of the showtime that the watchers get."""
        return Version(self.changes.revision, self.changes.commit_id)

    @property
    def next_moment(self) -> datetime | None:
        """When the next hold or block ends, or the showtime; None if it is cancelled."""
        if self.changes.status is ShowtimeStatus.CANCELLED:
            return None
        return min(self.changes.next_lapse or self.changes.end_time, self.changes.end_time)

    def is_over(self, now: datetime) -> bool:
        """Return whether nothing more is to come."""
        return self.changes.status is ShowtimeStatus.CANCELLED or now >= self.changes.end_time

    def frame_since(self, step: int | None) -> bytes:
        """Return the frame of what has changed since a step, or all for None."""
        if self._frames_step != self.changes.step:
            self._frames.clear()
            self._frames_step = self.changes.step
        frame = self._frames.get(step)
        if frame is None:
            frame = self._frames[step] = self._encode(self.changes.since(step))
        return frame

    async def until_woken(self) -> None:
        """Wait for a step, or until an empty frame is due."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting[future] = loop.time()
        try:
            await future
        finally:
            self._waiting.pop(future, None)

    def take_waiting(self, since: float = math.inf) -> list[asyncio.Future[None]]:
        """Remove and return those that wait, for the caller to wake them; with a time, those that waited then."""
        if since == math.inf:
            waiting, self._waiting = self._waiting, {}
            return [*waiting]
        taken = list(takewhile(lambda future: self._waiting[future] <= since, self._waiting))  # the longest waiting
        for future in taken:
            del self._waiting[future]
        return taken


class WakePace:
    """Wakes streams at a bounded rate, in the order in which they come, the first ones at once."""

    def __init__(self, a_second: int) -> None:
        """Set up with the greatest number that are woken in a second."""
        self._a_second = a_second
        self._ready: deque[asyncio.Future[None]] = deque()
        self._pausing = False

    def wake(self, waiting: Iterable[asyncio.Future[None]]) -> None:
        """Wake streams by setting the futures that they wait for, now or soon."""
        self._ready.extend(waiting)
        if not self._pausing:
            self._wake_some()

    async def turn(self) -> None:
        """Wait for one's turn."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.wake([future])
        await future

    def _wake_some(self) -> None:
        woken = min(AT_ONCE, len(self._ready))
        for _ in range(woken):
            future = self._ready.popleft()
            if not future.done():  # else its client has hung up
                future.set_result(None)
        self._pausing = woken > 0  # also after the last one: others may come one by one
        if self._pausing:
            call_later(woken / self._a_second, self._wake_some)


def call_later(delay: float, function: Callable[..., None], *args: object) -> None:
    """Call a function in `delay` seconds, in an empty context: its log lines do not belong to the current call."""
    asyncio.get_running_loop().call_later(delay, function, *args, context=Context())
