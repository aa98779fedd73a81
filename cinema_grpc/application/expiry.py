"""Writing down holds that are over. It only tidies: a hold that is over is a free seat at once, written down or not."""

import asyncio
import random
import time

from cinema_grpc.application.box_office import BoxOffice
from cinema_grpc.application.box_office_ports import BoxOfficeStore
from cinema_grpc.application.errors import Overloaded
from cinema_grpc.application.ports import StorageContention

SECONDS_BETWEEN_PASSES = 1.0
SHOWTIMES_A_PASS = 100
SHOWTIMES_AT_ONCE = 4
HOLDS_A_COMMAND = 20
HOLDS_A_SECOND = 1_300
"""How many holds are written down a second at most: quicker would gain nothing, and those who are buying would wait. So
after some thousands at once it takes longer than the usual 4 seconds."""

MOST_REFUSALS = 2
"""In how many passes a showtime is left to other replicas; where many sell it at once, all of them would for ever."""


class HoldExpiry:
    """Has the box office write down holds that are over, a few at a time, behind those who are buying."""

    def __init__(self, store: BoxOfficeStore, box_office: BoxOffice) -> None:
        self._store = store
        self._box_office = box_office
        self._refused: dict[str, int] = {}

    async def run_pass(self) -> None:
        """Write down all holds that are over by now.

        Raises:
            StorageUnavailable, ShuttingDown.
        """
        busy: set[str] = set()
        seen: set[str] = set()
        while showtime_ids := await self._store.showtimes_with_lapsed_holds(SHOWTIMES_A_PASS, busy):
            seen.update(showtime_ids)
            random.shuffle(showtime_ids)  # so that replicas rarely meet at one showtime
            known_busy, expired = len(busy), 0
            for first in range(0, SHOWTIMES_A_PASS, SHOWTIMES_AT_ONCE):
                start = time.monotonic()
                some = showtime_ids[first : first + SHOWTIMES_AT_ONCE]
                written = sum(await asyncio.gather(*(self._expire(each, busy) for each in some)))
                expired += written
                # Those who are buying have at least every other moment for themselves.
                worked = time.monotonic() - start
                await asyncio.sleep(max(worked, written / HOLDS_A_SECOND - worked))
            if not expired and len(busy) == known_busy:
                break  # another replica is quicker
        self._refused = {each: times for each, times in self._refused.items() if each in seen}

    async def _expire(self, showtime_id: str, busy: set[str]) -> int:
        """Write down what is over in a showtime; one that another replica is at joins those that are left to others."""
        refused = self._refused.get(showtime_id, 0)
        try:
            written = await self._box_office.execute(
                showtime_id,
                lambda showtime, now: showtime.expire(HOLDS_A_COMMAND, now),
                tidying=refused < MOST_REFUSALS,
            )
        except (StorageContention, Overloaded):
            self._refused[showtime_id] = refused + 1
            busy.add(showtime_id)
            return 0
        self._refused.pop(showtime_id, None)
        return written
