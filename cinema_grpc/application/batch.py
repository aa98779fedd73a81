"""A batch of commands: what each is answered, and what there is to write, without any waiting."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from cinema_grpc.application.box_office_ports import OpenedBatch, Wanted, Written, draw_stamp
from cinema_grpc.application.once import Once, Recorded, RequestKey
from cinema_grpc.application.shelf import AtHand
from cinema_grpc.domain.errors import CinemaError
from cinema_grpc.domain.showtime import Change, Showtime

A = TypeVar("A")


@dataclass(slots=True)
class HeldElsewhere:
    """How many seats an account has on hold in other showtimes; filled in just before a command is applied."""

    user_id: str
    seats: int = 0


@dataclass(eq=False, slots=True)
class Command(Generic[A]):
    """What a caller wants done to a showtime; `BoxOffice.execute` tells what each part means."""

    showtime_id: str
    booking_id: str | None
    change: Callable[[Showtime, datetime], A]
    once: Once[A] | None
    recording: bool
    tidying: bool
    write: Callable[[A], None] | None
    future: "asyncio.Future[A]"
    held_elsewhere: HeldElsewhere | None = None
    caller: str = ""

    def answer(self, outcome: "A | BaseException") -> None:
        """Settle the caller, unless the caller has gone."""
        if self.future.done():
            return
        if isinstance(outcome, BaseException):
            self.future.set_exception(outcome)
            return
        try:
            if self.write is not None:
                self.write(outcome)
        except Exception as fault:  # noqa: BLE001 (the caller's own, and what was done stays done)
            self.future.set_exception(fault)
        else:
            self.future.set_result(outcome)


AnyCommand = Command[Any]
Batch = dict[str, list[AnyCommand]]


class FaultyCommand(Exception):
    """A change broke down by a fault of ours; its showtime is in no state to be trusted."""

    def __init__(self, command: AnyCommand) -> None:
        super().__init__()
        self.command = command


@dataclass(slots=True)
class Work:
    """What a batch comes to: the states it leads to, and what each caller is told once it is written.

    Attributes:
        counting: Whether a command asks what an account has on hold elsewhere.
        moved: By how many seats on hold each user has more, in the showtimes that have been worked on.
    """

    at_hand: dict[str, AtHand] = field(default_factory=dict)
    written: list[Written] = field(default_factory=list)
    recorded: dict[RequestKey, Recorded] = field(default_factory=dict)
    answers: list[tuple[AnyCommand, Any]] = field(default_factory=list)
    skipped: frozenset[str] = frozenset()
    counting: bool = False
    moved: Counter[str] = field(default_factory=Counter)
    drawn: str = field(default_factory=draw_stamp)

    def apply(self, commands: Sequence[AnyCommand], at_hand: AtHand, opened: OpenedBatch) -> None:
        """Apply one showtime's commands, in order of arrival."""
        now = max(opened.now, at_hand.latest_time)
        showtime = at_hand.showtime
        for command in commands:
            if not command.future.done():
                self.answers.append((command, self._answer(command, showtime, now, opened)))
        changes = showtime.changes()
        if changes:
            if self.counting:
                self._count(changes, now)
            known = at_hand.version
            at_hand = AtHand(showtime, known.next(self.drawn), now)
            showtime_id = showtime.terms.showtime_id
            self.written.append(Written(showtime_id, known, at_hand.version, now, showtime.taken, changes))
        self.at_hand[showtime.terms.showtime_id] = at_hand

    def _count(self, changes: Sequence[Change], now: datetime) -> None:
        for change in changes:
            before = 0 if change.before is None else change.before.seats_on_hold(now)
            self.moved[change.after.user_id] += change.after.seats_on_hold(now) - before

    def _look_elsewhere(self, asked: HeldElsewhere, showtime_id: str, now: datetime, opened: OpenedBatch) -> None:
        """Count what an account has on hold in other showtimes, with what this batch has done to those before."""
        stored = opened.on_hold.get(asked.user_id, ())
        before = sum(each.seats for each in stored if each.showtime_id != showtime_id and each.hold_expire_time > now)
        asked.seats = before + self.moved[asked.user_id]

    def _answer(self, command: AnyCommand, showtime: Showtime, now: datetime, opened: OpenedBatch) -> Any:
        """Find a command's answer: the one that is on record, or what its change gives or refuses."""
        once = command.once
        if command.held_elsewhere is not None:
            self._look_elsewhere(command.held_elsewhere, showtime.terms.showtime_id, now, opened)
        try:
            if once is None:
                return command.change(showtime, now)
            recorded = opened.recorded.get(once.key) or self.recorded.get(once.key)
            if recorded is not None:
                return once.replay(recorded)
            answer = command.change(showtime, now)
            if command.recording:
                self.recorded[once.key] = once.record(answer)
        except CinemaError as refusal:
            return refusal.with_traceback(None)  # or it leads to the command and back, and stays until collected
        except Exception as fault:
            raise FaultyCommand(command) from fault
        return answer


def wanted_by(showtime_id: str, at_hand: AtHand | None, commands: Sequence[AnyCommand]) -> Wanted:
    """Tell what a batch needs of one showtime."""
    spoken_of = {command.booking_id for command in commands if command.booking_id is not None}
    if at_hand is None:
        return Wanted(showtime_id, None, frozenset(spoken_of))
    missing = frozenset(booking_id for booking_id in spoken_of if booking_id not in at_hand.showtime)
    return Wanted(showtime_id, at_hand.version, missing)


def commands_of(batch: Batch) -> list[AnyCommand]:
    """List all commands of a batch."""
    return [command for commands in batch.values() for command in commands]


def split(batch: Batch) -> list[Batch]:
    """Divide a batch into its showtimes; a single showtime into its commands."""
    if len(batch) > 1:
        return [{showtime_id: commands} for showtime_id, commands in batch.items()]
    return [{showtime_id: [command]} for showtime_id, commands in batch.items() for command in commands]


def without(batch: Batch, faulty: AnyCommand) -> Batch:
    """Leave a command out of a batch."""
    rest = {showtime_id: [each for each in commands if each is not faulty] for showtime_id, commands in batch.items()}
    return {showtime_id: commands for showtime_id, commands in rest.items() if commands}
