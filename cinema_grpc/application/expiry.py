"""Hold expiry: stores lapsed holds as EXPIRED and drops lapsed blocks. Their seats are free already, without it."""

import asyncio
import random
import time

from cinema_grpc.application.box_office.box_office import BoxOffice
from cinema_grpc.application.box_office.command import Command, Priority
from cinema_grpc.application.box_office.store import BoxOfficeStore, StorageContention
from cinema_grpc.application.errors import Overloaded, ShuttingDown

SECONDS_BETWEEN_PASSES = 1.0
LONGEST_PAUSE = 2.0
"""Maximum seconds after a failed pass; short, so that holds of other showtimes are still stored within 4 seconds."""
SHOWTIMES_A_PASS = 100
SHOWTIMES_AT_ONCE = 4
MAX_FAILURES = 4
"""A pass ends after this many showtimes have failed, since buyers wait behind each attempt."""
HOLDS_A_COMMAND = 20
HOLDS_A_SECOND = 1_300
"""Upper bound of the rate. A higher one would only delay buyers. After thousands of lapses at once, expiry takes longer
than the 4 seconds that docs/reliability.md promises otherwise."""
LOW_PRIORITY_PASSES = 2
"""In how many passes in a row a contended showtime is left to other replicas. Without a limit, all replicas could leave
it to each other forever."""


class HoldExpiry:
    """Expires holds, a few at a time, behind the commands of buyers."""

    def __init__(self, store: BoxOfficeStore, box_office: BoxOffice) -> None:
        self._store = store
        self._box_office = box_office
        self._contended: dict[str, int] = {}  # in how many passes in a row

    async def run_pass(self) -> None:
        """Expire lapsed holds and drop lapsed blocks. Contended showtimes are left to the next pass.

        Raises:
            StorageUnavailable, ShuttingDown.
            Exception: The first failure of a showtime, raised at the end of the pass, or after MAX_FAILURES failures.
        """
        failures: list[Exception] = []
        skipped: set[str] = set()
        seen: set[str] = set()
        while showtime_ids := await self._store.showtimes_with_lapses(SHOWTIMES_A_PASS, skipped):
            seen.update(showtime_ids)
            random.shuffle(showtime_ids)  # so that replicas rarely work on one showtime at once
            skipped_before, expired = len(skipped), 0
            for first in range(0, len(showtime_ids), SHOWTIMES_AT_ONCE):
                start = time.monotonic()
                some = showtime_ids[first : first + SHOWTIMES_AT_ONCE]
                count = sum(await asyncio.gather(*(self._expire(each, skipped, failures) for each in some)))
                if len(failures) >= MAX_FAILURES:
                    raise failures[0]  # probably it is not these showtimes, but the database
                expired += count
                # At most half of the time is spent on expiry.
                worked = time.monotonic() - start
                await asyncio.sleep(max(worked, count / HOLDS_A_SECOND - worked))
            if not expired and len(skipped) == skipped_before:
                break  # another replica was faster
        self._contended = {each: passes for each, passes in self._contended.items() if each in seen}
        if failures:
            raise failures[0]

    async def _expire(self, showtime_id: str, skipped: set[str], failures: list[Exception]) -> int:
        """Expire holds of a showtime and return how many.

        One that is contended is added to `skipped`, and so is one that fails, which does not keep others waiting.
        """
        passes = self._contended.get(showtime_id, 0)
        command = Command(
            showtime_id,
            lambda decision: decision.showtime.expire(HOLDS_A_COMMAND, decision.now),
            priority=Priority.LOW if passes < LOW_PRIORITY_PASSES else Priority.NORMAL,
        )
        try:
            count = await self._box_office.execute(command)
        except (StorageContention, Overloaded):
            self._contended[showtime_id] = passes + 1
            skipped.add(showtime_id)
            return 0
        except ShuttingDown:
            raise
        except Exception as error:  # noqa: BLE001 (raised at the end of the pass)
            failures.append(error)
            skipped.add(showtime_id)
            return 0
        self._contended.pop(showtime_id, None)
        return count
