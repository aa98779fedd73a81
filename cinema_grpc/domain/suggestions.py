"""The best free seats for a party, in a fixed ranking.

An option is a choice of seats that can be booked: one group of seats side by side in one section, or, if the party may
be split, several groups of two or more, one in each of some neighbouring rows, in as few groups as can be. Options are
ranked by, in this order:

1. all side by side before split;
2. the nearer one to the best spot, which is the middle of the row two thirds back; taken and blocked seats count too.
   Rows are taken to stand with their middles behind one another, as far apart as seats are wide. The distance of an
   option is the sum of the squares of the distances of its seats; for options side by side that is the order of their
   middles' distances;
3. an option that leaves no run of two free seats, then one that does;
4. the row of its first seat, from the screen on, then the number of that seat; then the same of the other groups;
   of groups that begin at the same seats, the one with more seats in the first row that differs.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from cinema_grpc.domain.booking_errors import NoCategoryOffers, NoSeatsTogether
from cinema_grpc.domain.claims import BestSeats, Selection
from cinema_grpc.domain.errors import FieldViolation, InvalidRequest
from cinema_grpc.domain.seat_groups import CACHED_PLANS, FreeSeats, Group, Party
from cinema_grpc.domain.seating import SeatPlan
from cinema_grpc.domain.terms import Terms

SMALLEST_GROUP = 2
"""How many seats each group of a split option has at least."""


class OptionReason(Enum):
    """Why an option stands where it does; the protos explain each."""

    TOGETHER = "TOGETHER"
    SPLIT_IN_TWO = "SPLIT_IN_TWO"
    SPLIT_IN_MORE = "SPLIT_IN_MORE"
    CENTRAL = "CENTRAL"
    BEST_ROW = "BEST_ROW"
    WHOLE_RUN = "WHOLE_RUN"
    LEAVES_RUN_OF_TWO = "LEAVES_RUN_OF_TWO"


@dataclass(frozen=True, slots=True)
class SeatOption:
    """Seats for a party.

    Attributes:
        positions: Of the seats, in row order.
        reasons: Why it stands where it does.
        centre_offset: Distance in seats from the middle of the seats to the middle of their row.
        row_offset: Distance in rows to the row two thirds back. With several groups, both are those of the farthest.
    """

    positions: tuple[int, ...]
    reasons: tuple[OptionReason, ...]
    centre_offset: float
    row_offset: int

    @property
    def together(self) -> bool:
        """Whether all seats are side by side."""
        return OptionReason.TOGETHER in self.reasons


class _Combination(NamedTuple):
    """Groups of an option, which compare by the rank of the option.

    Attributes:
        starts: Their first positions.
        sizes: The numbers of their seats, negative, so that more seats come first.
    """

    distance: int
    leaves_two: bool
    starts: tuple[int, ...]
    sizes: tuple[int, ...]
    groups: tuple[Group, ...]


_NOTHING = _Combination(0, leaves_two=False, starts=(), sizes=(), groups=())
_Kind = tuple[int, int, bool]
"""Of groups that are compared with each other: how many seats, how many wheelchair spaces, whether it leaves two."""


def suggest(seats: FreeSeats, most: int, *, split: bool = True) -> list[SeatOption]:
    """Return the best options for a party, at most `most`, with split ones if allowed."""
    found = [_extend(_NOTHING, each) for each in _together(seats, most)]
    if split and len(found) < most:
        found += _split(seats, most - len(found))
    return [_option(each.groups) for each in found]


def pick(terms: Terms, is_free: Callable[[int], bool], wanted: BestSeats) -> Selection:
    """Return the best seats for a party, with a ticket type for each.

    Args:
        terms: The showtime's.
        is_free: Returns whether a position is free.
        wanted: Who wants seats.

    Raises:
        InvalidRequest: The auditorium has none of the categories that the party may have.
        NoCategoryOffers: No category that the party may have has a price for all of its ticket types.
        NoSeatsTogether: There is no option.
    """
    plan, spaces = terms.seat_plan, wanted.wheelchair_spaces
    in_spaces, others = wanted.ticket_types[:spaces], wanted.ticket_types[spaces:]
    party = Party(
        len(wanted.ticket_types), spaces, _offering(terms, wanted, others), _offering(terms, wanted, in_spaces)
    )
    seats = FreeSeats(plan, is_free, terms.seat_gap_policy, party)
    options = suggest(seats, 1, split=wanted.allow_split)
    if not options:
        raise NoSeatsTogether(terms.showtime_id, party.size, _largest_group(seats))
    left, left_in_spaces = iter(others), iter(in_spaces)
    positions = options[0].positions
    ticket_types = [next(left_in_spaces if plan.space_of.get(each) == each else left) for each in positions]
    return Selection([plan.labels[each] for each in positions], ticket_types, wheelchair=spaces > 0)


def _offering(terms: Terms, wanted: BestSeats, ticket_types: Sequence[str]) -> frozenset[str] | None:
    """Return the categories that a party may have and that have a price for all of some ticket types; None for all.

    Raises:
        InvalidRequest: The auditorium has none of the categories that it may have.
        NoCategoryOffers: None of the categories that it may have has all these prices.
    """
    every = categories_of(terms.seat_plan)
    allowed = every & wanted.categories if wanted.categories else every
    find = terms.prices.find
    found = frozenset(each for each in allowed if all(find(each, ticket_type) for ticket_type in ticket_types))
    if not allowed:
        known = f"must be categories that the showtime has: {', '.join(sorted(every))}"
        raise InvalidRequest(FieldViolation("best.categories", known))
    if not found:
        raise NoCategoryOffers(sorted(set(ticket_types)))
    return None if found == every else found


@lru_cache(CACHED_PLANS)
def categories_of(plan: SeatPlan) -> frozenset[str]:
    """Return the categories of the seats of an auditorium."""
    return frozenset(plan.categories)


def _largest_group(seats: FreeSeats) -> int:
    """Return the largest smaller party, with as many wheelchair spaces, that fits side by side; 0 for none."""
    spaces = seats.party.wheelchair_spaces
    for size in range(seats.party.size - 1, max(spaces, 1) - 1, -1):
        if any(group.spaces == spaces for row in seats.rows for group in seats.groups(row, size)):
            return size
    return 0


def _together(seats: FreeSeats, most: int) -> list[Group]:
    """Return the best options side by side. Rows that are too far to have one are not looked at."""
    size, spaces = seats.party.size, seats.party.wheelchair_spaces
    found: list[Group] = []
    for row in sorted(seats.rows, key=seats.least_distance):
        if len(found) == most and found[-1].distance < seats.least_distance(row):
            break
        found = sorted([*found, *(each for each in seats.groups(row, size) if each.spaces == spaces)])[:most]
    return found


def _split(seats: FreeSeats, most: int) -> list[_Combination]:
    """Return the best options in several groups, all in as few as can be."""
    tables: dict[int, dict[_Kind, list[Group]]] = {}
    for count in range(2, seats.party.size // SMALLEST_GROUP + 1):
        stacks = [range(first, first + count) for first in range(len(seats.rows) - count + 1)]
        nearest = {stack: min(map(seats.least_distance, stack)) for stack in stacks}
        found: list[_Combination] = []
        for stack in sorted(stacks, key=nearest.__getitem__):
            if len(found) == most and found[-1].distance < nearest[stack]:
                break
            for row in stack:
                if row not in tables:
                    tables[row] = _table(seats, row, most)
            found = sorted([*found, *_combinations(seats.party, [tables[row] for row in stack], most)])[:most]
        if found:
            return found
    return []


def _table(seats: FreeSeats, row: int, most: int) -> dict[_Kind, list[Group]]:
    """Return the groups of a row that a split option may have, by kind, the best `most` of each."""
    table: defaultdict[_Kind, list[Group]] = defaultdict(list)
    for size in range(SMALLEST_GROUP, seats.party.size - SMALLEST_GROUP + 1):
        for group in seats.groups(row, size):
            table[group.size, group.spaces, group.leaves_two].append(group)
    return {kind: sorted(groups)[:most] for kind, groups in table.items()}


def _combinations(party: Party, tables: Sequence[dict[_Kind, list[Group]]], most: int) -> list[_Combination]:
    """Return the best options with one group of each table.

    Only the best `most` combinations of each kind are extended: an extension keeps their order. In the same way,
    the i-th best combination with the j-th best group is not among the best `most` if i * j is larger.
    """
    combinations: dict[_Kind, list[_Combination]] = {(0, 0, False): [_NOTHING]}
    complete = party.size, party.wheelchair_spaces
    most_spaces = [max((spaces for _, spaces, _ in table), default=0) for table in tables]
    for number, table in enumerate(tables, 1):
        spaces_to_come = sum(most_spaces[number:])
        last = number == len(tables)
        room = party.size - SMALLEST_GROUP * (len(tables) - number)
        extended: defaultdict[_Kind, list[_Combination]] = defaultdict(list)
        for (size, spaces, leaves_two), some in combinations.items():
            for kind, groups in table.items():
                total, needed = size + kind[0], spaces + kind[1]
                if total > room or not needed <= party.wheelchair_spaces <= needed + spaces_to_come:
                    continue
                if last and (total, needed) != complete:
                    continue
                extended[total, needed, leaves_two or kind[2]] += [
                    _extend(combination, group)
                    for rank, combination in enumerate(some, 1)
                    for group in groups[: most // rank]
                ]
        combinations = {kind: sorted(some)[:most] for kind, some in extended.items()}
    return [each for some in combinations.values() for each in some]


def _extend(combination: _Combination, group: Group) -> _Combination:
    return _Combination(
        combination.distance + group.distance,
        combination.leaves_two or group.leaves_two,
        (*combination.starts, group.start),
        (*combination.sizes, -group.size),
        (*combination.groups, group),
    )


def _option(groups: Sequence[Group]) -> SeatOption:
    centre_offset = max(group.offset for group in groups) / 2
    row_offset = max(group.row_offset for group in groups)
    count = {1: OptionReason.TOGETHER, 2: OptionReason.SPLIT_IN_TWO}.get(len(groups), OptionReason.SPLIT_IN_MORE)
    further = {
        OptionReason.CENTRAL: centre_offset <= 1,
        OptionReason.BEST_ROW: row_offset == 0,
        OptionReason.WHOLE_RUN: all(group.whole_run for group in groups),
        OptionReason.LEAVES_RUN_OF_TWO: any(group.leaves_two for group in groups),
    }
    return SeatOption(
        tuple(position for group in groups for position in range(group.start, group.start + group.size)),
        (count, *(reason for reason, holds in further.items() if holds)),
        centre_offset,
        row_offset,
    )
