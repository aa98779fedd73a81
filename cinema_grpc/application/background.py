"""Background tasks: passes that repeat, and survive passes that fail."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from cinema_grpc.application.errors import Overloaded

logger = structlog.get_logger()

LONGEST_PAUSE = 5.0
"""Maximum seconds after a failed pass, by default. During a failover a database is reachable only now and then."""


class BackgroundTask:
    """Runs passes with a pause between them. A failed pass is logged and repeated: soon, then after growing pauses.

    Attributes:
        name: Its name in the log.
        failures: Number of failed passes since the last one that succeeded.
    """

    def __init__(
        self, name: str, run_pass: Callable[[], Awaitable[None]], pause: float, longest_pause: float | None = None
    ) -> None:
        """Create the task.

        Args:
            name: Its name in the log.
            run_pass: Runs one pass.
            pause: Seconds between two passes, give or take 10%, so that replicas don't run in step.
            longest_pause: Maximum seconds after a failed pass; LONGEST_PAUSE if left out.
        """
        self.name = name
        self._run_pass = run_pass
        self._pause = pause
        self._longest_pause = longest_pause
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.failures = 0

    def start(self) -> None:
        """Start running passes. Needs a running event loop."""
        self._task = asyncio.create_task(self._run(), name=self.name)

    def wake(self) -> None:
        """Run the next pass now, or right after the current one. Without effect while passes fail."""
        self._woken.set()

    async def stop(self) -> None:
        """Cancel the task, even during a pass, and wait for its end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            pause = self._pause
            try:
                await self._run_pass()
                self.failures = 0
            except Overloaded:
                pass  # requests have priority, and the next pass finds the same work
            except Exception:
                self.failures += 1
                longest = LONGEST_PAUSE if self._longest_pause is None else self._longest_pause
                pause = min(longest, self._pause * 2 ** min(self.failures, 10))
                logger.exception(
                    "a background task failed", task=self.name, failures=self.failures, next_try_seconds=pause
                )
            await self._rest(pause * random.uniform(0.9, 1.1))  # noqa: S311 (not a secret)

    async def _rest(self, seconds: float) -> None:
        if self.failures:
            await asyncio.sleep(seconds)
            return
        # Not wait_for: before Python 3.12 it drops a cancellation that coincides with the event.
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
