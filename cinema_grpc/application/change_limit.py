"""How many changes a minute an account may ask for, so that one customer can't keep the database busy."""

import time
from collections.abc import Callable

from cinema_grpc.application.errors import TooManyChanges

SECONDS = 60.0
MOST_ACCOUNTS = 100_000
"""How many accounts are remembered at most, some 150 bytes each. Beyond it those seen longest ago start afresh."""


class ChangeLimit:
    """A token bucket for each account, in this process: full, it holds a minute's worth of changes.

    An account's bucket is one number, the moment at which it will be full again (the generic cell rate algorithm). One
    that is full need not be remembered, so accounts that have asked for nothing for a minute are forgotten.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with full buckets.

        Args:
            per_minute: How many changes an account may ask for in a minute; 0 for no limit.
            clock: Returns seconds that never go back.
        """
        self._per_minute = per_minute
        self._interval = SECONDS / per_minute if per_minute else 0.0
        self._clock = clock
        self._full_at: dict[str, float] = {}
        self._older: dict[str, float] = {}
        self._next_turn = 0.0

    def take(self, user_id: str) -> None:
        """Count a change that an account asks for.

        Raises:
            TooManyChanges: Its bucket is empty. This change is not counted.
        """
        if not self._per_minute:
            return
        now = self._clock()
        if now >= self._next_turn or len(self._full_at) >= MOST_ACCOUNTS // 2:
            self._older, self._full_at = self._full_at, {}
            self._next_turn = now + SECONDS
        full_at = self._full_at.get(user_id) or self._older.get(user_id, now)
        full_at = max(full_at, now) + self._interval
        wait = full_at - now - SECONDS
        if wait > self._interval / 1_000:  # more than rounding leaves
            raise TooManyChanges(self._per_minute, wait)
        self._full_at[user_id] = full_at
