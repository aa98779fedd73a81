"""Seat labels, their order, and refused layouts."""

import pytest

from cinema_grpc.domain.errors import InvalidRequest, SeatNotFound
from cinema_grpc.domain.seating import SeatPlan, SeatRow


def test_labels_run_on_across_aisles() -> None:
    """Seats are numbered from 1 along the row, whatever its sections."""
    plan = SeatPlan([SeatRow("A", (2, 1)), SeatRow("AA", (2,))])
    assert plan.labels == ("A1", "A2", "A3", "AA1", "AA2")
    assert len(plan) == 5


def test_positions_are_in_row_order() -> None:
    """Whatever the order of the labels."""
    plan = SeatPlan([SeatRow("B", (12,)), SeatRow("A", (2,))])
    assert plan.positions(["A1", "B10", "B2"]) == (1, 9, 12)


def test_unknown_seats_are_all_named_in_row_order() -> None:
    """A2 before A10, Z9 before AA1."""
    plan = SeatPlan([SeatRow("A", (1,))])
    with pytest.raises(SeatNotFound) as refusal:
        plan.positions(["AA1", "A10", "A1", "A2", "Z9"])
    assert refusal.value.metadata == {"seats": "A2,A10,Z9,AA1"}


def test_the_order_of_rows_is_that_of_the_auditorium() -> None:
    plan = SeatPlan([SeatRow("B", (1,)), SeatRow("A", (1,))])
    with pytest.raises(SeatNotFound) as refusal:
        plan.positions(["C1", "A9", "B9"])
    assert refusal.value.metadata == {"seats": "B9,A9,C1"}


@pytest.mark.parametrize(
    ("rows", "field"),
    [
        ([], "rows"),
        ([SeatRow("A", (1,))] * 2, "rows[1].label"),
        ([SeatRow("A", ())], "rows[0].sections"),
        ([SeatRow("A", (3, 0))], "rows[0].sections"),
        ([SeatRow("A", (100, 101))], "rows[0].sections"),
        ([SeatRow(f"{first}{second}", (1,)) for first in "ABC" for second in "ABCDEFGHIJKLMNOPQRSTU"], "rows"),
        ([SeatRow(letter, (200,)) for letter in "ABCDEFGHIJK"], "rows"),
    ],
)
def test_refused_layouts(rows: list[SeatRow], field: str) -> None:
    """Too many rows or seats, empty sections and repeated labels are refused by their field."""
    with pytest.raises(InvalidRequest) as refusal:
        SeatPlan(rows)
    assert [violation.field for violation in refusal.value.violations] == [field]


def test_largest_layouts() -> None:
    """60 rows, 200 seats a row and 2,000 seats in all are accepted."""
    assert len(SeatPlan([SeatRow(letter, (200,)) for letter in "ABCDEFGHIJ"])) == 2_000
    rows = [SeatRow(f"{first}{second}", (1,)) for first in "ABC" for second in "ABCDEFGHIJKLMNOPQRST"]
    assert len(SeatPlan(rows)) == 60
