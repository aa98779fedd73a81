"""The gap rule: each row of its table, and a property for any run of seats."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinema_grpc.domain.seating import SeatPlan, SeatRow

ONE_SECTION = (10,)
WITH_AISLE = (4, 4)


def stranded(sections: Sequence[int], free: str, taken: str) -> list[str]:
    """Return the seats that a booking strands in a row A of `sections`. Seats are written as "1-3 5"."""
    plan = SeatPlan([SeatRow("A", tuple(sections))])
    free_positions = {number - 1 for number in _numbers(free)}
    chosen = [number - 1 for number in _numbers(taken)]
    return [plan.labels[position] for position in plan.stranded(chosen, lambda position: position in free_positions)]


def _numbers(text: str) -> list[int]:
    numbers: list[int] = []
    for part in text.split():
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


@pytest.mark.parametrize(
    ("sections", "free", "taken", "expected"),
    [
        (ONE_SECTION, "1-10", "1 3", ["A2"]),
        (ONE_SECTION, "1-10", "2 3", ["A1"]),
        (ONE_SECTION, "1-10", "3 4", []),
        (ONE_SECTION, "1-10", "1 2 4 5", ["A3"]),
        (ONE_SECTION, "1-3", "1 2", []),
        (ONE_SECTION, "1-3", "1 3", ["A2"]),
        (ONE_SECTION, "1-3", "2", ["A1", "A3"]),
        (ONE_SECTION, "1-2", "1", []),
        (ONE_SECTION, "5", "5", []),
        (WITH_AISLE, "1-8", "1 2 3", []),
        (WITH_AISLE, "1-8", "4 5", []),
        (WITH_AISLE, "1-8", "3 5", ["A4"]),
    ],
)
def test_table(sections: Sequence[int], free: str, taken: str, expected: list[str]) -> None:
    """Each row of the contract's table."""
    assert stranded(sections, free, taken) == expected


@pytest.mark.parametrize(
    ("free", "taken", "expected"),
    [
        ("1-4 6-10", "2 7", ["A1", "A6"]),  # two runs, each checked separately
        ("1-3 6-10", "1 2 7", ["A6"]),  # the first run is exempt, the second is not
        ("2 4-10", "4", []),  # A2 was a run of one before
        ("1-10", "9", ["A10"]),
        ("1-10", "1-10", []),
        ("1-10", "2-10", []),  # all but one, side by side
        ("1-10", "1-5 7-10", ["A6"]),  # all but one, but not side by side
        ("1-5", "2 4", ["A1", "A3", "A5"]),
    ],
)
def test_more_runs(free: str, taken: str, expected: list[str]) -> None:
    """Runs are checked separately, and all stranded seats are named in row order."""
    assert stranded(ONE_SECTION, free, taken) == expected


def test_rows_are_not_neighbours() -> None:
    """The last seat of a row and the first of the next are not adjacent."""
    plan = SeatPlan([SeatRow("A", (3,)), SeatRow("B", (3,))])
    assert plan.stranded(plan.positions(["A2", "A3", "B1"]), lambda _: True) == []
    assert plan.stranded(plan.positions(["A3", "B1", "B2"]), lambda _: True) == []
    assert [plan.labels[each] for each in plan.stranded(plan.positions(["A3", "B2"]), lambda _: True)] == ["B1", "B3"]


def naive_stranded(sections: Sequence[int], free: set[int], chosen: set[int]) -> set[int]:
    """A direct implementation of the rule: compare the runs before and after."""
    ends = {sum(sections[: count + 1]) for count in range(len(sections))}

    def runs(seats: set[int]) -> list[list[int]]:
        found: list[list[int]] = []
        for seat in sorted(seats):
            if found and found[-1][-1] == seat - 1 and seat not in ends:
                found[-1].append(seat)
            else:
                found.append([seat])
        return found

    result: set[int] = set()
    for run in runs(free):
        taken = sorted(chosen & set(run))
        left = runs(set(run) - chosen)
        alone = {seats[0] for seats in left if len(seats) == 1}
        together = bool(taken) and taken[-1] - taken[0] + 1 == len(taken)
        exempt = len(taken) == len(run) - 1 and together
        if taken and alone and len(run) > 1 and not exempt:
            result |= alone
    return result


@given(
    sections=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    data=st.data(),
)
def test_agrees_with_a_direct_implementation(sections: list[int], data: st.DataObject) -> None:
    """For any row, free seats and choice."""
    total = sum(sections)
    free = data.draw(st.sets(st.integers(0, total - 1), min_size=1))
    chosen = data.draw(st.sets(st.sampled_from(sorted(free)), min_size=1))
    plan = SeatPlan([SeatRow("A", tuple(sections))])
    assert set(plan.stranded(sorted(chosen), free.__contains__)) == naive_stranded(sections, free, chosen)
