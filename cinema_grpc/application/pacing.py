"""Pacing of streams: those that wait are woken at a bounded rate, a few at once, so that they leave time for calls."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import Context

AT_ONCE = 40
"""How many are woken in one turn of the event loop."""


class WakePace:
    """Wakes streams in the order in which they come, the first ones at once."""

    def __init__(self, a_second: int) -> None:
        """Set up with the greatest number that are woken in a second."""
        self._pause = AT_ONCE / a_second
        self._ready: deque[asyncio.Future[None]] = deque()
        self._pausing = False

    def wake(self, waiting: Iterable[asyncio.Future[None]]) -> None:
        """Wake streams by setting the futures that they wait for, now or soon."""
        self._ready.extend(waiting)
        if not self._pausing:
            self._wake_some()

    def _wake_some(self) -> None:
        for _ in range(min(AT_ONCE, len(self._ready))):
            future = self._ready.popleft()
            if not future.done():  # else its client has hung up
                future.set_result(None)
        self._pausing = bool(self._ready)
        if self._pausing:
            call_later(self._pause, self._wake_some)


def call_later(delay: float, function: Callable[..., None], *args: object) -> None:
    """Call a function in `delay` seconds, in an empty context: its log lines do not belong to the current call."""
    asyncio.get_running_loop().call_later(delay, function, *args, context=Context())
