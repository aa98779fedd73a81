"""A task in the background that runs one pass after another, and outlives any pass that fails."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from cinema_grpc.application.errors import Overloaded

logger = structlog.get_logger()

LONGEST_PAUSE = 5.0
"""Seconds between two passes at most, however many have failed. A database that is away again and again, as when it
changes hands, must not be missed each time that it is there."""


class BackgroundTask:
    """Runs passes, with a pause between them; a failing one is logged, counted, backed off and tried again.

    Attributes:
        failures: How many passes have failed since the last one that did not.
    """

    def __init__(self, name: str, run_pass: Callable[[], Awaitable[None]], pause: float) -> None:
        """Prepare the task.

        Args:
            name: What the log calls it.
            run_pass: One pass of the work.
            pause: Seconds between two passes; some tenth more or less, so that many replicas do not march in step.
        """
        self._name = name
        self._run_pass = run_pass
        self._pause = pause
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.failures = 0

    def start(self) -> None:
        """Start running passes; needs a running event loop."""
        self._task = asyncio.create_task(self._run(), name=self._name)

    def wake(self) -> None:
        """Run the next pass now, or right after the one that is running; without effect while passes fail."""
        self._woken.set()

    async def stop(self) -> None:
        """End the task, in the middle of a pass if need be, and wait until it has ended."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            try:
                await self._run_pass()
                self.failures = 0
                pause = self._pause
            except Overloaded:
                pause = self._pause  # callers go first, and the next pass finds the same work
            except Exception:
                self.failures += 1
                pause = min(LONGEST_PAUSE, self._pause * 2 ** min(self.failures, 10))
                logger.exception(
                    "a background task failed", task=self._name, failures=self.failures, next_try_seconds=pause
                )
            await self._rest(pause * random.uniform(0.9, 1.1))  # noqa: S311 (no secret)

    async def _rest(self, seconds: float) -> None:
        """Wait until the next pass; only a task that is well may be woken before."""
        if self.failures:
            await asyncio.sleep(seconds)
            return
        # Not wait_for, which before Python 3.12 forgets that it was cancelled if it is woken in the same moment.
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
