"""Password hashes with argon2id, made in threads of their own, and the list of the most common passwords."""

import asyncio
import math
import os
import secrets
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from importlib import resources
from typing import Any, TypeVar

from passlib.hash import argon2

from cinema_grpc.application.admission_control import AdmissionControl
from cinema_grpc.application.errors import ShuttingDown
from cinema_grpc.application.fair_queue import FairQueue

T = TypeVar("T")

NICENESS = 10
"""Niceness of the hashing threads, which gives the event loop ten times their share of a busy processor.

Linux has a niceness for each thread (https://man7.org/linux/man-pages/man7/sched.7.html).
"""


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    work: Callable[[], Any]
    future: "asyncio.Future[Any]"


class Argon2Passwords:
    """Makes and checks argon2id hashes with the parameters that OWASP recommends.

    A hash takes 19 MiB and about 25 ms of a processor, so that a stolen one is expensive to guess. The threads bound
    both, and keep the event loop free.

    Client networks take turns, so a network that asks for many hashes delays only itself. A call is refused with
    Overloaded if the turn of its own network would come too late.
    """

    def __init__(
        self, memory_kib: int = 19 * 1024, rounds: int = 2, workers: int = 2, longest_wait: float = math.inf
    ) -> None:
        """Start the threads.

        Args:
            memory_kib: Memory of one hash, in KiB.
            rounds: Passes over that memory.
            workers: Number of threads, so of concurrent hashes.
            longest_wait: Maximum expected wait for a hash, in seconds.
        """
        self._workers = workers
        self._running = 0
        self._closed = False
        self._waiting: FairQueue[str, _Job] = FairQueue()
        self._argon2 = argon2.using(type="ID", memory_cost=memory_kib, rounds=rounds, parallelism=1)
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="passwords", initializer=_lower_priority)
        # Checked for unknown users, so that they take as long as known ones.
        self._decoy, seconds = _timed(lambda: str(self._argon2.hash(secrets.token_bytes())))
        self._admission = AdmissionControl(longest_wait, seconds)

    async def hash(self, password: str, network: str = "") -> str:
        """Return the hash of a password of at most 4,096 bytes in UTF-8.

        Args:
            password: The password.
            network: The client network that asks; "" for the server itself.

        Raises:
            Overloaded: Too many hashes of this network are waiting.
            ShuttingDown: The service is closed.
        """
        secret = password.encode()
        return await self._in_thread(network, lambda: str(self._argon2.hash(secret)))

    async def verify(self, password: str, password_hash: str | None, network: str = "") -> bool:
        """Return whether a password of at most 4,096 bytes in UTF-8 matches.

        Without a hash (an unknown user), do the same work and return False. A check that has begun completes even if
        the caller is cancelled, and the cancellation is dropped, so that no wrong password escapes the count.

        Raises:
            ValueError: The stored hash is malformed.
            Overloaded: Too many hashes of this network are waiting.
            ShuttingDown: The service is closed.
        """
        secret = password.encode()
        checked = self._decoy if password_hash is None else password_hash
        matches = await self._in_thread(network, lambda: self._matches(secret, checked), shielded=True)
        return matches and password_hash is not None

    def needs_update(self, password_hash: str) -> bool:
        """Return whether a hash was made with other parameters."""
        return bool(self._argon2.needs_update(password_hash))

    def close(self) -> None:
        """Fail the waiting jobs, and stop the threads after their current jobs."""
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
            # passlib's error depends on the damage and quotes the hash, which must not get into a log.
            raise ValueError("a stored password hash is malformed, or there was no memory to check it") from None

    async def _in_thread(self, network: str, work: Callable[[], T], *, shielded: bool = False) -> T:
        """Do work in a thread, when the network has its turn.

        If the caller is cancelled, a waiting job is dropped. One that has begun completes; with `shielded` the caller
        waits for it and gets the result.

        Raises:
            Overloaded: Too many jobs of this network are waiting.
            ShuttingDown: `close` was called before the job began.
        """
        if self._closed:
            raise ShuttingDown
        self._admission.check((self._running + self._waiting.ahead(network)) // self._workers)
        job = _Job(work, asyncio.get_running_loop().create_future())
        self._waiting.add(network, job)
        self._start_jobs()
        result: T
        try:
            await asyncio.wait([job.future])
            result = job.future.result()
        except asyncio.CancelledError:
            if self._waiting.discard(network, job) or not shielded:
                raise
            result = await job.future
        return result

    def _start_jobs(self) -> None:
        while self._running < self._workers and self._waiting:
            job = self._waiting.pop()
            try:
                done = asyncio.get_running_loop().run_in_executor(self._executor, _timed, job.work)
            except RuntimeError as error:  # such as too many threads
                job.future.set_exception(error)
                continue
            self._running += 1
            done.add_done_callback(partial(self._end, job))

    def _end(self, job: _Job, done: "asyncio.Future[tuple[Any, float]]") -> None:
        self._running -= 1
        error = ShuttingDown() if done.cancelled() else done.exception()
        if error is None:
            self._admission.record(done.result()[1])
        if job.future.done():
            pass  # the caller was cancelled
        elif error is None:
            job.future.set_result(done.result()[0])
        else:
            job.future.set_exception(error)
        self._start_jobs()


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    start = time.monotonic()
    return work(), time.monotonic() - start


def _lower_priority() -> None:
    if sys.platform == "linux":
        os.nice(NICENESS)


@cache
def load_commonest_passwords() -> frozenset[str]:
    """Return the 10,000 most common passwords of 8 characters or more, in lower case.

    The file has one a line, the most common first. They are the first 10,000 of that length in the list
    "passwords" in zxcvbn 4.5.0 for Python (https://github.com/dwolfhub/zxcvbn-python, MIT licence, Copyright (c) 2016
    Daniel Wolf), which took it from its original (https://github.com/dropbox/zxcvbn, MIT licence, Copyright (c)
    2012-2016 Dan Wheeler and Dropbox, Inc.): passwords that Mark Burnett published at xato.net, by frequency.
    """
    text = resources.files("cinema_grpc.adapters").joinpath("commonest_passwords.txt").read_text(encoding="ascii")
    return frozenset(text.split())
