"""Delays after failed sign-ins, and limits on uses an hour."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

HOUR = timedelta(hours=1)
MAX_DOUBLINGS = 16
KNOWN_FOR = timedelta(days=30)
"""How long a client network stays known to an account after a sign-in."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit on failures: beyond the free ones within an hour, each failure doubles the delay.

    Attributes:
        free: Failures an hour without a delay; at least 1.
        longest_delay: Upper bound of the delay.
    """

    free: int
    longest_delay: timedelta


@dataclass(frozen=True, slots=True)
class Record:
    """The sign-ins to an account, from a client network, or to an account from a client network.

    Attributes:
        failures: Number of failures that counted at the latest one.
        latest_time: Time of the latest failure or success.
        known: Whether the account has signed in from the client network; false for the other two kinds.
        expire_time: When the record stops counting.
    """

    failures: int
    latest_time: datetime
    known: bool
    expire_time: datetime

    def failures_at(self, now: datetime, limit: Limit) -> int:
        """Return how many failures still count. They expire one by one, as many an hour as are free."""
        expired = (now - self.latest_time) // (HOUR / limit.free)
        return max(0, self.failures - max(0, expired))

    def after_failure(self, now: datetime, limit: Limit) -> "Record":
        """Return the record with one more failure."""
        failures = self.failures_at(now, limit) + 1
        expire_time = now + math.ceil(failures / limit.free) * HOUR
        if self.known:
            expire_time = max(expire_time, self.expire_time)
        return Record(failures, now, self.known, expire_time)

    def wait(self, now: datetime, limit: Limit) -> timedelta:
        """Return the wait until the next sign-in, at most the longest delay; zero or less means none.

        A longer wait would mean that the clock was set back since the latest failure, so it doesn't apply.
        """
        beyond = self.failures_at(now, limit) - limit.free
        if beyond < 0:
            return timedelta(0)
        delay = min(timedelta(seconds=2 ** min(beyond, MAX_DOUBLINGS)), limit.longest_delay)
        wait = self.latest_time + delay - now
        return wait if wait <= limit.longest_delay else timedelta(0)


def wait_for_use(record: Record, now: datetime, most: int) -> timedelta:
    """Return the wait until a limit of `most` uses an hour allows the next one; zero if it does now.

    The hour begins with its first use, and `failures` counts the uses in it. A record that expires in more than an hour
    is from before the clock was set back, so it doesn't count.
    """
    left = record.expire_time - now
    return left if record.failures >= most and timedelta(0) < left <= HOUR else timedelta(0)


def after_use(record: Record, now: datetime) -> Record:
    """Return the record with one more use in its hour, or with the first use of a new hour."""
    if not timedelta(0) < record.expire_time - now <= HOUR:
        return Record(1, now, known=False, expire_time=now + HOUR)
    return Record(record.failures + 1, now, known=False, expire_time=record.expire_time)


def unseen(now: datetime) -> Record:
    """Return the record of a subject without any."""
    return Record(0, now, known=False, expire_time=now)


def after_success(now: datetime) -> Record:
    """Return the record of an account and a client network after a sign-in."""
    return Record(0, now, known=True, expire_time=now + KNOWN_FOR)
