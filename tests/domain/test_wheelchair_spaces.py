"""Areas and wheelchair spaces of an auditorium: which are accepted, who may book them, and the gap rule beside them."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinema_grpc.domain.booking_errors import AccessibleOnly, SingleSeatGap
from cinema_grpc.domain.errors import InvalidRequest
from cinema_grpc.domain.seating import SeatArea, SeatPlan, SeatRow, WheelchairSpace
from cinema_grpc.domain.showtime import Showtime
from cinema_grpc.domain.showtime_changes import set_seat_blocks
from tests.builders import NOW, a_showtime, some_terms
from tests.domain.commands import a_block, cancel, hold, pay

ROWS = (SeatRow("A", (4, 4)), SeatRow("B", (6,)))
SPACE = WheelchairSpace("A2", ("A1", "A3"))


def refused(areas: Sequence[SeatArea] = (), spaces: Sequence[WheelchairSpace] = ()) -> dict[str, str]:
    """Return the problem by field."""
    with pytest.raises(InvalidRequest) as refusal:
        SeatPlan(ROWS, areas, spaces)
    return {violation.field: violation.description for violation in refusal.value.violations}


class TestAreas:
    def test_seats_win_over_rows(self) -> None:
        """In any order of areas; a seat in no area is standard."""
        rows = SeatArea("vip", rows=("B",))
        seats = SeatArea("sofa", seats=("B1", "A8"))
        for areas in ([rows, seats], [seats, rows]):
            plan = SeatPlan(ROWS, areas)
            assert plan.categories == ("standard",) * 7 + ("sofa", "sofa") + ("vip",) * 5

    def test_without_areas_all_is_standard(self) -> None:
        assert set(SeatPlan(ROWS).categories) == {"standard"}

    def test_a_category_may_have_several_areas(self) -> None:
        plan = SeatPlan(
            ROWS, [SeatArea("vip", rows=("A",)), SeatArea("vip", seats=("B1",)), SeatArea("standard", seats=("A1",))]
        )
        assert plan.categories == ("standard",) + ("vip",) * 8 + ("standard",) * 5

    @pytest.mark.parametrize(
        ("areas", "fields"),
        [
            ([SeatArea("VIP", rows=("A",))], ["areas[0].category"]),
            ([SeatArea("x" * 33, rows=("A",))], ["areas[0].category"]),
            ([SeatArea("vip")], ["areas[0]"]),
            ([SeatArea("vip", rows=("C",))], ["areas[0].rows"]),
            ([SeatArea("vip", seats=("A9",))], ["areas[0].seats"]),
            ([SeatArea("vip", rows=("A", "A"))], ["areas[0].rows"]),
            ([SeatArea("vip", rows=("A",)), SeatArea("sofa", rows=("A",))], ["areas[1].rows"]),
            (
                [SeatArea("vip", seats=("A1",)), SeatArea("vip", seats=("A1", "B9"))],
                ["areas[1].seats", "areas[1].seats"],
            ),
            ([SeatArea("", rows=("Z",), seats=("Z1",))], ["areas[0].category", "areas[0].rows", "areas[0].seats"]),
        ],
    )
    def test_refused(self, areas: list[SeatArea], fields: list[str]) -> None:
        """Each violation by its field."""
        with pytest.raises(InvalidRequest) as refusal:
            SeatPlan(ROWS, areas)
        assert [violation.field for violation in refusal.value.violations] == fields

    def test_at_most_twenty_categories(self) -> None:
        rows = [SeatRow(letter, (1,)) for letter in "ABCDEFGHIJKLMNOPQRSTU"]
        areas = [SeatArea(f"c{number}", rows=(row.label,)) for number, row in enumerate(rows)]
        assert len(set(SeatPlan(rows, areas[:20]).categories)) == 21  # standard is no area's
        with pytest.raises(InvalidRequest) as refusal:
            SeatPlan(rows, areas)
        assert [violation.field for violation in refusal.value.violations] == ["areas"]


class TestSpaces:
    def test_accepted(self) -> None:
        """With up to four companion seats, which need not lie beside it."""
        plan = SeatPlan(ROWS, (), [WheelchairSpace("B3", ("B1", "B2", "B5", "B6")), WheelchairSpace("A1")])
        assert {plan.labels[seat]: plan.labels[space] for seat, space in plan.space_of.items()} == {
            "B1": "B3",
            "B2": "B3",
            "B3": "B3",
            "B5": "B3",
            "B6": "B3",
            "A1": "A1",
        }

    @pytest.mark.parametrize(
        ("spaces", "field", "problem"),
        [
            ([WheelchairSpace("A9")], "[0].seat", "A9"),
            ([WheelchairSpace("A2", ("A9",))], "[0].companion_seats", "A9"),
            ([WheelchairSpace("A2", ("A2",))], "[0].companion_seats", "A2"),
            ([WheelchairSpace("A2", ("A1", "A1"))], "[0].companion_seats", "A1"),
            ([WheelchairSpace("A4", ("A5",))], "[0].companion_seats", "same section as A4, unlike A5"),
            ([WheelchairSpace("A4", ("B4",))], "[0].companion_seats", "same section as A4, unlike B4"),
            ([WheelchairSpace("B1", ("B2", "B3", "B4", "B5", "B6"))], "[0].companion_seats", "at most 4 seats, not 5"),
            ([SPACE, WheelchairSpace("A2")], "[1].seat", "A2"),
            ([SPACE, WheelchairSpace("A3")], "[1].seat", "A3"),
            ([SPACE, WheelchairSpace("A4", ("A3",))], "[1].companion_seats", "A3"),
            ([SPACE, WheelchairSpace("A4", ("A2",))], "[1].companion_seats", "A2"),
        ],
    )
    def test_refused(self, spaces: list[WheelchairSpace], field: str, problem: str) -> None:
        """Unknown seats, seats twice, other sections, too many companions: each by its field."""
        problems = refused(spaces=spaces)
        assert list(problems) == [f"wheelchair_spaces{field}"]
        assert problem in problems[f"wheelchair_spaces{field}"]

    def test_all_that_is_wrong_is_named(self) -> None:
        """Areas too."""
        problems = refused([SeatArea("vip", rows=("C",))], [WheelchairSpace("C1", ("C2",))])
        assert list(problems) == ["areas[0].rows", "wheelchair_spaces[0].seat", "wheelchair_spaces[0].companion_seats"]


@pytest.mark.parametrize(
    ("chosen", "wheelchair", "misused"),
    [
        ("A4", False, ""),
        ("A2", False, "A2"),
        ("A1", False, "A1"),
        ("A3 A4 A7", False, "A3 A7"),
        ("A2", True, ""),
        ("A1 A2 A3", True, ""),
        ("A2 A4 B1", True, ""),  # ordinary seats too
        ("A7", True, ""),
        ("A2 A7", True, ""),
        ("A4", True, "A4"),  # no space at all
        ("A1 A4", True, "A1 A4"),
        ("A8", True, "A8"),
        ("A1 A7", True, "A1"),  # the companion seat of another space
        ("A2 A8", True, "A8"),
        ("A1 A2 A7 A8", True, ""),
    ],
)
def test_who_may_book_them(chosen: str, wheelchair: bool, misused: str) -> None:
    """Bookings with `wheelchair`, with a space, and companion seats only with their own space."""
    plan = SeatPlan(ROWS, (), [SPACE, WheelchairSpace("A7", ("A8",))])
    found = plan.misused_spaces(plan.positions(chosen.split()), wheelchair=wheelchair)
    assert [plan.labels[position] for position in found] == misused.split()


def test_companion_seats_are_not_paid_for_without_their_space() -> None:
    """The other seats of the booking are."""
    showtime = Showtime(replace(some_terms(), seat_plan=SeatPlan(ROWS, (), [SPACE])))
    hold(showtime, "A2", "A3", "B1", wheelchair=True)
    cancel(showtime, "A2")
    with pytest.raises(AccessibleOnly) as refusal:
        pay(showtime)
    assert refusal.value.metadata == {"seats": "A3"}
    cancel(showtime, "A3")
    assert pay(showtime).labels == ("B1",)


def test_an_auditorium_without_spaces_takes_no_wheelchair_booking() -> None:
    plan = SeatPlan(ROWS)
    assert plan.misused_spaces([0, 1], wheelchair=True) == [0, 1]
    assert plan.misused_spaces([0, 1], wheelchair=False) == []


def with_space() -> Showtime:
    return Showtime(replace(some_terms(), seat_plan=SeatPlan([SeatRow("A", (9,))], (), [WheelchairSpace("A5")])))


def with_block() -> Showtime:
    showtime = a_showtime(rows=(SeatRow("A", (9,)),))
    set_seat_blocks(showtime, a_block("A5"), (), NOW)
    return showtime


@pytest.mark.parametrize("showtime", [with_space(), with_block()], ids=["wheelchair space", "blocked"])
@pytest.mark.parametrize(
    ("taken", "stranded"),
    [("A1 A2 A3", ""), ("A1 A2", ""), ("A2 A3", "A1,A4"), ("A3 A4", ""), ("A6", ""), ("A7 A8", "A6,A9"), ("A4 A6", "")],
)
def test_table(showtime: Showtime, taken: str, stranded: str) -> None:
    """The contract's table: A5 is a wall in A1 to A9."""
    copy = showtime.copy()
    if not stranded:
        hold(copy, *taken.split())
        return
    with pytest.raises(SingleSeatGap) as refusal:
        hold(copy, *taken.split())
    assert refusal.value.metadata == {"stranded_seats": stranded}


def test_the_rule_is_not_applied_among_spaces() -> None:
    """A1 is left single, and A4, an ordinary seat, is no neighbour of A3."""
    plan = SeatPlan(ROWS, (), [SPACE])
    showtime = Showtime(replace(some_terms(), seat_plan=plan))
    hold(showtime, "A2", "A3", wheelchair=True)
    hold(showtime, "A4", by="bob", name="b2")


@st.composite
def walls(draw: st.DrawFn) -> tuple[list[int], set[int]]:
    """Choose the sections of a row, and some of its positions."""
    sections = draw(st.lists(st.integers(1, 7), min_size=1, max_size=3))
    return sections, draw(st.sets(st.integers(0, sum(sections) - 1), max_size=3))


def split(sections: Sequence[int], walls: set[int]) -> list[int]:
    """Return the sections with each wall as a section of its own."""
    ends = {sum(sections[: count + 1]) for count in range(len(sections))}
    edges = sorted(ends | walls | {position + 1 for position in walls} | {0})
    return [stop - start for start, stop in itertools.pairwise(edges)]


@given(walls(), st.data())
def test_spaces_are_walls(row: tuple[list[int], set[int]], data: st.DataObject) -> None:
    """The verdict is that of a row with walls in their place, free or taken; among them there is none."""
    sections, spaces = row
    plan = SeatPlan([SeatRow("A", tuple(sections))], (), [WheelchairSpace(f"A{position + 1}") for position in spaces])
    walled = SeatPlan([SeatRow("A", tuple(split(sections, spaces)))])
    free = data.draw(st.sets(st.integers(0, sum(sections) - 1), min_size=1))
    chosen = sorted(data.draw(st.sets(st.sampled_from(sorted(free)), min_size=1)))
    expected = walled.stranded([position for position in chosen if position not in spaces], free.__contains__)
    assert plan.stranded(chosen, free.__contains__) == expected
    for position in range(len(plan)):
        assert plan.neighbours(position) == walled.neighbours(position)
        assert plan.run(position, free.__contains__) == walled.run(position, free.__contains__)


@given(walls(), st.data())
def test_blocks_are_walls(row: tuple[list[int], set[int]], data: st.DataObject) -> None:
    """A claim beside blocked seats has the verdict of a claim in a row with walls in their place."""
    sections, blocked = row
    showtime = a_showtime(rows=(SeatRow("A", tuple(sections)),))
    others = sorted(set(range(sum(sections))) - blocked)
    if not others:
        return
    if blocked:
        set_seat_blocks(showtime, a_block(*(f"A{position + 1}" for position in blocked)), (), NOW)
    chosen = data.draw(st.sets(st.sampled_from(others), min_size=1, max_size=10))
    walled = SeatPlan([SeatRow("A", tuple(split(sections, blocked)))])
    expected = [walled.labels[each] for each in walled.stranded(sorted(chosen), lambda _: True)]
    seats = [f"A{position + 1}" for position in chosen]
    if not expected:
        hold(showtime, *seats)
        return
    with pytest.raises(SingleSeatGap) as refusal:
        hold(showtime, *seats)
    assert refusal.value.metadata["stranded_seats"].split(",") == expected
