"""The box office: one worker that carries out the commands on showtimes, many in each transaction.

While a transaction is being committed, commands queue; all that wait then form the next batch. So an idle box office
answers at once, and in a rush each transaction carries more. `queue` defines the order for a caller with many commands
at once.

Other processes may sell seats of the same showtimes. A showtime that one of them has locked is contended: its commands
go back to the front of the queue. After a few tries, or if nothing else is to be done, the showtime is served by a task
of its own, whose transactions wait for the lock. So a process that is slow, or frozen, delays no other showtimes. For
an auditorium, which a showtime that is moved needs too, nothing waits here: the move fails, and its caller tries again.

The database decides. A cached showtime is used only if its version is an ancestor of the locked one. Callers get their
answers after the commit; so do those that are refused, since the refusal may rest on seats that the batch itself took.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeVar

import structlog

from cinema_grpc.application.admission_control import AdmissionControl
from cinema_grpc.application.box_office.batch_runner import BatchRunner
from cinema_grpc.application.box_office.cache import ShowtimeCache
from cinema_grpc.application.box_office.command import Batch, Command, Failed, Priority, QueuedCommand
from cinema_grpc.application.box_office.counts import BoxOfficeCounts
from cinema_grpc.application.box_office.queue import CommandQueue
from cinema_grpc.application.box_office.store import BoxOfficeStore, ShowtimeUpdate, StorageContention
from cinema_grpc.application.errors import CommitOutcomeUnknown, Overloaded, ShuttingDown, StorageUnavailable

logger = structlog.get_logger()

A = TypeVar("A")

LARGEST_BATCH = 256
"""How many commands one transaction carries at most."""
LOW_PRIORITY_IN_BATCH = 2
"""How many of them may have low priority."""
TRIES_IN_TURN = 3
"""How often a contended showtime is tried in turn with others before it gets a task of its own."""
SECONDS_BETWEEN_TRIES = 0.005
"""The pause when all that is to be done is contended, and no more tasks may wait for locks."""


class BatchTracer(Protocol):
    """Traces the wait of commands, and the batches that carry them out. Without one, tracing costs a check."""

    def current(self) -> object:
        """Return the trace of the current call; None if it is not traced."""
        ...

    def batch(self, batch: Batch) -> AbstractContextManager[object]:
        """Record how long commands have waited, and the work on their batch, which is the body."""
        ...

    def step(self, name: str) -> AbstractContextManager[object]:
        """Record a step of a batch's transaction, which is the body."""
        ...


class BoxOffice:
    """Carries out commands.

    Attributes:
        counts: What it has done so far.
    """

    def __init__(
        self,
        store: BoxOfficeStore,
        cache: ShowtimeCache | None = None,
        waiting_tasks: int = 0,
        longest_wait: float = math.inf,
        tracer: BatchTracer | None = None,
    ) -> None:
        """Set up; `start` opens it.

        Args:
            store: Stores bookings.
            cache: Keeps committed showtimes.
            waiting_tasks: How many contended showtimes may be waited for at once.
            longest_wait: How long a command may be expected to wait, in seconds.
            tracer: Traces waits and batches, if that is wanted.
        """
        self.counts = BoxOfficeCounts()
        self._tracer = tracer
        self._runner = BatchRunner(store, cache or ShowtimeCache(), nullcontext if tracer is None else tracer.step)
        self._waiting_tasks = waiting_tasks
        self._admission = AdmissionControl(longest_wait)
        self._queue = CommandQueue()
        self._low: deque[QueuedCommand] = deque()
        self._arrival = asyncio.Event()
        self._open = False
        self._worker: asyncio.Task[None] | None = None
        self._batch_start: float | None = None
        self._contention: dict[str, int] = {}
        self._contended: dict[str, _ContendedShowtime] = {}

    def on_commit(self, notify: Callable[[Sequence[ShowtimeUpdate]], None]) -> None:
        """Have a function called with the updates of each commit, before the callers get their answers."""
        self._runner.on_commit.append(notify)

    def start(self) -> None:
        """Begin to carry out commands; needs a running event loop."""
        self._open = True
        self._worker = asyncio.create_task(self._work(), name="box office")

    async def stop(self) -> None:
        """Carry out what waits, and take no more."""
        self._open = False
        self._arrival.set()
        if self._worker is not None:
            await self._worker

    async def execute(self, command: Command[A]) -> A:
        """Carry out a command, and return its result once it is durable.

        Raises:
            ShowtimeNotFound: There is no such showtime.
            RequestIdReused: An earlier call with the same key had another request.
            Overloaded: It would have to wait too long.
            StorageUnavailable, ShuttingDown: Nothing was changed.
            CommitOutcomeUnknown: Perhaps it was carried out.
            StorageContention: Another transaction has locked the showtime, and the command has low priority; or the
                auditorium, and the command needs its slots. Nothing was changed.
            CinemaError: What the change raises.
        """
        if not self._open:
            raise ShuttingDown
        if command.priority is Priority.NORMAL:
            try:
                self._check_wait(command)
            except Overloaded as refusal:
                self.counts.note_refusal(refusal)
                raise
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        queued = QueuedCommand(command, future, None if self._tracer is None else self._tracer.current())
        if command.priority is Priority.LOW:
            self._low.append(queued)
        else:
            self._queue.put(queued)
        self._arrival.set()
        try:
            return await future
        finally:
            del future, queued  # else an error that the future holds leads to this frame and back: a reference cycle

    @property
    def queued(self) -> int:
        """How many commands wait for a batch."""
        return self._queue.waiting + len(self._low)

    @property
    def contended_showtimes(self) -> int:
        """How many showtimes have tasks of their own, since other processes lock them."""
        return len(self._contended)

    @property
    def batch_seconds(self) -> float:
        """For how many seconds the present batch has been under way; 0 for none."""
        return 0.0 if self._batch_start is None else time.monotonic() - self._batch_start

    def _check_wait(self, command: Command[A]) -> None:
        """Check that a command would not wait too long; its caller's own backlog counts too.

        Raises:
            Overloaded.
        """
        backlog = self._queue.overflow_of(command.caller)
        if (contended := self._contended.get(command.showtime_id)) is not None:
            ahead = self._queue.placed_for(command.showtime_id) + backlog
            self._admission.check(1 + ahead // LARGEST_BATCH, contended.round_seconds())
        elif self._batch_start is not None:
            ahead = self._queue.placed(exclude=self._contended) + backlog
            self._admission.check(1 + ahead // LARGEST_BATCH, self.batch_seconds)

    async def _work(self) -> None:
        while self._open or self._queue or self._low or self._contended:
            await self._arrival.wait()
            self._arrival.clear()
            while batch := self._next_batch():
                self._batch_start = time.monotonic()
                contended = await self._serve(batch)
                for showtime_id in self._contention.keys() & batch.keys() - {_showtime_of(each) for each in contended}:
                    del self._contention[showtime_id]
                if contended:
                    await self._retry_later(contended)
                self._admission.record(time.monotonic() - self._batch_start)
                self._batch_start = None

    def _next_batch(self) -> Batch:
        """Take commands from each showtime in turn, and a few of low priority."""
        batch = self._queue.take(LARGEST_BATCH, exclude=self._contended)
        room = LOW_PRIORITY_IN_BATCH
        while self._low and room:
            queued = self._low.popleft()
            if _showtime_of(queued) in self._contended:
                queued.settle(Failed(StorageContention()))
            else:
                batch[_showtime_of(queued)] = [*batch.get(_showtime_of(queued), ()), queued]
                room -= 1
        return batch

    async def _serve(self, batch: Batch, *, wait: bool = False) -> list[QueuedCommand]:
        """Carry out a batch and settle its callers, whatever happens; return the commands that were contended."""
        contended: list[QueuedCommand] = []
        start = time.monotonic()
        try:
            with nullcontext() if self._tracer is None else self._tracer.batch(batch):
                outcomes = await self._runner.run(batch, wait=wait)
            contended = outcomes.contended
            for queued in outcomes.blocked:
                queued.settle(Failed(StorageContention()))
            self.counts.note_batch(start, outcomes.settled, len(contended) + len(outcomes.blocked))
            for queued, outcome in outcomes.settled:
                queued.settle(outcome)
        except Exception:
            logger.exception("batch failed")
        finally:
            unsettled = [each for some in batch.values() for each in some if not each.future.done()]
            for queued in set(unsettled).difference(contended):
                queued.settle(Failed(CommitOutcomeUnknown()))
        return contended

    async def _retry_later(self, contended: Sequence[QueuedCommand]) -> None:
        """Put contended commands back, or start tasks that wait for their showtimes."""
        for queued in contended:
            if queued.command.priority is Priority.LOW:
                queued.settle(Failed(StorageContention()))
        again = [queued for queued in contended if queued.command.priority is not Priority.LOW]
        self._queue.put_back(again)
        showtime_ids = dict.fromkeys(map(_showtime_of, again))
        idle = not (self._low or set(self._queue.showtime_ids) - showtime_ids.keys() - self._contended.keys())
        for showtime_id in showtime_ids:
            self._contention[showtime_id] = self._contention.get(showtime_id, 0) + 1
            tried_enough = idle or self._contention[showtime_id] >= TRIES_IN_TURN
            if tried_enough and len(self._contended) < self._waiting_tasks:
                del self._contention[showtime_id]
                contended_showtime = self._contended[showtime_id] = _ContendedShowtime()
                contended_showtime.task = asyncio.create_task(
                    self._serve_contended(showtime_id, contended_showtime), name=f"box office, showtime {showtime_id}"
                )
        if idle and not showtime_ids.keys() <= self._contended.keys():
            await asyncio.sleep(SECONDS_BETWEEN_TRIES)

    async def _serve_contended(self, showtime_id: str, contended: "_ContendedShowtime") -> None:
        """Serve a contended showtime for as long as commands wait for it."""
        try:
            while commands := self._queue.take_for(showtime_id, LARGEST_BATCH):
                self._arrival.set()  # commands of the same callers may have got a place
                contended.begin_round()
                for queued in await self._serve({showtime_id: commands}, wait=True):
                    queued.settle(Failed(StorageUnavailable()))  # the showtime was created after the lock looked for it
        finally:
            del self._contended[showtime_id]
            self._arrival.set()


class _ContendedShowtime:
    """A showtime that a task of its own serves."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self._start = time.monotonic()
        self._latest = 0.0

    def begin_round(self) -> None:
        """Note that a transaction begins."""
        now = time.monotonic()
        self._latest, self._start = now - self._start, now

    def round_seconds(self) -> float:
        """Return how long a transaction takes: the latest one, or the present one if that is slower."""
        return max(self._latest, time.monotonic() - self._start)


def _showtime_of(queued: QueuedCommand) -> str:
    return queued.command.showtime_id
