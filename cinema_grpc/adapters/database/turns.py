"""Turns: a limit on how many run at once, with admission control for those that wait."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cinema_grpc.application.admission_control import AdmissionControl


class Turns:
    """Limits how many run at once; the others wait, first come, first served.

    Attributes:
        admission: Estimates waits by how long turns have taken.
    """

    def __init__(self, places: int, longest_wait: float) -> None:
        """Set up.

        Args:
            places: How many may run at once.
            longest_wait: How long a wait may be expected to take, in seconds.
        """
        self.admission = AdmissionControl(longest_wait)
        self._places = places
        self._semaphore = asyncio.Semaphore(places)
        self._taken = 0

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return max(self._taken - self._places, 0)

    @asynccontextmanager
    async def take(self, *, must_run: bool = False, timed: bool = True) -> AsyncIterator[None]:
        """Wait for a turn, and keep it for the body.

        Args:
            must_run: Wait however long it takes.
            timed: Whether the turn counts for the estimate of waits.

        Raises:
            Overloaded: It would have to wait too long, and need not run.
        """
        if not must_run:
            self.admission.check(self._taken // self._places)
        self._taken += 1
        try:
            async with self._semaphore:
                start = time.monotonic()
                try:
                    yield
                finally:
                    if timed:
                        self.admission.record(time.monotonic() - start)
        finally:
            self._taken -= 1
