"""Whether the history of one seat can be explained: each call takes effect at one instant while it runs.

Linearizability is local: a history of many seats has it if the history of each seat has it (M. Herlihy and J. Wing,
"Linearizability: a correctness condition for concurrent objects", 1990). The search follows the history in time and
keeps every state that the seat may be in, as G. Lowe describes it ("Testing for linearizability", 2017).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Seat(NamedTuple):
    """Which booking has a seat ("" for none), and whether it is sold."""

    booking_id: str
    sold: bool


FREE = Seat("", sold=False)


@dataclass(frozen=True, eq=False, slots=True)
class Call:
    """What one call did to one seat, or saw of it.

    Attributes:
        name: For people.
        start: When it was made, in microseconds.
        end: When its answer came; None if it never did: then it may have taken effect at any time, or never will.
        step: Gives the state that it leads to, or None for a state in which it can't have had its answer.
        reads: Whether it leaves every state as it is.
    """

    name: str
    start: int
    end: int | None
    step: Callable[[Seat], Seat | None]
    reads: bool = False


def claim(booking_id: str, start: int, end: int | None) -> Call:
    """A booking was made: the seat was free."""
    held = Seat(booking_id, sold=False)
    return Call(f"claim by {booking_id}", start, end, lambda seat: held if seat == FREE else None)


def sale(booking_id: str, start: int, end: int | None) -> Call:
    """A booking was paid for: it held the seat."""
    held, sold = Seat(booking_id, sold=False), Seat(booking_id, sold=True)
    return Call(f"sale to {booking_id}", start, end, lambda seat: sold if seat == held else None)


def release(booking_id: str, start: int, end: int | None) -> Call:
    """A booking was cancelled: it had the seat."""
    return Call(f"release by {booking_id}", start, end, lambda seat: FREE if seat.booking_id == booking_id else None)


def lapse(booking_id: str, moment: int) -> Call:
    """A hold was over at a known moment, if it still was one."""
    held = Seat(booking_id, sold=False)
    return Call(f"lapse of {booking_id}", moment, moment, lambda seat: FREE if seat == held else seat)


def possible_lapse(booking_id: str, earliest: int) -> Call:
    """A hold was over at some time, or never: a payment that was tried may have made it last longer."""
    held = Seat(booking_id, sold=False)
    return Call(f"possible lapse of {booking_id}", earliest, None, lambda seat: FREE if seat == held else None)


def revival(booking_id: str, moment: int) -> Call:
    """A hold that was seen to be over had been made longer in time, by a payment that was being written down just then.

    A read before that does not show it. No other booking had the seat meanwhile.
    """
    held = Seat(booking_id, sold=False)
    return Call(f"revival of {booking_id}", moment, None, lambda seat: held if seat == FREE else None)


def sight(what: str, holds: Callable[[Seat], bool], start: int, end: int) -> Call:
    """Something was seen that holds in some states only."""
    return Call(f"saw it {what}", start, end, lambda seat: seat if holds(seat) else None, reads=True)


class Possible(NamedTuple):
    """A state that the seat may be in, and which of the calls under way have led to it."""

    seat: Seat
    done: frozenset[int]


def unexplained(calls: Sequence[Call]) -> Call | None:
    """Find the first call that no order of effects explains; None if the history is linearizable."""
    # At one time all that start come first: such calls ran side by side.
    moments = [(call.start, 0, number) for number, call in enumerate(calls)]
    moments += [(call.end, 1, number) for number, call in enumerate(calls) if call.end is not None]
    under_way: set[int] = set()
    never_ended = frozenset(number for number, call in enumerate(calls) if call.end is None)
    possible = {Possible(FREE, frozenset())}
    for _, ends, number in sorted(moments):
        if not ends:
            under_way.add(number)
            continue
        with_it = _take_effect(calls, number, under_way, possible)
        if not with_it:
            return calls[number]
        under_way.remove(number)
        possible = _most_open({Possible(seat, done - {number}) for seat, done in with_it}, never_ended)
    return None


def _take_effect(
    calls: Sequence[Call], number: int, under_way: set[int], possible: Iterable[Possible]
) -> set[Possible]:
    """Let calls under way take effect, in every order, until one has; return the states that this leads to."""
    reads = [each for each in under_way if calls[each].reads]
    others = [each for each in under_way if not calls[each].reads]
    found: set[Possible] = set()
    seen = set()
    left = list(possible)
    while left:
        seat, done = left.pop()
        # A call that only reads may have its effect wherever it fits: no later choice depends on it.
        done |= {each for each in reads if each not in done and calls[each].step(seat) is not None}
        now = Possible(seat, done)
        if now in seen:
            continue
        seen.add(now)
        if number in done:
            found.add(now)
            continue
        for each in others:
            if each not in done:
                after = calls[each].step(seat)
                if after is not None:
                    left.append(Possible(after, done | {each}))
    return found


def _most_open(possible: set[Possible], never_ended: frozenset[int]) -> set[Possible]:
    """Drop what another possibility covers: the same, but with more of the calls that never ended still to come."""
    kept: dict[tuple[Seat, frozenset[int]], list[frozenset[int]]] = {}
    for seat, done in sorted(possible, key=lambda each: len(each.done)):
        spent = done & never_ended
        others = kept.setdefault((seat, done - never_ended), [])
        if not any(other <= spent for other in others):
            others.append(spent)
    return {Possible(seat, done | spent) for (seat, done), some in kept.items() for spent in some}
