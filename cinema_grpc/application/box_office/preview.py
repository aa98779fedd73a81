"""Previews: what a command would come to, on a copy of the committed showtime."""

from dataclasses import dataclass
from typing import TypeVar

from cinema_grpc.application.box_office.cache import ShowtimeCache, catch_up
from cinema_grpc.application.box_office.command import Command, Decision
from cinema_grpc.application.box_office.store import BoxOfficeStore, LoadRequest
from cinema_grpc.domain.errors import ShowtimeNotFound

A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class Preview:
    """Applies commands to copies, which it drops.

    Attributes:
        store: Loads showtimes.
        cache: The cache of the box office.
    """

    store: BoxOfficeStore
    cache: ShowtimeCache

    async def run(self, command: Command[A]) -> A:
        """Return what a command comes to on a copy of the committed showtime. Its account and responses do not count.

        Raises:
            ShowtimeNotFound, StorageUnavailable, Overloaded, and what the command raises.
        """
        showtime_id, cached = command.showtime_id, self.cache.get(command.showtime_id)
        slots_within = {} if command.slots_within is None else {showtime_id: command.slots_within}
        known = None if cached is None else cached.version
        booking_ids = {command.booking_id} if command.booking_id else ()
        loaded = await self.store.load(LoadRequest({showtime_id: known}, booking_ids, slots_within=slots_within))
        found = loaded.showtimes.get(showtime_id)
        if found is None:
            raise ShowtimeNotFound(showtime_id)
        now = max(loaded.now, found.latest_time)
        decision = Decision(catch_up(cached, found), found.version.revision, now, lambda *_: 0, found.slots)
        return command.change(decision)
