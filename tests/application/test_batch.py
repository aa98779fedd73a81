"""Deciding a batch is pure: from loaded showtimes and commands to outcomes, updates and responses."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from cinema_grpc.application.box_office.batch import BatchResult, FaultyCommand, decide, load_request
from cinema_grpc.application.box_office.cache import CachedShowtime
from cinema_grpc.application.box_office.command import Batch, Command, Decision, Done, Failed, QueuedCommand
from cinema_grpc.application.box_office.store import Hold, Loaded, LoadedShowtime, Version
from cinema_grpc.application.errors import RequestIdReused
from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.booking_errors import SeatsUnavailable
from cinema_grpc.domain.claims import Selection
from cinema_grpc.domain.errors import ShowtimeNotFound
from cinema_grpc.domain.holds import hold
from cinema_grpc.domain.showtime import SeatStatus, Showtime
from cinema_grpc.domain.terms import SeatGapPolicy
from tests.application.commands import cancel_command, decode, hold_command, idempotent_call
from tests.builders import NOW, a_showtime

VERSION = Version(7, "the seventh commit")
MINUTE = timedelta(minutes=1)


def loaded(*showtime_ids: str, latest_time: datetime = NOW) -> Loaded:
    """Return showtimes that were loaded completely, without bookings."""
    terms = a_showtime(policy=SeatGapPolicy.ALLOW).terms
    return Loaded(
        NOW,
        {
            each: LoadedShowtime(VERSION, latest_time, True, replace(terms, showtime_id=each), ())
            for each in showtime_ids
        },
    )


def queued(*commands: Command[Any]) -> list[QueuedCommand]:
    return [QueuedCommand(each, asyncio.get_running_loop().create_future()) for each in commands]


def batch_of(commands: Sequence[QueuedCommand]) -> Batch:
    batch: dict[str, list[QueuedCommand]] = {}
    for each in commands:
        batch.setdefault(each.command.showtime_id, []).append(each)
    return dict(batch)


def decide_all(*commands: Command[Any], found: Loaded | None = None) -> BatchResult:
    """Decide commands on showtimes without bookings."""
    return decide(batch_of(queued(*commands)), {}, found or loaded("s1", "s2"))


def failing(error: Exception) -> Callable[[Decision], None]:
    def change(decision: Decision) -> None:
        hold(decision.showtime, "half done", "ada", Selection(["A9"]), MINUTE, decision.now)
        raise error

    return change


def errors(result: BatchResult) -> list[type | None]:
    return [type(outcome.error) if isinstance(outcome, Failed) else None for _, outcome in result.outcomes]


async def test_commands_are_applied_in_order_of_arrival() -> None:
    """Each sees what those before it have done; the batch makes one revision of the showtime."""
    result = decide_all(hold_command("b1", "A1"), hold_command("b2", "A1"), hold_command("b3", "A2"))
    assert errors(result) == [None, SeatsUnavailable, None]
    (update,) = result.updates
    assert (update.before, update.after.revision, update.taken_seats) == (VERSION, 8, 2)
    assert [(change.before, change.after.booking_id) for change in update.changes] == [(None, "b1"), (None, "b3")]
    (state,) = result.states
    assert (state.version, state.showtime.taken, state.showtime.changes()) == (update.after, 2, [])


async def test_a_refusal_changes_nothing() -> None:
    """Not the cached showtime either, which is cached as it is."""
    cached = decide_all(hold_command("b1", "A1")).states[0]
    before = cached.showtime.seats(NOW)
    current = Loaded(NOW, {"s1": LoadedShowtime(cached.version, NOW, False, None, ())})
    result = decide(batch_of(queued(hold_command("b2", "A1"))), {"s1": cached}, current)
    assert errors(result) == [SeatsUnavailable]
    assert (result.updates, result.responses, result.states) == ([], {}, [])
    assert cached.showtime.seats(NOW) == before


async def test_a_cached_showtime_is_not_changed() -> None:
    """So a batch can be decided again, with the same result."""
    cached = decide_all(hold_command("b1", "A1")).states[0]
    seats, changed = cached.showtime.seats(NOW), []
    current = Loaded(NOW, {"s1": LoadedShowtime(cached.version, NOW, False, None, ())})
    for _ in range(2):
        result = decide(batch_of(queued(hold_command("b2", "A2"))), {"s1": cached}, current)
        changed.append(result.updates[0].changes)
        assert (cached.showtime.taken, cached.showtime.seats(NOW)) == (1, seats)
        assert result.states[0].showtime.taken == 2
    assert changed[0] == changed[1]


async def test_a_faulty_change_is_named() -> None:
    """It may have left the showtime half changed, so the batch has to be decided without it."""
    commands = queued(hold_command("b1", "A1"), Command("s1", failing(ZeroDivisionError())), hold_command("b2", "A2"))
    with pytest.raises(FaultyCommand) as fault:
        decide(batch_of(commands), {}, loaded("s1"))
    assert fault.value.queued is commands[1]
    assert isinstance(fault.value.__cause__, ZeroDivisionError)


async def test_a_response_is_stored_and_a_repeat_in_the_same_batch_gets_it() -> None:
    call = idempotent_call()
    result = decide_all(hold_command("b1", "A1", call=call), hold_command("b2", "A1", call=call))
    first, second = (outcome for _, outcome in result.outcomes)
    assert isinstance(first, Done)
    assert first == second
    assert result.responses == {call.key: call.store(first.result)}
    assert decode(first.result).booking_id == "b1"


async def test_a_stored_response_is_returned_and_nothing_is_done() -> None:
    call = idempotent_call()
    found = replace(loaded("s1"), responses={call.key: call.store(b"the response")})
    result = decide_all(hold_command("b1", "A1", call=call), found=found)
    assert [outcome for _, outcome in result.outcomes] == [Done(b"the response")]
    assert (result.updates, result.responses) == ([], {})


@pytest.mark.parametrize("in_storage", [False, True])
async def test_another_request_with_the_same_id_is_refused(in_storage: bool) -> None:
    call, other = idempotent_call(), idempotent_call(request=b"another request")
    found = replace(loaded("s1"), responses={call.key: call.store(b"the response")} if in_storage else {})
    result = decide_all(hold_command("b1", "A1", call=call), hold_command("b2", "A2", call=other), found=found)
    assert errors(result) == [None, RequestIdReused]


async def test_what_is_no_response_is_not_stored() -> None:
    """As when an attempt is opened: the response to ConfirmPayment comes with its outcome."""

    def create(decision: Decision) -> Booking:
        return hold(decision.showtime, "b1", "ada", Selection(["A1"]), MINUTE, decision.now)

    result = decide_all(Command("s1", create, idempotency=idempotent_call()))
    assert len(result.updates) == 1
    assert result.responses == {}


async def test_holds_elsewhere_count_the_changes_of_the_batch() -> None:
    """Committed holds of other showtimes, less those that have lapsed, and what commands before have changed."""
    held: list[int] = []

    def count(decision: Decision) -> None:
        held.append(decision.seats_held_elsewhere("ada"))

    committed = [Hold("s1", 4, NOW + MINUTE), Hold("s3", 2, NOW + MINUTE), Hold("s4", 8, NOW)]
    found = replace(loaded("s1", "s2"), holds={"ada": committed})
    counts = [Command(at, count, account="ada") for at in ("s1", "s2")]
    decide_all(
        counts[0], hold_command("b1", "A1", "A2", "A3"), hold_command("b2", "A4", by="bob"), *counts, found=found
    )
    assert held == [2, 2, 4 + 2 + 3]


async def test_a_cancelled_hold_counts_no_more_elsewhere() -> None:
    (state,) = decide_all(hold_command("b1", "A1", "A2")).states
    held: list[int] = []

    def count(decision: Decision) -> None:
        held.append(decision.seats_held_elsewhere("ada"))

    found = replace(loaded("s2"), holds={"ada": [Hold("s1", 2, NOW + MINUTE)]})
    found = replace(found, showtimes={"s1": LoadedShowtime(state.version, NOW, False, None, ()), **found.showtimes})
    cancel = cancel_command(state.showtime.booking("b1", "ada"))
    decide(batch_of(queued(cancel, Command("s2", count, account="ada"))), {"s1": state}, found)
    assert held == [0]


async def test_time_never_runs_back_behind_the_latest_decision() -> None:
    later = NOW + MINUTE
    result = decide_all(hold_command("b1", "A1"), found=loaded("s1", latest_time=later))
    assert result.updates[0].latest_time == later
    assert result.updates[0].changes[0].after.create_time == later


async def test_an_unknown_showtime_fails_its_commands_alone() -> None:
    result = decide_all(hold_command("b1", "A1", at="s9"), hold_command("b2", "A1"))
    assert errors(result) == [ShowtimeNotFound, None]


async def test_a_command_whose_caller_has_gone_is_left_out() -> None:
    gone, present = queued(hold_command("b1", "A1"), hold_command("b2", "A1"))
    gone.future.cancel()
    result = decide(batch_of([gone, present]), {}, loaded("s1"))
    assert [each for each, _ in result.outcomes] == [present]
    assert errors(result) == [None]


async def test_what_a_batch_needs_of_the_store() -> None:
    (state,) = decide_all(hold_command("b1", "A1")).states
    call = idempotent_call()
    booking = state.showtime.booking("b1", "ada")
    commands = queued(
        cancel_command(booking, call),
        cancel_command(replace(booking, booking_id="b2")),
        Command("s2", lambda _: None, account="bob"),
    )
    request = load_request(batch_of(commands), {"s1": state})
    assert request.showtimes == {"s1": state.version, "s2": None}
    assert set(request.booking_ids) == {"b2"}  # b1 is cached
    assert (set(request.keys), set(request.accounts)) == ({call.key}, {"bob"})


def test_a_copy_shares_no_change_with_its_original() -> None:
    """What a batch decides on is a copy of what is cached."""
    cached = CachedShowtime(a_showtime(), VERSION)
    copy: Showtime = cached.showtime.copy()
    hold(copy, "b1", "ada", Selection(["A1"]), MINUTE, NOW)
    assert set(cached.showtime.seats(NOW)) == {SeatStatus.AVAILABLE}
