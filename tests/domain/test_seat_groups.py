"""Groups of seats side by side: the gap rule turns away no party that fits in a run, and what is found is legal."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise, product

import pytest

from cinema_grpc.domain.booking_errors import SingleSeatGap
from cinema_grpc.domain.gap_rule import CustomerView
from cinema_grpc.domain.seat_groups import Party
from cinema_grpc.domain.seating import MAX_COMPANIONS, SeatArea, SeatPlan, SeatRow, WheelchairSpace
from cinema_grpc.domain.showtime import Showtime
from cinema_grpc.domain.showtime_changes import set_seat_blocks
from cinema_grpc.domain.terms import SeatGapPolicy
from tests.builders import NOW, a_booking, some_terms
from tests.domain.commands import a_block
from tests.domain.halls import Hall, count_spaces, rows_of

LONGEST_ROW = 14
ENDS = ("aisle", "taken", "blocked", "space", "companion")
"""What can end a run within a row."""


def runs() -> Iterator[tuple[int, range, str, str]]:
    """Return every run of a row of up to 14 seats, as its positions, and what ends it on each side."""
    for length in range(1, LONGEST_ROW + 1):
        for start in range(length):
            for stop in range(start + 1, length + 1):
                befores = ENDS if start else ("wall",)
                afters = ENDS if stop < length else ("wall",)
                for before, after in product(befores, afters):
                    yield length, range(start, stop), before, after


def a_showtime_with(length: int, run: range, before: str, after: str) -> Showtime | None:
    """Return a showtime with one row that has this run; None if there can be none. All other seats are free."""
    aisles = [each for end, each in ((before, run.start), (after, run.stop)) if end == "aisle"]
    edges = [0, *aisles, length]
    sections = tuple(stop - start for start, stop in pairwise(edges))
    places = {run.start - 1: before, run.stop: after}
    spaces: list[WheelchairSpace] = []
    for place, end in places.items():
        if end == "space":
            spaces.append(WheelchairSpace(f"A{place + 1}"))
        elif end == "companion":
            beyond = place - 1 if place < run.start else place + 1
            if not 0 <= beyond < length:
                return None
            spaces.append(WheelchairSpace(f"A{beyond + 1}", (f"A{place + 1}",)))
    terms = replace(some_terms(), seat_plan=SeatPlan([SeatRow("A", sections)], (), spaces))
    taken = tuple(f"A{place + 1}" for place, end in places.items() if end == "taken")
    showtime = Showtime(terms, [a_booking(taken)] if taken else [])
    if blocked := [f"A{place + 1}" for place, end in places.items() if end == "blocked"]:
        set_seat_blocks(showtime, a_block(*blocked), (), NOW)
    return showtime


@pytest.mark.no_cover
def test_a_run_seats_every_party_that_fits() -> None:
    """By exhaustion: a run of n free seats has a legal choice of k side by side for every k <= n."""
    checked = 0
    for length, run, before, after in runs():
        showtime = a_showtime_with(length, run, before, after)
        if showtime is None:
            continue
        seats = CustomerView("bob", showtime.owner_at(NOW))
        free = [seats.owner(position) is None for position in range(length)]
        assert showtime.terms.seat_plan.run(run.start, free.__getitem__) == (run.start, run.stop)
        for size in range(1, len(run) + 1):
            choices = (range(start, start + size) for start in range(run.start, run.stop - size + 1))
            assert any(is_legal(showtime, choice, seats) for choice in choices), (length, run, before, after, size)
            checked += 1
    assert checked > 20_000


def is_legal(showtime: Showtime, choice: range, seats: CustomerView) -> bool:
    try:
        showtime.check_gaps(choice, seats)
    except SingleSeatGap:
        return False
    return True


@pytest.mark.parametrize("policy", SeatGapPolicy)
@pytest.mark.parametrize("aisle", [0, 3])
@pytest.mark.no_cover
def test_finds_what_is_legal_and_nothing_else(policy: SeatGapPolicy, aisle: int) -> None:
    """In every row of up to nine seats, free or taken."""
    for length in range(1, 10):
        for drawn in rows_of(length):
            row = f"{drawn[:aisle]}|{drawn[aisle:]}" if 0 < aisle < length else drawn
            hall = Hall(row, policy=policy)
            check_groups(hall, length, spaces=0)


def test_finds_what_is_legal_among_wheelchair_spaces() -> None:
    """In every row of up to five seats: spaces with and without companion seats, ordinary seats, taken ones."""
    for length in range(1, 6):
        for drawn in rows_of(length, ".xwc"):
            if "c" not in drawn or ("w" in drawn and drawn.count("c") <= MAX_COMPANIONS):
                hall = Hall(drawn)
                for spaces in range(3):
                    check_groups(hall, length, spaces)


def check_groups(hall: Hall, length: int, spaces: int) -> None:
    """Compare with all choices of seats side by side."""
    section_of = [number for number, size in enumerate(hall.plan.rows[0].sections) for _ in range(size)]
    for size in range(max(1, spaces), length + 1):
        seats = hall.seats(Party(size, spaces))
        found = [each for each in seats.groups(0, size) if each.spaces == spaces]
        expected = [
            start
            for start in range(length - size + 1)
            if section_of[start] == section_of[start + size - 1]
            and count_spaces(hall, start, size) == spaces
            and hall.is_legal(range(start, start + size), wheelchair=spaces > 0)
        ]
        assert [each.start for each in found] == expected, (hall.free, size)
        assert {each.size for each in found} <= {size}


@pytest.mark.parametrize(
    ("vip", "found"),
    [
        ("A1 A2", "A1 A2"),
        ("A2 A3", ""),  # would strand A1
        ("A3 A4", "A3 A4"),
        ("A2 A3 A4", "A3 A4"),
        ("A5 A6", "A5 A6"),
        ("A1 A6", ""),
    ],
)
def test_a_category_narrows_the_choice(vip: str, found: str) -> None:
    """The gap rule still judges the whole run, A1 to A6."""
    hall = Hall("......", areas=[SeatArea("vip", seats=tuple(vip.split()))])
    seats = hall.seats(Party(2, categories=frozenset({"vip"})))
    starts = [each.start for each in seats.groups(0, 2)]
    assert " ".join(f"A{each + 1} A{each + 2}" for each in starts) == found
