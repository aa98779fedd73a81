"""A lane of the box office: one worker that carries out commands, many to a transaction.

What goes wrong in a batch is narrowed down to the command that is at fault: the rest is carried out without it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

import structlog

from cinema_grpc.application.batch import AnyCommand, Batch, FaultyCommand, Work, commands_of, split, wanted_by, without
from cinema_grpc.application.box_office_ports import BoxOfficeStore, Written
from cinema_grpc.application.command_queue import CommandQueue
from cinema_grpc.application.errors import FateUnknown, ShuttingDown, StorageUnavailable
from cinema_grpc.application.line import until_quiet
from cinema_grpc.application.patience import Patience
from cinema_grpc.application.ports import CommitUnknown, StorageConflict, StorageContention
from cinema_grpc.application.shelf import Shelf, bring_up_to_date
from cinema_grpc.domain.errors import CinemaError, ShowtimeNotFound

logger = structlog.get_logger()

A = TypeVar("A")

SKIPS = 3
"""How often a showtime that another process is busy with is skipped before it is waited for."""
SECONDS_BETWEEN_SKIPS = 0.005
"""How long a lane rests when all that is to be done is skipped, and as many as may be waited for already are."""
LARGEST_BATCH = 256
"""How many commands one transaction carries at most."""
TIDYING_A_BATCH = 2
"""How many of them may be commands that only tidy."""
TRIES = 3
"""How often a batch is tried when other transactions get in its way."""
SECONDS_TO_FIND_OUT = 10.0
"""How long a lane tries to learn what became of a commit whose answer was lost."""


@dataclass(frozen=True, slots=True)
class _Round:
    """When a round of a showtime that is served apart began, and how many seconds the one before it took."""

    began: float
    latest: float


class Lane:
    """One worker, and the commands that wait for it."""

    def __init__(
        self,
        store: BoxOfficeStore,
        follow: Callable[[Sequence[Written]], None],
        doubt: Callable[[Collection[str]], None],
        most_apart: int,
        patience: Patience,
    ) -> None:
        """Set up; the arguments are those of BoxOffice."""
        self._store = store
        self._patience = patience
        self._ahead = 0
        self._began: float | None = None
        self._follow = follow
        self._doubt = doubt
        self._most_apart = most_apart
        self._skips: dict[str, int] = {}
        self._apart: dict[str, asyncio.Task[None]] = {}
        self._rounds_apart: dict[str, _Round] = {}
        self._waiting = CommandQueue()
        self._tidying: deque[AnyCommand] = deque()
        self._arrival = asyncio.Event()
        self._open = False
        self._worker: asyncio.Task[None] | None = None
        self._shelf = Shelf()

    def start(self) -> None:
        """Begin to carry out commands; needs a running event loop."""
        self._open = True
        self._worker = asyncio.create_task(self._work(), name="box office lane")

    async def stop(self) -> None:
        """Carry out what waits, and take no more."""
        self._open = False
        self._arrival.set()
        if self._worker is not None:
            await self._worker

    def check_wait(self, showtime_id: str, caller: str) -> None:
        """Check that a newcomer would not have to wait too long for a showtime.

        What has no place in the queue yet counts for its own caller alone.

        Raises:
            Overloaded.
        """
        own = self._waiting.behind_of(caller)
        if (apart := self._rounds_apart.get(showtime_id)) is not None:
            rounds = 1 + (self._waiting.placed_for(showtime_id) + own) // LARGEST_BATCH
            self._patience.check(rounds, max(apart.latest, time.monotonic() - apart.began))
        elif self._began is not None:
            self._patience.check(1 + (self._ahead + own) // LARGEST_BATCH, time.monotonic() - self._began)

    def put(self, command: AnyCommand) -> None:
        """Let a command wait for its turn.

        Raises:
            ShuttingDown.
        """
        if not self._open:
            raise ShuttingDown
        if command.tidying:
            self._tidying.append(command)
        elif self._waiting.put(command):
            self._ahead += command.showtime_id not in self._apart
        self._arrival.set()

    async def _work(self) -> None:
        while self._open or self._waiting or self._tidying or self._apart:
            await self._arrival.wait()
            self._arrival.clear()
            while batch := await self._next_batch():
                self._ahead = self._waiting.placed(but_for=self._apart)
                self._began = began = time.monotonic()
                skipped: list[AnyCommand] = []
                try:
                    skipped = await self._serve(batch)
                except Exception:
                    logger.exception("a lane broke down and goes on")
                for showtime_id in self._skips.keys() & batch.keys() - {command.showtime_id for command in skipped}:
                    del self._skips[showtime_id]
                if skipped:
                    await self._step_aside(skipped)
                self._patience.took(time.monotonic() - began)
                self._began = None

    async def _next_batch(self) -> Batch:
        """Take the next batch when all who are at the door have come in."""
        await until_quiet(lambda: self._ahead + self._waiting.behind, LARGEST_BATCH)
        return self._take()

    def _take(self) -> Batch:
        """Take the next batch: from each waiting showtime in turn, up to the bound, and a few that only tidy."""
        batch = self._waiting.take(LARGEST_BATCH, but_for=self._apart)
        for _ in range(min(TIDYING_A_BATCH, len(self._tidying))):
            command = self._tidying.popleft()
            if command.showtime_id in self._apart:
                command.answer(StorageContention())
            else:
                batch.setdefault(command.showtime_id, []).append(command)
        return batch

    def _add_latecomers(self, batch: Batch) -> None:
        """Take along who has come for the same showtimes since: a lock that took long to get is used for more."""
        room = LARGEST_BATCH - len(commands_of(batch))
        for showtime_id, commands in batch.items():
            late = self._waiting.take_for(showtime_id, room)
            commands.extend(late)
            room -= len(late)

    async def _step_aside(self, skipped: Sequence[AnyCommand]) -> None:
        """Let commands whose showtimes another process is busy with wait on; those that only tidy are left to that."""
        for command in skipped:
            if command.tidying:
                command.answer(StorageContention())
        self._waiting.put_back(command for command in skipped if not command.tidying)
        showtime_ids = {command.showtime_id for command in skipped if not command.tidying}
        idle = not (self._tidying or set(self._waiting.showtime_ids) - showtime_ids - self._apart.keys())
        for showtime_id in showtime_ids:
            self._skips[showtime_id] = self._skips.get(showtime_id, 0) + 1
            if (idle or self._skips[showtime_id] >= SKIPS) and len(self._apart) < self._most_apart:
                del self._skips[showtime_id]
                self._apart[showtime_id] = asyncio.create_task(
                    self._serve_apart(showtime_id), name=f"box office, apart for showtime {showtime_id}"
                )
        if idle and not showtime_ids <= self._apart.keys():
            await asyncio.sleep(SECONDS_BETWEEN_SKIPS)

    async def _serve_apart(self, showtime_id: str) -> None:
        """Serve a showtime for as long as commands wait for it, and wait for whoever else is busy with it."""
        latest = 0.0
        try:
            while commands := self._waiting.take_for(showtime_id, LARGEST_BATCH):
                self._arrival.set()  # others may have got a place
                self._rounds_apart[showtime_id] = _Round(time.monotonic(), latest)
                await self._serve({showtime_id: commands}, patient=True)
                latest = time.monotonic() - self._rounds_apart[showtime_id].began
        except Exception:
            logger.exception("a showtime can't be served apart", showtime_id=showtime_id)
        finally:
            del self._apart[showtime_id]
            self._rounds_apart.pop(showtime_id, None)
            self._arrival.set()

    async def _serve(self, batch: Batch, *, patient: bool = False, alone: bool = False) -> list[AnyCommand]:
        """Carry a batch through to every caller's answer, whatever happens; give the commands that were skipped.

        Args:
            batch: The commands; latecomers are added to it, unless these are to be `alone`.
            patient: Whether to wait for showtimes that another process is busy with, instead of skipping them.
            alone: As above.
        """
        skipped: list[AnyCommand] = []
        try:
            skipped += await self._carry_out(batch, patient=patient, alone=alone)
        except FaultyCommand as fault:
            cause = fault.__cause__ or fault
            logger.error("a change broke down", showtime_id=fault.command.showtime_id, exc_info=cause)
            fault.command.answer(cause)
            skipped += await self._serve(without(batch, fault.command), patient=patient, alone=alone)
        except CinemaError as error:
            for command in commands_of(batch):
                command.answer(error)
        except Exception as error:
            commands = commands_of(batch)
            # A constraint of the database has the last word, say. Whose command it was shows when each runs by itself.
            if len(commands) == 1:
                logger.exception("a command can't be carried out", showtime_id=commands[0].showtime_id)
                commands[0].answer(error)
                return []
            logger.warning("a batch broke down and is narrowed down", commands=len(commands), error=repr(error))
            for part in split(batch):
                skipped += await self._serve(part, patient=patient, alone=True)
        finally:
            for command in set(commands_of(batch)).difference(skipped):
                if not command.future.done():
                    command.answer(FateUnknown())  # nobody is left waiting, even if the lane itself is ended
        return skipped

    async def _carry_out(self, batch: Batch, *, patient: bool, alone: bool) -> list[AnyCommand]:
        """Carry out a batch in one transaction, then answer; give the commands that were skipped.

        Raises:
            FaultyCommand, and whatever the store raises: nobody was answered, and nothing was written.
            FateUnknown: Nobody was answered, and what was written may have been kept, or not.
        """
        failure: Exception | None = None
        for _ in range(TRIES):
            work = Work()
            try:
                await self._transact(batch, work, patient=patient, alone=alone)
                break
            except StorageConflict as conflict:
                # Another replica may have recorded one of the requests meanwhile: then its answer is found now.
                if isinstance(failure, StorageConflict):
                    raise
                failure = conflict
            except StorageContention as contention:
                failure = contention
            except CommitUnknown as unknown:
                if work.written and await self._was_committed(work):
                    break
                failure = unknown
        else:
            raise StorageUnavailable from failure
        for command, answer in work.answers:
            command.answer(answer)
        self._follow(work.written)
        for showtime_id, at_hand in work.at_hand.items():
            at_hand.showtime.settle()
            self._shelf.put(showtime_id, at_hand)
        return [command for showtime_id in work.skipped for command in batch[showtime_id]]

    async def _transact(self, batch: Batch, work: Work, *, patient: bool, alone: bool) -> None:
        async with self._store.batch() as transaction:
            await transaction.lock(batch, patient=patient)
            if not alone:
                self._add_latecomers(batch)
            # What is at hand leaves the shelf, and comes back only in a state that is known to be written.
            kept = {showtime_id: self._shelf.take(showtime_id) for showtime_id in batch}
            wanted = [wanted_by(each, kept[each], batch[each]) for each in batch]
            keys = {command.once.key for command in commands_of(batch) if command.once is not None}
            holders = {each.held_elsewhere.user_id for each in commands_of(batch) if each.held_elsewhere is not None}
            work.counting = bool(holders)
            opened = await transaction.open(wanted, keys, holders)
            work.skipped = opened.skipped
            for showtime_id, commands in batch.items():
                found, at_hand = opened.showtimes.get(showtime_id), kept[showtime_id]
                if found is not None:
                    work.apply(commands, bring_up_to_date(at_hand, found), opened)
                elif showtime_id not in opened.skipped:
                    work.answers.extend((command, ShowtimeNotFound(showtime_id)) for command in commands)
                elif at_hand is not None:
                    self._shelf.put(showtime_id, at_hand)
            if work.written or opened.recorded:
                # An answer that is on record is no better kept than its commit, which may have been cut off from the
                # standby that it waited for. Another commit, of nothing, comes after it there.
                await transaction.commit(work.written, list(work.recorded.values()))

    async def _was_committed(self, work: Work) -> bool:
        """Learn what became of a commit whose answer was lost.

        Raises:
            FateUnknown: It could not be learned in time.
        """
        logger.warning("the answer to a commit was lost", showtimes=len(work.written))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SECONDS_TO_FIND_OUT
        pause = 0.05
        while True:
            try:
                return await self._store.is_committed(work.written, list(work.recorded.values()))
            except (StorageUnavailable, StorageContention, CommitUnknown) as error:
                if loop.time() + pause > deadline:
                    self._doubt([each.showtime_id for each in work.written])
                    raise FateUnknown from error
                await asyncio.sleep(pause)
                pause *= 2
