"""Throttling of sign-ins, so that nobody guesses passwords at leisure, and nobody is locked out by others who do.

Wrong passwords are counted in three ways: for an account at a place, for an account wherever they come from, and for a
place whatever account they are for. The delays of the latter two spare whoever has signed in to the account from that
place before: a stranger can make a customer wait neither by guessing from elsewhere, nor from behind the same proxy at
other accounts. And the delay of an account as a whole spares whoever tries for the first time from a place.

Registers are counted for each client network, whatever comes of them, since also a refusal says which names exist.
"""

import asyncio
import hashlib
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from weakref import WeakValueDictionary

import structlog

from cinema_grpc.application.account_ports import SignInStore
from cinema_grpc.application.errors import BadCredentials, TooManyAttempts, TooManyPasswordChecks, TooManyRegistrations
from cinema_grpc.application.patience import Patience
from cinema_grpc.domain.account import fold
from cinema_grpc.domain.errors import CinemaError
from cinema_grpc.domain.sign_in import KNOWN_FOR, Limit, Record

logger = structlog.get_logger()

A_MOMENT = timedelta(seconds=1)
RENEWED_AFTER = timedelta(days=1)
"""How old the latest success at a place has to be before a new one is written down."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many wrong passwords in an hour cost no wait.

    Attributes:
        at_place: For an account, from one place.
        of_account: For an account, from all places.
        of_place: From one place, for all accounts; None for no limit.
        registrations: How many Registers an hour one place may make; 0 for no limit.
    """

    at_place: Limit
    of_account: Limit
    of_place: Limit | None
    registrations: int = 0


@dataclass(frozen=True, slots=True)
class _Subjects:
    """What the records of a sign-in are kept under: digests, as a name may be a password typed into the wrong field."""

    at_place: bytes
    of_account: bytes
    of_place: bytes

    @classmethod
    def of(cls, username: str, place: str) -> "_Subjects":
        name = fold(username)
        return cls(_digest("at", name, place), _digest("account", name), _digest("place", place))


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).digest()


class SignInThrottle:
    """Has those wait who have tried too many wrong passwords, or Registers."""

    def __init__(self, store: SignInStore, limits: Limits, longest_wait: float = math.inf) -> None:
        """Set up.

        Args:
            store: Keeps the records.
            limits: How many wrong passwords, and Registers, cost no wait.
            longest_wait: How long a call may wait for others of the same subject, in seconds.
        """
        self._store = store
        self._limits = limits
        self._attempts, self._registrations = Patience(longest_wait), Patience(longest_wait)
        self._turns: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()
        self._waiting: Counter[bytes] = Counter()
        self._under_way: Counter[bytes] = Counter()

    @asynccontextmanager
    async def attempt(self, username: str, place: str) -> AsyncIterator[None]:
        """Enclose the check of a password; a BadCredentials that it raises is counted, though the caller hangs up.

        Those for one account from one place come one after another, and no more come at once from one place than may
        still fail there, so that many at once gain nothing. With replicas that holds on each of them.

        Raises:
            TooManyAttempts: The password is not to be looked at now.
            Overloaded: Too many wait for their turn already.
        """
        subjects = _Subjects.of(username, place)
        async with self._turn(subjects.at_place, self._attempts):
            is_noted = await self._check(subjects)
            self._under_way[subjects.of_place] += 1
            try:
                yield
            except BadCredentials:
                await self._store.add_failure(self._counted(subjects))
                raise
            finally:
                self._under_way[subjects.of_place] -= 1
                if not self._under_way[subjects.of_place]:
                    del self._under_way[subjects.of_place]
            if not is_noted:
                await self._remember(subjects)

    async def count_registration(self, place: str) -> None:
        """Count a Register of a place; "" is the server itself, which has no limit.

        Raises:
            TooManyRegistrations: There were too many within the hour; this one is not counted.
            Overloaded: Too many wait for their turn already.
        """
        if not place or not self._limits.registrations:
            return
        subject = _digest("register", place)
        # One at a time for each place: many in flight must not fill the queue to the database.
        async with self._turn(subject, self._registrations):
            wait = await self._store.use(subject, self._limits.registrations)
        if wait:
            raise TooManyRegistrations(wait)

    @asynccontextmanager
    async def _turn(self, subject: bytes, patience: Patience) -> AsyncIterator[None]:
        """Let calls of one subject come one after another.

        Raises:
            Overloaded: Too many wait already.
        """
        patience.check(self._waiting[subject])
        turn = self._turns.setdefault(subject, asyncio.Lock())
        self._waiting[subject] += 1
        try:
            async with turn:
                begin = time.monotonic()
                yield
                patience.took(time.monotonic() - begin)
        finally:
            self._waiting[subject] -= 1
            if not self._waiting[subject]:
                del self._waiting[subject]

    async def note_success(self, username: str, place: str) -> None:
        """Remember that whoever has an account was here."""
        await self._remember(_Subjects.of(username, place))

    async def _remember(self, subjects: _Subjects) -> None:
        """Remember a success, and forget the failures before it, if that can be done now."""
        try:
            await self._store.add_success(subjects.at_place, subjects.of_account)
        except CinemaError as error:
            # What the password was for is done and written down: nobody may be told otherwise.
            logger.warning("a sign-in could not be remembered; its place is still unknown", reason=error.reason)

    def _counted(self, subjects: _Subjects) -> dict[bytes, Limit]:
        counted = {subjects.at_place: self._limits.at_place, subjects.of_account: self._limits.of_account}
        if self._limits.of_place is not None:
            counted[subjects.of_place] = self._limits.of_place
        return counted

    async def _check(self, subjects: _Subjects) -> bool:
        """Check that an attempt may be made now; tell whether a success would be nothing new.

        Raises:
            TooManyAttempts.
        """
        counted = self._counted(subjects)
        now, records = await self._store.read(counted)
        waits = {subject: records[subject].wait(now, limit) for subject, limit in counted.items()}
        here = records[subjects.at_place]
        if here.known:
            del waits[subjects.of_account]
            waits.pop(subjects.of_place, None)
        elif not here.failures_at(now, self._limits.at_place):
            del waits[subjects.of_account]
        longest = max(waits.values())
        if longest > timedelta(0):
            raise TooManyAttempts(longest)
        if not here.known and self._is_crowded(subjects.of_place, records, now):
            raise TooManyPasswordChecks(A_MOMENT)
        return not here.failures and not records[subjects.of_account].failures and _is_fresh(here, now)

    def _is_crowded(self, place: bytes, records: Mapping[bytes, Record], now: datetime) -> bool:
        """Tell whether as many passwords from a place are being looked at as may still be wrong there."""
        limit, others = self._limits.of_place, self._under_way[place]
        return limit is not None and others > 0 and records[place].failures_at(now, limit) + others >= limit.free


def _is_fresh(here: Record, now: datetime) -> bool:
    return here.known and here.expire_time > now + KNOWN_FOR - RENEWED_AFTER
