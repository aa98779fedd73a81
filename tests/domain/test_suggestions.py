"""The best seats for a party: the ranking, against a direct implementation of it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cinema_grpc.domain import holds, suggestions
from cinema_grpc.domain.claims import Selection
from cinema_grpc.domain.seat_groups import Party
from cinema_grpc.domain.suggestions import OptionReason
from cinema_grpc.domain.terms import SeatGapPolicy
from tests.builders import NOW, a_booking, a_showtime
from tests.domain.commands import TEN_MINUTES
from tests.domain.halls import Hall, count_spaces

LARGEST = 10


class Ranked(NamedTuple):
    """An option, which compares by its rank: the documented one, written down directly."""

    split: bool
    groups: int
    distance: Fraction
    leaves_two: bool
    starts: tuple[tuple[int, int], ...]
    positions: tuple[int, ...]


def naive_options(hall: Hall, party: Party) -> list[Ranked]:
    """Try all choices of groups in neighbouring rows, and rank those that are legal."""
    groups_in = [list(naive_groups(hall, party, row)) for row in range(len(hall.plan.rows))]
    options: list[Ranked] = []
    for count in range(1, party.size // 2 + 1 if party.size > 1 else 2):
        for first in range(len(groups_in) - count + 1):
            for groups in product(*groups_in[first : first + count]):
                positions = tuple(position for group in groups for position in group)
                if len(positions) == party.size and (count == 1 or min(map(len, groups)) > 1):
                    options += naive_option(hall, party, groups, positions)
    fewest = min((each.groups for each in options if each.split), default=0)
    return sorted(each for each in options if not each.split or each.groups == fewest)


def naive_groups(hall: Hall, party: Party, row: int) -> Iterator[range]:
    start = sum(sum(each.sections) for each in hall.plan.rows[:row])
    for length in hall.plan.rows[row].sections:
        for size in range(1, min(length, party.size) + 1):
            yield from (range(each, each + size) for each in range(start, start + length - size + 1))
        start += length


def naive_option(hall: Hall, party: Party, groups: Sequence[range], positions: tuple[int, ...]) -> Iterator[Ranked]:
    plan = hall.plan
    if not hall.is_legal(positions, wheelchair=party.wheelchair_spaces > 0):
        return
    if sum(count_spaces(hall, each.start, len(each)) for each in groups) != party.wheelchair_spaces:
        return
    places = [place_of(hall, position) for position in positions]
    best_row = -(-2 * len(plan.rows) // 3) - 1
    distance = sum(((row - best_row) ** 2 + across**2 for row, across in places), Fraction(0))
    starts = tuple((place_of(hall, each.start)[0], each.start) for each in groups)
    yield Ranked(len(groups) > 1, len(groups), distance, leaves_two(hall, positions), starts, positions)


def place_of(hall: Hall, position: int) -> tuple[int, Fraction]:
    """Return the row of a seat, and how far it is from the row's middle."""
    for row, each in enumerate(hall.plan.rows):
        length = sum(each.sections)
        if position < length:
            return row, position - Fraction(length - 1, 2)
        position -= length
    raise AssertionError


def leaves_two(hall: Hall, positions: Sequence[int]) -> bool:
    """Return whether a run of two is left of a run that seats are taken from."""
    plan, left = hall.plan, [free and each not in positions for each, free in enumerate(hall.free)]
    ordinary = [position for position in positions if position not in plan.space_of]
    beside = [each for position in ordinary for each in plan.neighbours(position) if left[each]]
    runs = [plan.run(each, left.__getitem__) for each in beside]
    return any(stop - start == 2 for start, stop in runs)


@st.composite
def halls(draw: st.DrawFn, seats: str = "...x", longest: int = 9) -> Hall:
    rows = draw(st.lists(st.text(seats + "|", min_size=1, max_size=longest), min_size=1, max_size=4))
    drawn = ["|".join(part for part in row.split("|") if part) or "." for row in rows]
    policy = draw(st.sampled_from(SeatGapPolicy))
    return Hall(*drawn, policy=policy)


def assert_ranked(hall: Hall, party: Party) -> None:
    """The options are the best ones of the direct implementation, in its order, whatever their number."""
    expected = [each.positions for each in naive_options(hall, party)]
    for most in (1, 3, LARGEST):
        assert [each.positions for each in hall.options(party, most)] == expected[:most]
    together = [each.positions for each in naive_options(hall, party) if not each.split]
    assert [each.positions for each in hall.options(party, LARGEST, split=False)] == together[:LARGEST]


@given(halls(), st.integers(1, 7))
@settings(max_examples=100)
def test_agrees_with_a_direct_implementation(hall: Hall, size: int) -> None:
    assert_ranked(hall, Party(size))


@given(halls("..x"), st.integers(8, 10))
@settings(max_examples=25)
def test_agrees_for_parties_that_have_to_split(hall: Hall, size: int) -> None:
    assert_ranked(hall, Party(size))


def test_of_equal_options_that_begin_at_the_same_seats_the_first_row_has_more() -> None:
    """Two threes and a two are as far from the best spot as two twos and a four."""
    hall = Hall("x...", "xx..", "....", policy=SeatGapPolicy.ALLOW)
    assert hall.suggested(8, 2) == ["A2 A3 A4 B3 B4 C1 C2 C3", "A2 A3 B3 B4 C1 C2 C3 C4"]
    assert_ranked(hall, Party(8))


@given(halls("..wx", 7), st.integers(1, 6), st.data())
@settings(max_examples=100)
def test_agrees_with_wheelchair_spaces(hall: Hall, size: int, data: st.DataObject) -> None:
    assert_ranked(hall, Party(size, data.draw(st.integers(0, min(size, 2)))))


def test_options_are_not_sought_where_there_are_not_enough_wheelchair_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, each choice of groups was put together, to find at its end that it lacks spaces."""
    extended = 0

    def count(*groups: Any) -> Any:
        nonlocal extended
        extended += 1
        return extend(*groups)

    extend = suggestions._extend
    monkeypatch.setattr(suggestions, "_extend", count)
    hall = Hall(*["." * 25] * 10, "w" + "." * 24, *["." * 25] * 9)
    assert hall.options(Party(10, 2), LARGEST) == []
    assert extended == 0
    assert hall.options(Party(10, 1), LARGEST, split=True)


@given(halls("...xw"), st.integers(1, 10), st.data())
def test_every_option_can_be_booked(hall: Hall, size: int, data: st.DataObject) -> None:
    """As one booking, by a caller without holds; and no two have the same seats."""
    spaces = data.draw(st.integers(0, min(size, 2)))
    options = hall.options(Party(size, spaces), LARGEST)
    assert len({each.positions for each in options}) == len(options)
    taken = tuple(label for label, free in zip(hall.plan.labels, hall.free, strict=True) if not free)
    for option in options:
        showtime = a_showtime()
        showtime.restore_terms(replace(showtime.terms, seat_plan=hall.plan, seat_gap_policy=hall.policy))
        if taken:
            showtime.restore(a_booking(taken))
        selection = Selection(hall.labels(option), wheelchair=spaces > 0)
        assert len(holds.hold(showtime, "b1", "bob", selection, TEN_MINUTES, NOW).seats) == size


class TestRanking:
    def test_from_the_best_spot_outwards(self) -> None:
        """The middle of the row two thirds back, then one seat or one row away; ties go to the row, then the number."""
        hall = Hall(*[".........."] * 6)
        assert hall.suggested(2, 6) == ["D5 D6", "C5 C6", "D4 D5", "D6 D7", "E5 E6", "C4 C5"]
        assert hall.suggested(4, 4) == ["D4 D5 D6 D7", "C4 C5 C6 C7", "E4 E5 E6 E7", "D3 D4 D5 D6"]

    @pytest.mark.parametrize(("rows", "best"), [(1, "A"), (2, "B"), (3, "B"), (4, "C"), (9, "F"), (10, "G"), (12, "H")])
    def test_the_row_two_thirds_back(self, rows: int, best: str) -> None:
        hall = Hall(*["......"] * rows)
        (option,) = hall.options(2, 1)
        assert hall.labels(option) == [f"{best}3", f"{best}4"]
        assert (option.centre_offset, option.row_offset) == (0, 0)

    def test_taken_seats_do_not_move_the_middle(self) -> None:
        assert Hall("xxxx......").suggested(2, 1) == ["A5 A6"]

    def test_rows_of_other_lengths_have_their_middles_behind_one_another(self) -> None:
        assert Hall("....", "xxxxxxxxxx", "xx").suggested(2, 1) == ["A1 A2"]
        assert Hall("........", "xx", "..........").suggested(2, 2) == ["A4 A5", "C5 C6"]

    def test_together_before_nearer(self) -> None:
        hall = Hall("....xx", "xx..xx", "xx..xx")
        assert hall.suggested(4, 3) == ["A1 A2 A3 A4", "B3 B4 C3 C4", "A3 A4 B3 B4"]

    def test_leaving_a_run_of_two_comes_last_of_those_as_near(self) -> None:
        hall = Hall("x....xx.....")
        assert hall.suggested(2) == ["A8 A9", "A4 A5", "A2 A3", "A11 A12"]
        leave_two = [OptionReason.LEAVES_RUN_OF_TWO in each.reasons for each in hall.options(2)]
        assert leave_two == [False, True, True, False]


class TestSplitting:
    def test_in_neighbouring_rows(self) -> None:
        """Not across an aisle, and not two rows apart."""
        assert Hall("..|..").suggested(4) == []
        assert Hall("..", "xx", "..").suggested(4) == []
        assert Hall("..", "..", "xx").suggested(4) == ["A1 A2 B1 B2"]
        assert Hall("..", "..").suggested(4, split=False) == []

    def test_in_groups_of_two_or_more(self) -> None:
        assert Hall("...", ".xx").suggested(4) == []
        assert Hall("...", "..x").suggested(5) == ["A1 A2 A3 B1 B2"]
        assert Hall("..", "..").suggested(3) == []

    def test_as_few_groups_as_can_be(self) -> None:
        """Also where more of them would be nearer to the best spot."""
        hall = Hall("....", "...x", "..xx", "..xx")  # C is the best row
        options = hall.options(6, LARGEST)
        assert {each.reasons[0] for each in options} == {OptionReason.SPLIT_IN_TWO}
        assert {label[0] for each in options for label in hall.labels(each)} == {"A", "B"}
        (three,) = Hall("..", "..", "..").options(6, LARGEST)
        assert OptionReason.SPLIT_IN_MORE in three.reasons
        assert not three.together

    def test_offsets_are_those_of_the_farthest_group(self) -> None:
        (option,) = Hall("xxxxxx", "..xxxx", "xxx..x").options(4)
        assert (option.centre_offset, option.row_offset) == (2, 1)


def test_reasons() -> None:
    (alone,) = Hall("x..x").options(2)
    assert alone.reasons == (
        OptionReason.TOGETHER,
        OptionReason.CENTRAL,
        OptionReason.BEST_ROW,
        OptionReason.WHOLE_RUN,
    )
    *_, aside = Hall("......", "xxxxxx", "xxxxxx").options(2)
    assert aside.reasons == (OptionReason.TOGETHER,)
    assert (aside.centre_offset, aside.row_offset) == (2, 1)
    assert aside.together
