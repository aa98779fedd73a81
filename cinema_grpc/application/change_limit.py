"""A limit on changes a minute for each account, so that one customer can't keep the database busy."""

import time
from collections.abc import Callable

from cinema_grpc.application.errors import TooManyChanges

SECONDS = 60.0
MAX_ACCOUNTS = 100_000
"""Maximum accounts in memory, some 150 bytes each. Beyond it, the least recently used ones get full buckets."""


class ChangeLimit:
    """A token bucket for each account, in this process; a full bucket holds the changes of a minute.

    A bucket is one number: the time at which it will be full again (the generic cell rate algorithm). Full buckets need
    no memory, so an account without changes for a minute is dropped.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Create full buckets.

        Args:
            per_minute: Maximum changes of an account a minute; 0 for no limit.
            clock: Returns monotonic time in seconds.
        """
        self._per_minute = per_minute
        self._interval = SECONDS / per_minute if per_minute else 0.0
        self._clock = clock
        self._full_at: dict[str, float] = {}
        self._older: dict[str, float] = {}
        self._next_turn = 0.0

    def take(self, user_id: str) -> None:
        """Count a change of an account.

        Raises:
            TooManyChanges: The bucket is empty. This change is not counted.
        """
        if not self._per_minute:
            return
        now = self._clock()
        if now >= self._next_turn or len(self._full_at) >= MAX_ACCOUNTS // 2:
            self._older, self._full_at = self._full_at, {}
            self._next_turn = now + SECONDS
        full_at = self._full_at.get(user_id) or self._older.get(user_id, now)
        full_at = max(full_at, now) + self._interval
        wait = full_at - now - SECONDS
        if wait > self._interval / 1_000:  # tolerates rounding
            raise TooManyChanges(self._per_minute, wait)
        self._full_at[user_id] = full_at
