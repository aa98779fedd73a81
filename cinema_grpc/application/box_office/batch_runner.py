"""Executes a batch: one transaction, retried after contention. If it fails, its parts are retried separately."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import structlog

from cinema_grpc.application.box_office.batch import BatchResult, FaultyCommand, decide, load_request, slots_within
from cinema_grpc.application.box_office.cache import ShowtimeCache
from cinema_grpc.application.box_office.command import Batch, Failed, Outcome, QueuedCommand
from cinema_grpc.application.box_office.store import (
    BoxOfficeStore,
    LoadedShowtime,
    NotLocked,
    ShowtimeUpdate,
    StorageConflict,
    StorageContention,
)
from cinema_grpc.application.errors import CommitOutcomeUnknown, StorageUnavailable
from cinema_grpc.domain.errors import CinemaError

logger = structlog.get_logger()

Step = Callable[[str], AbstractContextManager[object]]
"""Returns a context manager that surrounds a step of a transaction, such as "load"; for tracing."""

TRIES = 3
"""How often a batch is tried when other transactions are in its way."""
SECONDS_TO_FIND_OUT = 10.0
"""How long to ask for the outcome of a commit whose answer was lost."""


@dataclass(slots=True)
class Outcomes:
    """What each command of a batch came to.

    Attributes:
        settled: Those that were tried.
        contended: Those that were not, as their showtime is locked by another transaction.
        blocked: Those that were not, as they need an auditorium that another transaction has locked.
    """

    settled: list[tuple[QueuedCommand, Outcome]] = field(default_factory=list)
    contended: list[QueuedCommand] = field(default_factory=list)
    blocked: list[QueuedCommand] = field(default_factory=list)

    def add(self, other: "Outcomes") -> "Outcomes":
        """Return these and others."""
        return Outcomes(self.settled + other.settled, self.contended + other.contended, self.blocked + other.blocked)


class BatchRunner:
    """Carries out batches, and puts committed showtimes into the cache.

    Attributes:
        on_commit: Called with the updates of each commit, before the callers get their answers.
    """

    def __init__(self, store: BoxOfficeStore, cache: ShowtimeCache, step: Step = nullcontext) -> None:
        """Set up; `step` traces each step of a transaction."""
        self._store = store
        self._cache = cache
        self._step = step
        self.on_commit: list[Callable[[Sequence[ShowtimeUpdate]], None]] = []

    async def run(self, batch: Batch, *, wait: bool = False) -> Outcomes:
        """Carry out a batch, and return every command's outcome once it is durable.

        A command whose change is faulty, or whose rows the database refuses, fails by itself: the others are carried
        out without it.

        Args:
            batch: The commands.
            wait: Wait for what another transaction has locked, instead of skipping the showtime.
        """
        try:
            return await self._transact(batch, wait=wait)
        except FaultyCommand as fault:
            cause = fault.__cause__ or fault
            logger.error("command failed", showtime_id=fault.queued.command.showtime_id, exc_info=cause)
            rest = {each: [one for one in some if one is not fault.queued] for each, some in batch.items()}
            others = await self.run({each: some for each, some in rest.items() if some}, wait=wait)
            return others.add(Outcomes([(fault.queued, Failed(cause))]))
        except CinemaError as error:
            return _all_failed(batch, error)
        except Exception as error:
            parts = list(_split(batch))
            if not parts:
                logger.exception("command failed", showtimes=list(batch))
                return _all_failed(batch, error)
            logger.warning("batch failed; its parts are retried separately", parts=len(parts), error=repr(error))
            outcomes = Outcomes()
            for part in parts:
                outcomes = outcomes.add(await self.run(part, wait=wait))
            return outcomes

    async def _transact(self, batch: Batch, *, wait: bool) -> Outcomes:
        """Carry out a batch in one transaction.

        Raises:
            FaultyCommand, and what the store raises: nothing was written.
            CommitOutcomeUnknown: Perhaps it was.
        """
        failure: Exception | None = None
        for _ in range(TRIES):
            result, untried = BatchResult(), Outcomes()
            try:
                async with self._store.transaction() as transaction:
                    with self._step("lock"):
                        skipped = await transaction.lock(batch, wait=wait, with_auditorium=slots_within(batch))
                    locked, untried = _divide(batch, skipped)
                    cached = {each: state for each in locked if (state := self._cache.get(each)) is not None}
                    with self._step("load"):
                        loaded = await transaction.load(load_request(locked, cached))
                    if lost := [each for each in cached if _is_lost(loaded.showtimes.get(each))]:
                        # The load left out bookings that are cached, and the cache is of no use after a failover.
                        self._cache.drop(lost)
                        continue  # this counts as a try
                    result = decide(locked, cached, loaded)
                    if result.updates or result.responses or loaded.responses:
                        # Even with nothing to write, if a stored response was found: its own commit may still wait for
                        # a standby. This one is durable only after it, so the caller is not told too early.
                        with self._step("commit"):
                            await transaction.commit(result.updates, list(result.responses.values()), loaded.now)
                break
            except StorageConflict as conflict:
                # Another replica may have stored one of the responses meanwhile. The next try finds it.
                if isinstance(failure, StorageConflict):
                    raise
                failure = conflict
            except StorageContention as contention:
                failure = contention
            except CommitOutcomeUnknown as unknown:
                if result.updates and await self._was_committed(result.updates, unknown):
                    break
                failure = unknown
        else:
            logger.error("storage failed", error=repr(failure))
            raise StorageUnavailable from failure
        for state in result.states:
            self._cache.put(state)
        if result.updates:
            self._notify(result.updates)
        return Outcomes(result.outcomes).add(untried)

    def _notify(self, updates: Sequence[ShowtimeUpdate]) -> None:
        for notify in self.on_commit:
            try:
                notify(updates)
            except Exception:
                logger.exception("listener failed after a commit")  # what is committed must not be run again

    async def _was_committed(self, updates: Sequence[ShowtimeUpdate], unknown: CommitOutcomeUnknown) -> bool:
        """Return whether a commit whose answer was lost was kept.

        Raises:
            CommitOutcomeUnknown: That was not learned in time.
        """
        logger.warning("commit answer lost", showtimes=len(updates), error=repr(unknown.__cause__))
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + SECONDS_TO_FIND_OUT, 0.05
        while True:
            try:
                return await self._store.was_committed(updates[0])
            except Exception as error:
                passing = isinstance(error, StorageUnavailable | StorageContention)
                if not passing or loop.time() + pause > deadline:
                    self._cache.drop(each.showtime_id for each in updates)
                    raise CommitOutcomeUnknown from error
            await asyncio.sleep(pause)
            pause *= 2


def _divide(batch: Batch, skipped: NotLocked) -> tuple[Batch, Outcomes]:
    """Return the commands that can be tried, and the others."""
    locked, untried = dict(batch), Outcomes()
    for showtime_id in skipped.showtimes:
        untried.contended += locked.pop(showtime_id)
    for showtime_id in skipped.auditoriums:
        commands = locked.pop(showtime_id)
        untried.blocked += [each for each in commands if each.command.slots_within is not None]
        if others := [each for each in commands if each.command.slots_within is None]:
            locked[showtime_id] = others
    return locked, untried


def _is_lost(found: LoadedShowtime | None) -> bool:
    """Return whether a cached showtime is of no use: the stored one does not descend from it."""
    return found is None or found.complete


def _all_failed(batch: Batch, error: Exception) -> Outcomes:
    return Outcomes([(queued, Failed(error)) for some in batch.values() for queued in some])


def _split(batch: Batch) -> Iterable[Batch]:
    """Divide a batch into its showtimes, and that of one showtime into its commands; nothing for a single command."""
    if len(batch) > 1:
        return ({showtime_id: some} for showtime_id, some in batch.items())
    return ({showtime_id: [one]} for showtime_id, some in batch.items() if len(some) > 1 for one in some)
