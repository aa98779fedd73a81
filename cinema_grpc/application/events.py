"""The event feed: assigns positions to events after their commits, and lets consumers read and watch them.

On PostgreSQL each process runs the sequencer. It looks for events after a commit of its own box office, and once a
second for the others: of new showtimes, which the catalog commits, and of processes that have died.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta

from cinema_grpc.application.background import BackgroundTask
from cinema_grpc.application.box_office.store import ShowtimeUpdate
from cinema_grpc.application.errors import PositionTrimmed
from cinema_grpc.application.event_ports import EventFilter, EventPage, EventStore

SECONDS_BETWEEN_PASSES = 0.2
SECONDS_BETWEEN_CHECKS = 0.1
"""How often a process with watchers looks for new positions, which any process may have assigned."""
SECONDS_BETWEEN_SEARCHES = 1.0
"""How often a process that commits nothing looks for the events of others."""
COMMITS_A_PASS = 2_000
"""Commits whose events get positions in one transaction, at most. After a failure it is half as many, as the database
may have been unable to do so much in its time; after the backlog, twice as many."""
SECONDS_BETWEEN_FRAMES = 14.7
"""Longest time without a response on a stream. With the reading and the sending it is below 15 s."""
EVENTS_A_TRIM = 1_000
"""Events deleted in one transaction: few enough not to delay the sequencer."""


class EventFeed:
    """Reads events, and assigns positions to them.

    Attributes:
        sequencer: Assigns positions to events, for databases where commits don't.
        position_watch: Wakes watchers when there are new positions.
    """

    def __init__(self, store: EventStore, seconds_between_frames: float = SECONDS_BETWEEN_FRAMES) -> None:
        """Set up.

        Args:
            store: The store.
            seconds_between_frames: Longest time between two pages of a watch.
        """
        self._store = store
        self._seconds_between_frames = seconds_between_frames
        self._has_committed = True
        self._commits_a_pass = COMMITS_A_PASS
        self._next_search = 0.0
        self._watchers = 0
        self._latest = 0
        self._change = asyncio.Event()
        self.sequencer = BackgroundTask("event positions", self.run_pass, SECONDS_BETWEEN_PASSES)
        self.position_watch = BackgroundTask("new events", self._check_positions, SECONDS_BETWEEN_CHECKS)

    @property
    def watchers(self) -> int:
        """How many watches are open."""
        return self._watchers

    def note_commit(self, _updates: Sequence[ShowtimeUpdate] = ()) -> None:
        """Have the next pass assign positions."""
        self._has_committed = True

    async def run_pass(self) -> None:
        """Assign positions to all events that have none, unless another process is doing so.

        Raises:
            StorageUnavailable.
        """
        now = asyncio.get_running_loop().time()
        if not self._has_committed and now < self._next_search:
            return
        self._has_committed, has_more = False, True
        try:
            while has_more:
                done = await self._store.assign_positions(self._commits_a_pass)
                # Another process may have begun before our commit, so the next pass looks again.
                self._has_committed |= done is None
                has_more = done == self._commits_a_pass
                if done:
                    self._notify()
            if done is not None:
                self._commits_a_pass = min(self._commits_a_pass * 2, COMMITS_A_PASS)
        except BaseException:
            self._has_committed = True
            self._commits_a_pass = max(self._commits_a_pass // 2, 1)
            raise
        self._next_search = now + SECONDS_BETWEEN_SEARCHES

    async def read(self, wanted: EventFilter, after: int, limit: int) -> EventPage:
        """Return at most `limit` events after a position; fewer do not mean that there are no more.

        Raises:
            PositionTrimmed: Events after the position were deleted.
            StorageUnavailable, Overloaded.
        """
        page = await self._store.read(wanted, after, limit)
        if after < page.earliest_position - 1:
            raise PositionTrimmed(after, page.earliest_position)
        return page

    async def watch(
        self, wanted: EventFilter, after: int, limit: int, check: Callable[[], Awaitable[None]]
    ) -> AsyncGenerator[EventPage, None]:
        """Yield a page at once, then one for new events, or without events if there are none for a while.

        Args:
            wanted: Which events.
            after: The position to begin after.
            limit: The maximum number of events of a page.
            check: Called before each page; it may raise to end the watch.

        Raises:
            PositionTrimmed: Events after the position were deleted.
            StorageUnavailable, Overloaded.
        """
        loop, due = asyncio.get_running_loop(), 0.0
        self._watchers += 1
        try:
            while True:
                await check()
                change = self._change
                page = await self.read(wanted, after, limit)
                # Once the feed has grown again, a consumer can't see that a failover lost what it has read.
                if page.events or page.latest_position < after or loop.time() >= due:
                    yield page
                    due = loop.time() + self._seconds_between_frames
                after = page.next_position
                if after >= page.latest_position:
                    with suppress(TimeoutError):
                        async with asyncio.timeout_at(due):
                            await change.wait()
        finally:
            self._watchers -= 1

    async def _check_positions(self) -> None:
        """Wake the watchers if any process has assigned new positions."""
        if not self._watchers:
            return
        latest = await self._store.latest_position()
        if latest != self._latest:
            self._latest = latest
            self._notify()

    def _notify(self) -> None:
        self._change.set()
        self._change = asyncio.Event()


async def delete_old_events(store: EventStore, age: timedelta) -> None:
    """Delete all events that are at least `age` old, in small batches.

    Raises:
        StorageUnavailable.
    """
    while await store.trim(age, EVENTS_A_TRIM) == EVENTS_A_TRIM:
        pass
