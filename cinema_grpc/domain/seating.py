"""The seats of an auditorium: labels, order and adjacency, and the gap rule at booking."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from cinema_grpc.domain.errors import FieldViolation, InvalidRequest, SeatNotFound

MAXIMUM_ROWS = 60
MAXIMUM_SEATS_A_ROW = 200
MAXIMUM_SEATS = 2_000


@dataclass(frozen=True, slots=True)
class SeatRow:
    """A row of seats, numbered from 1.

    Attributes:
        label: One or two capital letters.
        sections: Number of seats of each section, in order; an aisle separates two sections.
    """

    label: str
    sections: tuple[int, ...]


class SeatPlan:
    """The seats of an auditorium. They never change.

    Clients name a seat by its label; the domain by its position: 0, 1, 2, ... row by row, in number order.
    """

    __slots__ = ("_positions", "_sections", "labels", "rows")

    def __init__(self, rows: Sequence[SeatRow]) -> None:
        """Create the seats of the rows.

        Raises:
            InvalidRequest: A row label is not unique, a row or section is empty, or there are too many rows or seats.
        """
        _check(rows)
        self.rows = tuple(rows)
        labels: list[str] = []
        sections: list[range] = []
        for row in rows:
            number = 1
            for length in row.sections:
                section = range(len(labels), len(labels) + length)
                labels.extend(f"{row.label}{number + step}" for step in range(length))
                sections.extend([section] * length)
                number += length
        self.labels = tuple(labels)
        self._sections = sections
        self._positions = {label: position for position, label in enumerate(labels)}

    def __len__(self) -> int:
        return len(self.labels)

    def positions(self, labels: Sequence[str]) -> tuple[int, ...]:
        """Return the positions of seats in row order.

        Raises:
            SeatNotFound: Some labels are unknown; the error names them in row order, unknown rows last.
        """
        try:
            return tuple(sorted(map(self._positions.__getitem__, labels)))
        except KeyError:
            rows = [row.label for row in self.rows]
            unknown = [label for label in labels if label not in self._positions]
            raise SeatNotFound(sorted(unknown, key=lambda label: _row_order(label, rows))) from None

    def neighbours(self, position: int) -> list[int]:
        """Return the adjacent positions in the same section: two, or fewer at a wall or an aisle."""
        section = self._sections[position]
        return [each for each in (position - 1, position + 1) if each in section]

    def stranded(self, chosen: Sequence[int], is_free: Callable[[int], bool]) -> list[int]:
        """Return the positions of the single seats that a booking would strand, in row order.

        A run is a maximal stretch of adjacent free seats in one section. A booking breaks the rule if it leaves a run
        of one seat that was not one before. It may take all but one seat of a run if they are adjacent: no other choice
        of as many seats in that run could avoid it.

        Args:
            chosen: The positions that the booking takes, in row order; all are free.
            is_free: Returns whether a position is free before the booking.
        """
        stranded: list[int] = []
        start = stop = -1
        taken: list[int] = []
        for position in chosen:
            if position < stop:
                taken.append(position)
                continue
            stranded += _singles(start, stop, taken)
            start, stop = self.run(position, is_free)
            taken = [position]
        return stranded + _singles(start, stop, taken)

    def run(self, position: int, is_free: Callable[[int], bool]) -> tuple[int, int]:
        """Return the run around a position, which counts as free: its first position, and the one after its last."""
        section = self._sections[position]
        start, stop = position, position + 1
        while start > section.start and is_free(start - 1):
            start -= 1
        while stop < section.stop and is_free(stop):
            stop += 1
        return start, stop


def _singles(start: int, stop: int, taken: Sequence[int]) -> list[int]:
    """Return the single seats left of the run from `start` up to `stop` without `taken`."""
    if not taken:
        return []
    adjacent = taken[-1] - taken[0] + 1 == len(taken)
    if adjacent and len(taken) == stop - start - 1:
        return []
    edges = [start - 1, *taken, stop]
    return [left + 1 for left, right in pairwise(edges) if right - left == 2]


def _check(rows: Sequence[SeatRow]) -> None:
    violations = []
    if not 1 <= len(rows) <= MAXIMUM_ROWS:
        violations.append(FieldViolation("rows", f"must be 1 to {MAXIMUM_ROWS} rows, not {len(rows)}"))
    total = 0  # of the valid rows; each invalid row has a violation of its own
    first = {row.label: number for number, row in reversed(list(enumerate(rows)))}
    for number, row in enumerate(rows):
        seats = sum(row.sections)
        if first[row.label] != number:
            problem = f"must be unique: rows[{first[row.label]}] is {row.label!r} too"
            violations.append(FieldViolation(f"rows[{number}].label", problem))
        if not row.sections or min(row.sections) < 1:
            problem = "must have at least one section, each of at least one seat"
            violations.append(FieldViolation(f"rows[{number}].sections", problem))
        elif seats > MAXIMUM_SEATS_A_ROW:
            problem = f"must add up to at most {MAXIMUM_SEATS_A_ROW} seats, not {seats}"
            violations.append(FieldViolation(f"rows[{number}].sections", problem))
        else:
            total += seats
    if total > MAXIMUM_SEATS:
        violations.append(FieldViolation("rows", f"must have at most {MAXIMUM_SEATS} seats in all, not {total}"))
    if violations:
        raise InvalidRequest(*violations)


def _row_order(label: str, rows: Sequence[str]) -> tuple[int, int, str, int]:
    """Return a sort key for labels: A2 before A10, known rows first, then Z9 before AA1."""
    letters, digits = ("".join(part) for _, part in groupby(label, str.isalpha))
    row = rows.index(letters) if letters in rows else len(rows)
    return row, len(letters), letters, int(digits)
