"""Request batching: concurrent requests are served together, by a few tasks."""

import asyncio
import itertools
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Any, Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


class Batcher(Generic[Q, A]):
    """Coalesces concurrent requests into batches.

    A request whose caller has gone is dropped, unless its batch has begun.

    Attributes:
        tasks: The tasks that serve batches now.
    """

    def __init__(
        self,
        serve: Callable[[list[Q]], Awaitable[Sequence[A | Exception]]],
        workers: int = 1,
        batch_size: int = sys.maxsize,
    ) -> None:
        """Set up.

        Args:
            serve: Returns an answer for each request of a batch, in the same order. What it raises goes to all of them.
            workers: How many batches are served at once, at most.
            batch_size: How many requests a batch has, at most.
        """
        self._serve = serve
        self._workers = workers
        self._batch_size = batch_size
        self._waiting: deque[tuple[Q, asyncio.Future[A]]] = deque()
        self._batch_start = 0.0
        self.tasks: set[asyncio.Task[Any]] = set()

    @property
    def waiting(self) -> int:
        """How many requests wait for a batch."""
        return len(self._waiting)

    def rounds_ahead(self) -> tuple[int, float]:
        """Return how many rounds a new request would wait for, and for how many seconds the present one has run."""
        if len(self.tasks) < self._workers:
            return 0, 0.0
        rounds = 1 + len(self._waiting) // (self._workers * self._batch_size)
        return rounds, time.monotonic() - self._batch_start

    async def ask(self, request: Q) -> A:
        """Have a request served, and return its answer."""
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        if len(self.tasks) < self._workers:
            if not self.tasks:
                self._batch_start = time.monotonic()
            # The task serves other callers too, so it takes over no context of this one, such as for log lines.
            self.tasks.add(asyncio.create_task(self._work(), name="batcher", context=Context()))
        return await future

    async def _work(self) -> None:
        try:
            await asyncio.sleep(0)  # other callers that are ready join the batch
            while batch := list(itertools.islice(iter(self._next, None), self._batch_size)):
                self._batch_start = time.monotonic()
                await self._serve_batch(batch)
        finally:
            self.tasks.discard(asyncio.current_task())
            if not self.tasks:  # if this task was cancelled, as the database is closed
                while waiting := self._next():
                    waiting[1].cancel()

    async def _serve_batch(self, batch: "list[tuple[Q, asyncio.Future[A]]]") -> None:
        answers: Sequence[A | Exception]
        try:
            answers = await self._serve([request for request, _ in batch])
        except Exception as error:  # noqa: BLE001 (it is the callers')
            answers = [error] * len(batch)
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)

    def _next(self) -> "tuple[Q, asyncio.Future[A]] | None":
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting[1].done():
                return waiting
        return None
