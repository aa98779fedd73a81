"""Groups of free seats side by side that a party may take: those that the gap rule and the wheelchair spaces allow.

A run of n free seats has a choice of k side by side that the gap rule allows, for every k <= n: from one end of the run
on, k seats leave n - k together, and if that is one seat, the rule exempts it. So the rule never turns away a
party that fits in a run. Seats that begin or end at a wheelchair space, or cross one, are always allowed: they take
each run from its end, or whole.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, groupby, pairwise
from typing import NamedTuple

from cinema_grpc.domain.seating import SeatPlan
from cinema_grpc.domain.terms import SeatGapPolicy

CACHED_PLANS = 256
"""For how many seat plans the rows are cached: a chain has a few dozen."""


@dataclass(frozen=True, slots=True)
class Party:
    """People who want seats.

    Attributes:
        size: How many they are; at least one.
        wheelchair_spaces: How many of them need one.
        categories: Those that their seats may be of; None: any.
        space_categories: Those that their wheelchair spaces may be of; None: any.
    """

    size: int
    wheelchair_spaces: int = 0
    categories: frozenset[str] | None = None
    space_categories: frozenset[str] | None = None


class Group(NamedTuple):
    """Seats side by side. Groups of equal size compare by their rank.

    Attributes:
        distance: Sum over its seats of the squared distance to the best spot, in half seats; see `suggestions`.
        leaves_two: Whether it leaves a run of two.
        start: The position of its first seat.
        size: How many seats.
        spaces: How many of them are wheelchair spaces.
        whole_run: Whether it leaves nothing of the runs that it takes seats from.
        offset: Distance of its middle to the middle of the row, in half seats.
        row_offset: Distance to the row two thirds back, in rows.
    """

    distance: int
    leaves_two: bool
    start: int
    size: int
    spaces: int
    whole_run: bool
    offset: int
    row_offset: int


class _Row(NamedTuple):
    """A row: its sections as ranges of positions, and its distance in rows to the row two thirds back."""

    sections: tuple[range, ...]
    offset: int


class FreeSeats:
    """The free seats of a showtime, as one party may take them. Rows are numbered from 0."""

    def __init__(self, plan: SeatPlan, is_free: Callable[[int], bool], gap_policy: SeatGapPolicy, party: Party) -> None:
        """Set up.

        Args:
            plan: The seats.
            is_free: Returns whether a position is free. It is asked only about rows that are looked at.
            gap_policy: Whether a booking may strand a single seat.
            party: Who wants seats.
        """
        self.party = party
        self._plan = plan
        self._is_free = is_free
        self._refuse = gap_policy is SeatGapPolicy.REFUSE
        self._rows = _rows(plan)
        self._free = [False] * len(plan)
        self._runs: list[tuple[int, int] | None] = [None] * len(plan)
        self._stretches: dict[int, list[range]] = {}

    @property
    def rows(self) -> range:
        """The numbers of the rows."""
        return range(len(self._rows))

    def least_distance(self, row: int) -> int:
        """Return a lower bound for the distance of the whole party, if one of its groups is in a row."""
        return self.party.size * (2 * self._rows[row].offset) ** 2

    def groups(self, row: int, size: int) -> Iterator[Group]:
        """Return the groups of a row that the gap rule and the wheelchair spaces allow."""
        sections, row_offset = self._rows[row]
        middle = sections[0].start + sections[-1].stop
        spread = size * (size * size - 1) // 3 + size * (2 * row_offset) ** 2
        runs, refuse = self._runs, self._refuse
        for stretch in self._usable(row):
            for start in range(stretch.start, stretch.stop - size + 1):
                stop = start + size
                spaces = self._spaces(start, stop) if self.party.wheelchair_spaces else 0
                if spaces is None:
                    continue
                first, last = runs[start], runs[stop - 1]
                before = start - first[0] if first is not None else 0
                after = last[1] - stop if last is not None else 0
                if refuse and first is last and (before == 1 or after == 1) and before + after != 1:
                    continue
                offset = abs(start + stop - middle)
                distance = spread + size * offset * offset
                leaves_two = before == 2 or after == 2
                yield Group(distance, leaves_two, start, size, spaces, not (before or after), offset, row_offset)

    def _spaces(self, start: int, stop: int) -> int | None:
        """Return how many wheelchair spaces are among positions; None if a companion seat is without its space."""
        found = [self._plan.space_of[each] for each in range(start, stop) if each in self._plan.space_of]
        if not all(start <= space < stop for space in found):
            return None
        return len(set(found))

    def _usable(self, row: int) -> list[range]:
        """Return the stretches of seats side by side in a row that are free and that the party may have."""
        known = self._stretches.get(row)
        if known is not None:
            return known
        takes_any = self.party.categories is None and not self.party.wheelchair_spaces
        found: list[range] = []
        for section in self._rows[row].sections:
            self._free[section.start : section.stop] = map(self._is_free, section)
            runs = self._find_runs(section)
            if takes_any:
                found += (range(*run) for run in runs)
                continue
            for usable, seats in groupby(section, self._is_usable):
                if usable:
                    start, *others = seats
                    found.append(range(start, start + 1 + len(others)))
        self._stretches[row] = found
        return found

    def _is_usable(self, position: int) -> bool:
        if not self._free[position]:
            return False
        plan, party = self._plan, self.party
        space = plan.space_of.get(position)
        if space is not None and not party.wheelchair_spaces:
            return False
        categories = party.space_categories if space == position else party.categories
        return categories is None or plan.categories[position] in categories

    def _find_runs(self, section: range) -> list[tuple[int, int]]:
        """Return the runs of ordinary seats of a section, and note them by position.

        Each run is its first position, and the one after its last.
        """
        found: list[tuple[int, int]] = []
        position = section.start
        while position < section.stop:
            if self._free[position] and position not in self._plan.space_of:
                run = self._plan.run(position, self._free.__getitem__)
                self._runs[position : run[1]] = [run] * (run[1] - position)
                found.append(run)
                position = run[1]
            else:
                position += 1
        return found


@lru_cache(CACHED_PLANS)
def _rows(plan: SeatPlan) -> Sequence[_Row]:
    best = (2 * len(plan.rows) - 1) // 3
    rows: list[_Row] = []
    start = 0
    for number, row in enumerate(plan.rows):
        edges = list(accumulate(row.sections, initial=start))
        rows.append(_Row(tuple(range(*edge) for edge in pairwise(edges)), abs(number - best)))
        start = edges[-1]
    return rows
