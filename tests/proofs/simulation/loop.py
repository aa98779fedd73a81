"""An event loop on a virtual clock: ready handles run in random order, unless their process has died."""

import asyncio
import heapq
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from itertools import count
from typing import Any, TypeVar

T = TypeVar("T")

MAX_STEPS = 200_000
"""After how many steps a run counts as endless."""


class Process:
    """A process that can die: none of its tasks runs after that."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False


OWNER: ContextVar[Process | None] = ContextVar("OWNER", default=None)
"""The process that a task belongs to; tasks that it starts belong to it as well."""


class SimulatedLoop(asyncio.AbstractEventLoop):
    """Runs tasks and timers, and nothing else: there is no input and no output.

    It also stands in for the module `time`, for code that measures how long something took.

    Attributes:
        before_step: Called before each step of a process; it may kill that.
        steps: How many steps have run.
        faults: Errors of tasks that were never retrieved.
    """

    def __init__(self, chance: random.Random) -> None:
        """Start at time 0."""
        self._chance = chance
        self._time = 0.0
        self._ready: list[tuple[asyncio.Handle, Process | None]] = []
        self._timers: list[tuple[float, int, asyncio.TimerHandle, Process | None]] = []
        self._numbers = count()
        self._running = False
        self._tasks: list[asyncio.Task[Any]] = []  # keeps them from being collected at random moments of a run
        self.before_step: Callable[[Process], None] = lambda _process: None
        self.steps = 0
        self.faults: list[dict[str, Any]] = []

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, with all that it starts.

        Raises:
            TimeoutError: It never ends, or waits for what never comes.
        """
        asyncio.events._set_running_loop(self)
        self._running = True
        try:
            task: asyncio.Task[T] = self.create_task(main)
            while not task.done():
                self._step()
            return task.result()
        finally:
            for each in self._tasks:
                if not each.done():
                    with suppress(RuntimeError):  # some await something as they are closed
                        each.get_coro().close()
            self._running = False
            asyncio.events._set_running_loop(None)

    def _step(self) -> None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise TimeoutError(f"no end after {MAX_STEPS} steps")
        if not self._ready:
            self._pass_time()
        place = self._chance.randrange(len(self._ready))
        self._ready[place], self._ready[-1] = self._ready[-1], self._ready[place]
        handle, process = self._ready.pop()
        if handle.cancelled():
            return
        if process is not None:
            if not process.dead:
                self.before_step(process)
            if process.dead:
                return
        handle._run()

    def _pass_time(self) -> None:
        """Go on to the next timer; timers that are due at the same time become ready together."""
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        if not self._timers:
            raise TimeoutError("everything waits for something that never comes")
        self._time = self._timers[0][0]
        while self._timers and self._timers[0][0] <= self._time:
            _, _, handle, process = heapq.heappop(self._timers)
            self._ready.append((handle, process))

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._time

    def monotonic(self) -> float:
        """Return the virtual time in seconds."""
        return self._time

    def call_soon(  # type: ignore[override] # without its overloads
        self, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Schedule a call."""
        context = context if context is not None else copy_context()
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append((handle, context.get(OWNER)))
        return handle

    def call_at(  # type: ignore[override] # as above
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Schedule a call at a time."""
        context = context if context is not None else copy_context()
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (max(when, self._time), next(self._numbers), handle, context.get(OWNER)))
        return handle

    def call_later(  # type: ignore[override] # as above
        self, delay: float, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Schedule a call after a delay."""
        return self.call_at(self._time + delay, callback, *args, context=context)

    def create_future(self) -> "asyncio.Future[Any]":
        """Return a future."""
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> "asyncio.Task[Any]":
        """Start a task."""
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        task._log_destroy_pending = False  # type: ignore[attr-defined] # those of dead processes never end
        self._tasks.append(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep an error that was never retrieved."""
        self.faults.append(context)

    def get_debug(self) -> bool:
        """Return False."""
        return False

    def is_running(self) -> bool:
        """Return whether it runs."""
        return self._running

    def is_closed(self) -> bool:
        """Return False: there is nothing to close."""
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Leave a cancelled timer in the heap until its time."""
