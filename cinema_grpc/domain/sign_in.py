"""Sign-ins that failed, and uses that are limited: how many cost nothing, and how long to wait after more of them."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

HOUR = timedelta(hours=1)
MOST_DOUBLINGS = 16
KNOWN_FOR = timedelta(days=30)
"""How long a place is remembered from which somebody has signed in."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How many failures in an hour cost nothing; after more of them the delay doubles with each, up to the longest.

    Attributes:
        free: At least 1.
        longest_delay: What the delay grows to.
    """

    free: int
    longest_delay: timedelta


@dataclass(frozen=True, slots=True)
class Record:
    """What is remembered of the sign-ins to an account, or from a place, or to the one from the other.

    Attributes:
        failures: How many failed, less those that were forgotten by the time of the latest.
        latest_time: When the latest failed, or succeeded.
        known: Whether one of them has succeeded, which is told of an account at a place alone.
        expire_time: From when on nothing of this counts.
    """

    failures: int
    latest_time: datetime
    known: bool
    expire_time: datetime

    def failures_at(self, now: datetime, limit: Limit) -> int:
        """Tell how many failures still count: they are forgotten one by one, as many in an hour as cost nothing."""
        forgotten = (now - self.latest_time) // (HOUR / limit.free)
        return max(0, self.failures - max(0, forgotten))

    def after_failure(self, now: datetime, limit: Limit) -> "Record":
        """Add a failure."""
        failures = self.failures_at(now, limit) + 1
        expire_time = now + math.ceil(failures / limit.free) * HOUR
        if self.known:
            expire_time = max(expire_time, self.expire_time)
        return Record(failures, now, self.known, expire_time)

    def wait(self, now: datetime, limit: Limit) -> timedelta:
        """Tell how long to wait with the next sign-in; zero or less means not at all.

        It is never longer than the longest delay. A wait beyond it means that the clock was set back since the latest
        failure, and would last as long as that; the next failure is recorded at the present time.
        """
        beyond = self.failures_at(now, limit) - limit.free
        if beyond < 0:
            return timedelta(0)
        delay = min(timedelta(seconds=2 ** min(beyond, MOST_DOUBLINGS)), limit.longest_delay)
        wait = self.latest_time + delay - now
        return wait if wait <= limit.longest_delay else timedelta(0)


def wait_for_use(record: Record, now: datetime, most: int) -> timedelta:
    """Return how long to wait until a limit of uses an hour allows the next one; zero if it does now.

    The hour begins with the first use that counts, and `failures` are the uses in it. A record whose hour ends more
    than an hour from now is from before the clock was set back, and does not count.
    """
    left = record.expire_time - now
    return left if record.failures >= most and timedelta(0) < left <= HOUR else timedelta(0)


def after_use(record: Record, now: datetime) -> Record:
    """Return the record with one more use in its hour, or with the first one of a new hour."""
    if not timedelta(0) < record.expire_time - now <= HOUR:
        return Record(1, now, known=False, expire_time=now + HOUR)
    return Record(record.failures + 1, now, known=False, expire_time=record.expire_time)


def unseen(now: datetime) -> Record:
    """Give the record of what nothing is remembered of."""
    return Record(0, now, known=False, expire_time=now)


def after_success(now: datetime) -> Record:
    """Give the record of an account at a place from which its owner has just signed in."""
    return Record(0, now, known=True, expire_time=now + KNOWN_FOR)
