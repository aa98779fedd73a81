"""Throttling of sign-ins and registrations.

Wrong passwords are counted for each pair of account and client network, for each account, and for each client network.
The last two delays don't apply where the account has signed in from that network before: a stranger can't lock a
customer out, neither by guessing from elsewhere nor from behind the same proxy. The delay of an account doesn't apply
to the first attempt from a network either.

Registrations are counted for each client network, failed ones too: a refusal also reveals which names exist.
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
from cinema_grpc.application.admission_control import AdmissionControl
from cinema_grpc.application.errors import BadCredentials, TooManyAttempts, TooManyPasswordChecks, TooManyRegistrations
from cinema_grpc.domain.account import fold
from cinema_grpc.domain.errors import CinemaError
from cinema_grpc.domain.sign_in import KNOWN_FOR, Limit, Record

logger = structlog.get_logger()

A_MOMENT = timedelta(seconds=1)
RENEWED_AFTER = timedelta(days=1)
"""Age of the latest recorded success from which on a new one is recorded."""


@dataclass(frozen=True, slots=True)
class SignInLimits:
    """Limits on wrong passwords and registrations.

    Attributes:
        account_at_network: Wrong passwords for one account from one client network.
        account: Wrong passwords for one account.
        network: Wrong passwords from one client network; None for no limit.
        registrations: Registrations an hour from one client network; 0 for no limit.
    """

    account_at_network: Limit
    account: Limit
    network: Limit | None
    registrations: int = 0


@dataclass(frozen=True, slots=True)
class _Subjects:
    """Keys of the records of a sign-in. They are digests, since a username may be a mistyped password."""

    account_at_network: bytes
    account: bytes
    network: bytes

    @classmethod
    def of(cls, username: str, network: str) -> "_Subjects":
        name = fold(username)
        return cls(_digest("at", name, network), _digest("account", name), _digest("place", network))


class SignInThrottle:
    """Delays sign-ins after too many wrong passwords, and limits registrations."""

    def __init__(self, store: SignInStore, limits: SignInLimits, longest_wait: float = math.inf) -> None:
        """Create the throttle; `longest_wait` bounds the wait for other calls of the same subject, in seconds."""
        self._store = store
        self._limits = limits
        self._attempts, self._registrations = AdmissionControl(longest_wait), AdmissionControl(longest_wait)
        self._locks: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()
        self._waiting: Counter[bytes] = Counter()
        self._checking: Counter[bytes] = Counter()

    @asynccontextmanager
    async def attempt(self, username: str, network: str) -> AsyncIterator[None]:
        """Enclose the check of a password. Counts a BadCredentials that it raises, even if the caller is cancelled.

        Attempts for one account from one network run one at a time. From one network, at most as many run at once as
        may still fail there. So concurrent guesses gain nothing, on each replica.

        Raises:
            TooManyAttempts: The password must not be checked now.
            Overloaded: Too many attempts for this account from this network are waiting.
        """
        subjects = _Subjects.of(username, network)
        async with self._turn(subjects.account_at_network, self._attempts):
            is_recorded = await self._check(subjects)
            self._checking[subjects.network] += 1
            try:
                yield
            except BadCredentials:
                await self._store.add_failure(self._counted(subjects))
                raise
            finally:
                _decrement(self._checking, subjects.network)
            if not is_recorded:
                await self.add_success(username, network)

    async def count_registration(self, network: str) -> None:
        """Count a registration from a client network; "" is the server itself, which has no limit.

        Raises:
            TooManyRegistrations: The limit of this hour is used up; this one is not counted.
            Overloaded: Too many registrations of this network are waiting.
        """
        if not network or not self._limits.registrations:
            return
        subject = _digest("register", network)
        # One at a time, so that one network can't fill the queue to the database.
        async with self._turn(subject, self._registrations):
            wait = await self._store.use(subject, self._limits.registrations)
        if wait:
            raise TooManyRegistrations(wait)

    async def add_success(self, username: str, network: str) -> None:
        """Record that an account has signed in from a client network."""
        subjects = _Subjects.of(username, network)
        try:
            await self._store.add_success(subjects.account_at_network, subjects.account)
        except CinemaError as error:
            # The sign-in itself is committed, so the call must not fail.
            logger.warning("could not record a sign-in; its client network stays unknown", reason=error.reason)

    @asynccontextmanager
    async def _turn(self, subject: bytes, admission: AdmissionControl) -> AsyncIterator[None]:
        """Serialize the calls of one subject.

        Raises:
            Overloaded: Too many are waiting.
        """
        admission.check(self._waiting[subject])
        lock = self._locks.setdefault(subject, asyncio.Lock())
        self._waiting[subject] += 1
        try:
            async with lock:
                begin = time.monotonic()
                yield
                admission.record(time.monotonic() - begin)
        finally:
            _decrement(self._waiting, subject)

    async def _check(self, subjects: _Subjects) -> bool:
        """Check that a password may be checked now; return whether a success is recorded already.

        Raises:
            TooManyAttempts: It may not.
        """
        counted = self._counted(subjects)
        now, records = await self._store.read(counted)
        waits = {subject: records[subject].wait(now, limit) for subject, limit in counted.items()}
        here = records[subjects.account_at_network]
        if here.known:
            del waits[subjects.account]
            waits.pop(subjects.network, None)
        elif not here.failures_at(now, self._limits.account_at_network):
            del waits[subjects.account]
        longest = max(waits.values())
        if longest > timedelta(0):
            raise TooManyAttempts(longest)
        if not here.known and self._is_crowded(subjects.network, records, now):
            raise TooManyPasswordChecks(A_MOMENT)
        is_fresh = here.known and here.expire_time > now + KNOWN_FOR - RENEWED_AFTER
        return is_fresh and not here.failures and not records[subjects.account].failures

    def _counted(self, subjects: _Subjects) -> dict[bytes, Limit]:
        counted = {subjects.account_at_network: self._limits.account_at_network, subjects.account: self._limits.account}
        if self._limits.network is not None:
            counted[subjects.network] = self._limits.network
        return counted

    def _is_crowded(self, network: bytes, records: Mapping[bytes, Record], now: datetime) -> bool:
        """Return whether as many passwords from a network are being checked as may still fail there."""
        limit, others = self._limits.network, self._checking[network]
        return limit is not None and others > 0 and records[network].failures_at(now, limit) + others >= limit.free


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).digest()


def _decrement(counter: Counter[bytes], key: bytes) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
