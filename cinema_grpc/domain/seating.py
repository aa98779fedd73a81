"""The seats of an auditorium: their labels, their order, and which of them stand side by side."""

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
        sections: The lengths of the row's unbroken stretches, in order; between two of them is an aisle.
    """

    label: str
    sections: tuple[int, ...]


class SeatPlan:
    """The seats of an auditorium, which never change.

    A seat is known to callers by its label and in here by its position: 0, 1, 2, ... row by row, in number order.
    """

    __slots__ = ("_positions", "_sections", "labels", "rows")

    def __init__(self, rows: Sequence[SeatRow]) -> None:
        """Lay out the rows.

        Raises:
            InvalidRequest: A label stands twice, a row or section is empty, or there are too many rows or seats.
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
        """Find seats by their labels; the answer is in row order, whatever the order of the question.

        Raises:
            SeatNotFound: There are no such seats; it names all of them, in row order, unknown rows last.
        """
        try:
            return tuple(sorted(map(self._positions.__getitem__, labels)))
        except KeyError:
            rows = [row.label for row in self.rows]
            unknown = [label for label in labels if label not in self._positions]
            raise SeatNotFound(sorted(unknown, key=lambda label: _row_order(label, rows))) from None

    def neighbours(self, position: int) -> list[int]:
        """Return the positions beside a position in its section: two, or one or none at a wall or an aisle."""
        section = self._sections[position]
        return [each for each in (position - 1, position + 1) if each in section]

    def stranded(self, chosen: Sequence[int], is_free: Callable[[int], bool]) -> list[int]:
        """Find the single seats that a booking would strand.

        A run is a longest stretch of free seats side by side in one section. A booking breaks the rule where it leaves
        a run of exactly one seat that was not one before. One exemption, since no choice within that run could avoid
        it: it takes all but one seat of the run, side by side.

        Args:
            chosen: The positions that the booking takes, in row order; all of them free.
            is_free: Tells whether a position is free before the booking.

        Returns:
            The positions of the stranded seats of every run that breaks the rule, in row order; empty when the booking
            is fine.
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
        """Return the run around a position, which counts as free: its first position and the one after its last."""
        section = self._sections[position]
        start, stop = position, position + 1
        while start > section.start and is_free(start - 1):
            start -= 1
        while stop < section.stop and is_free(stop):
            stop += 1
        return start, stop


def _singles(start: int, stop: int, taken: Sequence[int]) -> list[int]:
    """Find the single seats that are left of the run from `start` up to `stop` when `taken` are gone from it."""
    if not taken:
        return []
    side_by_side = taken[-1] - taken[0] + 1 == len(taken)
    if side_by_side and len(taken) == stop - start - 1:
        return []
    edges = [start - 1, *taken, stop]
    return [left + 1 for left, right in pairwise(edges) if right - left == 2]


def _check(rows: Sequence[SeatRow]) -> None:
    violations = []
    if not 1 <= len(rows) <= MAXIMUM_ROWS:
        violations.append(FieldViolation("rows", f"must be 1 to {MAXIMUM_ROWS} rows, not {len(rows)}"))
    total = 0  # of the rows that are right: what is wrong with another one is named there
    first = {row.label: number for number, row in reversed(list(enumerate(rows)))}
    for number, row in enumerate(rows):
        if first[row.label] != number:
            violations.append(
                FieldViolation(
                    f"rows[{number}].label", f"must be unique: rows[{first[row.label]}] is {row.label!r} too"
                )
            )
        if not row.sections or min(row.sections) < 1:
            violations.append(
                FieldViolation(f"rows[{number}].sections", "must hold at least one section, each of at least one seat")
            )
        elif sum(row.sections) > MAXIMUM_SEATS_A_ROW:
            violations.append(
                FieldViolation(
                    f"rows[{number}].sections",
                    f"must add up to at most {MAXIMUM_SEATS_A_ROW} seats, not {sum(row.sections)}",
                )
            )
        else:
            total += sum(row.sections)
    if total > MAXIMUM_SEATS:
        violations.append(FieldViolation("rows", f"must have at most {MAXIMUM_SEATS} seats in all, not {total}"))
    if violations:
        raise InvalidRequest(*violations)


def _row_order(label: str, rows: Sequence[str]) -> tuple[int, int, str, int]:
    """Sort labels as rows and numbers run: A2 before A10; behind the rows that there are, Z9 before AA1."""
    letters, digits = ("".join(part) for _, part in groupby(label, str.isalpha))
    row = rows.index(letters) if letters in rows else len(rows)
    return row, len(letters), letters, int(digits)
