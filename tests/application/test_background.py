"""A background task survives failed passes, can be woken, and stops."""

import asyncio

import pytest

from cinema_grpc.application import background
from cinema_grpc.application.background import BackgroundTask
from cinema_grpc.application.errors import Overloaded, StorageUnavailable


async def test_an_overloaded_pass_is_not_a_failure() -> None:
    """The next pass follows after the normal pause, and health, which depends on failures, does not change."""
    passes = 0
    again = asyncio.Event()

    async def run_pass() -> None:
        nonlocal passes
        passes += 1
        if passes <= 3:
            raise Overloaded(5, 6)
        again.set()

    task = BackgroundTask("overloaded", run_pass, 0.001)
    task.start()
    async with asyncio.timeout(30):
        await again.wait()
    assert task.failures == 0
    await task.stop()


async def test_it_survives_many_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause between passes is bounded, after thousands of failures too. Waking a failing task has no effect."""
    monkeypatch.setattr(background, "LONGEST_PAUSE", 0.0)
    tried = 0
    enough = asyncio.Event()

    async def run_pass() -> None:
        nonlocal tried
        tried += 1
        if tried == 3_000:
            enough.set()
        if not enough.is_set():
            raise StorageUnavailable

    monkeypatch.setattr(background.logger, "exception", lambda *_arguments, **_named: None)
    task = BackgroundTask("doomed", run_pass, 1.0)
    task.start()
    task.wake()
    await asyncio.wait_for(enough.wait(), 30)
    await task.stop()
    assert tried == 3_000


async def test_waking_runs_the_next_pass_at_once() -> None:
    passes: asyncio.Queue[None] = asyncio.Queue()
    task = BackgroundTask("waiting", lambda: passes.put(None), 3600)
    task.start()
    await asyncio.wait_for(passes.get(), 30)
    task.wake()
    await asyncio.wait_for(passes.get(), 30)
    await task.stop()
    await BackgroundTask("never started", lambda: passes.put(None), 1).stop()


async def test_a_stop_together_with_a_wake_is_not_lost() -> None:
    """Such as when a server stops right after a call that owes a refund."""
    passes: asyncio.Queue[None] = asyncio.Queue()
    task = BackgroundTask("woken and stopped", lambda: passes.put(None), 3600)
    task.start()
    await passes.get()
    await asyncio.sleep(0)  # it waits for the next pass
    task.wake()
    await asyncio.wait_for(task.stop(), 30)
