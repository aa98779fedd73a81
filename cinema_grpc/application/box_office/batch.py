"""Deciding a batch: from locked showtimes and commands to outcomes and updates. Pure; nothing waits here."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cinema_grpc.application.box_office.cache import CachedShowtime, catch_up
from cinema_grpc.application.box_office.command import Batch, Decision, Done, Failed, Outcome, QueuedCommand
from cinema_grpc.application.box_office.store import Loaded, LoadRequest, ShowtimeUpdate, Version, new_commit_id
from cinema_grpc.application.idempotency import REFUSED, IdempotencyKey, StoredResponse
from cinema_grpc.domain.errors import CinemaError, ShowtimeNotFound
from cinema_grpc.domain.events import events_of
from cinema_grpc.domain.showtime import Change
from cinema_grpc.domain.terms import ShowtimeStatus, Slot, Terms


class FaultyCommand(Exception):
    """A change raised an error that is no refusal: a bug. Its batch has to be decided again without it."""

    def __init__(self, queued: QueuedCommand) -> None:
        super().__init__()
        self.queued = queued


@dataclass(slots=True)
class BatchResult:
    """What a batch leads to, once it is committed.

    Attributes:
        updates: What is to be written.
        responses: What is to be stored, by key.
        outcomes: What each command comes to.
        states: The showtimes as they are then.
    """

    updates: list[ShowtimeUpdate] = field(default_factory=list)
    responses: dict[IdempotencyKey, StoredResponse] = field(default_factory=dict)
    outcomes: list[tuple[QueuedCommand, Outcome]] = field(default_factory=list)
    states: list[CachedShowtime] = field(default_factory=list)


def load_request(batch: Batch, cached: Mapping[str, CachedShowtime]) -> LoadRequest:
    """Return what a batch needs of the store."""
    commands = [queued.command for some in batch.values() for queued in some]
    return LoadRequest(
        showtimes={each: cached[each].version if each in cached else None for each in batch},
        booking_ids={
            each.booking_id
            for each in commands
            if each.booking_id and not _has(cached, each.showtime_id, each.booking_id)
        },
        keys={each.idempotency.key for each in commands if each.idempotency is not None},
        accounts={each.account for each in commands if each.account},
        slots_within=slots_within(batch),
    )


def slots_within(batch: Batch) -> dict[str, tuple[datetime, datetime]]:
    """Return, by showtime, the time in which its commands need the other slots of its auditorium, taken together."""
    asked = {
        showtime_id: times
        for showtime_id, commands in batch.items()
        if (times := [each.command.slots_within for each in commands if each.command.slots_within is not None])
    }
    return {each: (min(start for start, _ in times), max(end for _, end in times)) for each, times in asked.items()}


def _has(cached: Mapping[str, CachedShowtime], showtime_id: str, booking_id: str) -> bool:
    state = cached.get(showtime_id)
    return state is not None and booking_id in state.showtime


def decide(batch: Batch, cached: Mapping[str, CachedShowtime], loaded: Loaded) -> BatchResult:
    """Apply the commands of a batch, each showtime's in order of arrival.

    Raises:
        FaultyCommand.
    """
    result, holds, commit_id = BatchResult(), _Holds(batch, loaded), new_commit_id()
    for showtime_id, commands in batch.items():
        found = loaded.showtimes.get(showtime_id)
        if found is None:
            result.outcomes += [(queued, Failed(ShowtimeNotFound(showtime_id))) for queued in commands]
            continue
        now = max(loaded.now, found.latest_time)
        known = cached.get(showtime_id)
        showtime = catch_up(known, found)  # never the cached object: the commands change it
        slots = _slots(showtime.terms, found.slots, result.updates) if found.slots or result.updates else ()
        decision = Decision(showtime, found.version.revision, now, holds.elsewhere, slots)
        for queued in commands:
            if not queued.future.done():
                result.outcomes.append((queued, _decide_one(queued, decision, loaded, result)))
        changes, version = showtime.changes(), found.version
        terms = None if showtime.terms_before is None else (showtime.terms_before, showtime.terms)
        if changes or terms:
            version = Version(version.revision + 1, commit_id)
            update = ShowtimeUpdate(
                showtime_id=showtime_id,
                before=found.version,
                after=version,
                latest_time=now,
                taken_seats=showtime.taken,
                changes=changes,
                terms=terms,
                events=events_of(changes, terms),
            )
            result.updates.append(update)
            holds.count(changes, now)
        if known is None or known.version != version:  # else the cache has this version already
            showtime.mark_stored()
            result.states.append(CachedShowtime(showtime, version))
    return result


def _slots(terms: Terms, stored: Sequence[Slot], updates: Sequence[ShowtimeUpdate]) -> list[Slot]:
    """Return the slots of other showtimes in an auditorium, as stored, and as this batch has changed them."""
    changed = {update.showtime_id: update.terms[1] for update in updates if update.terms is not None}
    moved = [
        Slot(each.showtime_id, each.start_time, each.end_time)
        for each in changed.values()
        if each.auditorium_id == terms.auditorium_id and each.status is ShowtimeStatus.SCHEDULED
    ]
    return [slot for slot in stored if slot.showtime_id not in changed] + moved


def _decide_one(queued: QueuedCommand, decision: Decision, loaded: Loaded, result: BatchResult) -> Outcome:
    command, call, stored = queued.command, queued.command.idempotency, None
    try:
        if call is not None:
            stored = loaded.responses.get(call.key) or result.responses.get(call.key)
            if stored is not None and (response := call.replay(stored)) != REFUSED:
                return Done(response)
        answer = command.change(decision)
        if call is not None and stored is None and isinstance(answer, bytes):
            result.responses[call.key] = call.store(answer)
    except CinemaError as refusal:
        # Its traceback, and that of its context, refer to the command: a reference cycle.
        refusal.__context__ = None
        return Failed(refusal.with_traceback(None))
    except Exception as error:
        raise FaultyCommand(queued) from error
    return Done(answer)


class _Holds:
    """How many seats accounts have on hold: as committed, and as this batch has changed them."""

    def __init__(self, batch: Batch, loaded: Loaded) -> None:
        self._asked_for = any(queued.command.account for some in batch.values() for queued in some)
        self._committed = loaded.holds
        self._changed: Counter[str] = Counter()

    def elsewhere(self, user_id: str, showtime_id: str, now: datetime) -> int:
        """Return how many seats a user has on hold in other showtimes than the one that is decided now."""
        holds = self._committed.get(user_id, ())
        committed = sum(each.seats for each in holds if each.showtime_id != showtime_id and each.hold_expire_time > now)
        return committed + self._changed[user_id]

    def count(self, changes: Sequence[Change], now: datetime) -> None:
        """Count what was changed in a showtime, once it is decided."""
        if not self._asked_for:
            return
        for change in changes:
            before = 0 if change.before is None else change.before.seats_on_hold(now)
            self._changed[change.after.user_id] += change.after.seats_on_hold(now) - before
