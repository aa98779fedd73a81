"""Password hashes with argon2id, made in threads of their own, and the list of passwords that everyone guesses."""

import asyncio
import math
import os
import secrets
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib import resources
from typing import Any, TypeVar

from passlib.hash import argon2

from cinema_grpc.application.errors import ShuttingDown
from cinema_grpc.application.fair_queue import FairQueue
from cinema_grpc.application.patience import Patience

T = TypeVar("T")

NICENESS = 10
"""How far a thread that hashes gives way to those that serve: to a tenth of their share, where both want a processor.

Each step takes a fifth off; on Linux a thread has a niceness of its own (https://man7.org/linux/man-pages/man7/sched.7.html).
"""


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """A hash to make or check, and the future for its result."""

    work: Callable[[], Any]
    future: "asyncio.Future[Any]"


class Argon2Passwords:
    """Makes and checks argon2id hashes: slowly, so that a stolen one is dear to guess, and few at once.

    A hash takes its memory and about 25 ms of a processor. The threads bound both, and leave the event loop free
    meanwhile. The parameters are those that OWASP recommends.

    Client networks take turns, so a network that asks for many hashes delays only itself. A call is refused with
    Overloaded when its own network's turns would come too late.
    """

    def __init__(
        self,
        memory_kib: int = 19 * 1024,
        rounds: int = 2,
        parallelism: int = 1,
        workers: int = 2,
        longest_wait: float = math.inf,
    ) -> None:
        """Start the pool of threads.

        Args:
            memory_kib: Memory for one hash, in KiB.
            rounds: Passes over that memory.
            parallelism: Lanes of one hash.
            workers: Hashes at once; more wait.
            longest_wait: How long a hash may be expected to wait, in seconds.
        """
        self._workers = workers
        self._running = 0
        self._closed = False
        self._waiting: FairQueue[str, _Job] = FairQueue()
        self._argon2 = argon2.using(type="ID", memory_cost=memory_kib, rounds=rounds, parallelism=parallelism)
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="passwords", initializer=_give_way)
        # The hash of a password that nobody has: checking against it takes as long as checking an account's.
        self._decoy, seconds = _timed(lambda: str(self._argon2.hash(secrets.token_bytes())))
        self._patience = Patience(longest_wait, seconds)

    async def hash(self, password: str, network: str = "") -> str:
        """Hash a password of at most 4,096 bytes in UTF-8.

        Args:
            password: The password.
            network: The client network that asks; "" for the server itself.

        Raises:
            Overloaded: Too many hashes of this network wait already.
        """
        secret = password.encode()
        return await self._in_thread(network, lambda: str(self._argon2.hash(secret)))

    async def verify(self, password: str, password_hash: str | None, network: str = "") -> bool:
        """Check a password of at most 4,096 bytes in UTF-8.

        Without a hash (an unknown user) do the same work and say False. A check that has begun is not broken off:
        whoever is cancelled meanwhile gets the answer all the same, so that no wrong password goes unnoticed.

        Raises:
            ValueError: The stored hash is malformed.
            Overloaded: Too many hashes of this network wait already.
        """
        secret = password.encode()
        checked = self._decoy if password_hash is None else password_hash
        matches = await self._in_thread(network, lambda: self._matches(secret, checked), whole=True)
        return matches and password_hash is not None

    def needs_update(self, password_hash: str) -> bool:
        """Tell whether a hash was made with other parameters than these."""
        return bool(self._argon2.needs_update(password_hash))

    def close(self) -> None:
        """End the threads, after the hashes that are being made; those that wait are dropped."""
        self._closed = True
        waiting, self._waiting = self._waiting, FairQueue()
        for job in waiting:
            if not job.future.done():
                job.future.set_exception(ShuttingDown())
        self._executor.shutdown(cancel_futures=True)

    def _matches(self, secret: bytes, password_hash: str) -> bool:
        try:
            return bool(self._argon2.verify(secret, password_hash))
        except (ValueError, TypeError, NotImplementedError):
            # What passlib raises here depends on the damage, and quotes the hash, which must not reach a log.
            raise ValueError("a stored password hash is malformed, or there was no memory to check it") from None

    async def _in_thread(self, network: str, work: Callable[[], T], *, whole: bool = False) -> T:
        """Hash in a thread, in the turn of a network.

        A caller that is cancelled takes a job that waits out of the queue. A job that has begun goes on, and with
        `whole` the caller stays until it is done.

        Raises:
            Overloaded: Too many jobs of this network wait already.
            ShuttingDown: `close` was called before this job began.
        """
        if self._closed:
            raise ShuttingDown
        self._patience.check((self._running + self._waiting.ahead(network)) // self._workers)
        job = _Job(work, asyncio.get_running_loop().create_future())
        self._waiting.add(network, job)
        self._begin()
        result: T
        try:
            result = await asyncio.shield(job.future)
        except asyncio.CancelledError:
            if self._waiting.discard(network, job) or not whole:
                raise
            result = await job.future
        return result

    def _begin(self) -> None:
        """Give the free threads their next jobs."""
        while self._running < self._workers and self._waiting:
            job = self._waiting.pop()
            done = asyncio.get_running_loop().run_in_executor(self._executor, _timed, job.work)
            self._running += 1
            done.add_done_callback(partial(self._end, job))

    def _end(self, job: _Job, done: "asyncio.Future[tuple[Any, float]]") -> None:
        self._running -= 1
        if done.cancelled():
            if not job.future.done():
                job.future.set_exception(ShuttingDown())
        elif (error := done.exception()) is not None:
            if not job.future.done():
                job.future.set_exception(error)
        else:
            result, seconds = done.result()
            self._patience.took(seconds)
            if not job.future.done():
                job.future.set_result(result)
        self._begin()


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    start = time.monotonic()
    return work(), time.monotonic() - start


def _give_way() -> None:
    """Let those who serve go first, where a thread can give way by itself."""
    if sys.platform == "linux":
        os.nice(NICENESS)


def load_commonest_passwords() -> frozenset[str]:
    """Read the 10,000 commonest passwords that are long enough to be one here, in lower case.

    The file has one a line, the commonest first. They are the first 10,000 of 8 characters or more in the list
    "passwords" in zxcvbn 4.5.0 for Python (https://github.com/dwolfhub/zxcvbn-python, MIT licence, Copyright (c) 2016
    Daniel Wolf), which took it from its original (https://github.com/dropbox/zxcvbn, MIT licence, Copyright (c)
    2012-2016 Dan Wheeler and Dropbox, Inc.): passwords that Mark Burnett published at xato.net, by frequency.
    """
    text = resources.files("cinema_grpc.adapters").joinpath("commonest_passwords.txt").read_text(encoding="ascii")
    return frozenset(text.split())
