"""Tests of what a background task makes of passes that can't be run."""

import asyncio

from cinema_grpc.application.background import BackgroundTask
from cinema_grpc.application.errors import Overloaded


class TestBackgroundTask:
    async def test_a_pass_that_gives_way_to_callers_has_not_failed(self) -> None:
        """It comes again after the usual pause, and health, which looks at the failures, stays as it is."""
        passes = 0
        again = asyncio.Event()

        async def run_pass() -> None:
            nonlocal passes
            passes += 1
            if passes <= 3:
                raise Overloaded(5, 6)
            again.set()

        task = BackgroundTask("tidying", run_pass, 0.001)
        task.start()
        async with asyncio.timeout(30):
            await again.wait()
        assert task.failures == 0
        await task.stop()
