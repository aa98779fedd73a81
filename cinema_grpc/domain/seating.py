"""The seats of an auditorium: labels, order and adjacency, and, for the gap rule, which seats a choice strands."""

from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from cinema_grpc.domain.errors import FieldViolation, InvalidRequest, SeatNotFound
from cinema_grpc.domain.pricing import NAME, STANDARD

MAX_ROWS = 60
MAX_SEATS_A_ROW = 200
MAX_SEATS = 2_000
MAX_CATEGORIES = 20
MAX_COMPANIONS = 4


@dataclass(frozen=True, slots=True)
class SeatRow:
    """A row of seats, numbered from 1.

    Attributes:
        label: One or two capital letters.
        sections: Number of seats of each section, in order; an aisle separates two sections.
    """

    label: str
    sections: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SeatArea:
    """Seats of one category: whole rows, and single seats, which win over rows."""

    category: str
    rows: tuple[str, ...] = ()
    seats: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WheelchairSpace:
    """A space for a wheelchair, and its companion seats in the same section."""

    seat: str
    companion_seats: tuple[str, ...] = ()


class SeatPlan:
    """The seats of an auditorium. They never change.

    Clients name a seat by its label; the domain by its position: 0, 1, 2, ... row by row, in number order.

    Attributes:
        labels: Of the seats, by position.
        categories: Of the seats, by position.
        space_of: The position of the space, by that of a wheelchair space or companion seat; walls for the gap rule.
    """

    __slots__ = ("_positions", "_sections", "areas", "categories", "labels", "rows", "space_of", "wheelchair_spaces")

    def __init__(
        self,
        rows: Sequence[SeatRow],
        areas: Sequence[SeatArea] = (),
        wheelchair_spaces: Sequence[WheelchairSpace] = (),
    ) -> None:
        """Create the seats of the rows.

        Raises:
            InvalidRequest: A row label is not unique, a row or section is empty, there are too many rows or seats, or
                an area or a wheelchair space names what is not there, or what another one names.
        """
        _check(rows)
        self.rows = tuple(rows)
        self.areas = tuple(areas)
        self.wheelchair_spaces = tuple(wheelchair_spaces)
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
        self._positions = {label: position for position, label in enumerate(labels)}
        violations = [*self._area_violations(), *self._space_violations(sections)]
        if violations:
            raise InvalidRequest(*violations)
        self.categories = self._categories()
        self.space_of = {
            self._positions[label]: self._positions[space.seat]
            for space in self.wheelchair_spaces
            for label in (space.seat, *space.companion_seats)
        }
        self._sections = _split_at(sections, self.space_of)

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
            raise SeatNotFound(sorted(unknown, key=lambda label: row_order(label, rows))) from None

    def misused_spaces(self, chosen: Sequence[int], *, wheelchair: bool) -> list[int]:
        """Return which of the chosen seats a booking can't take because of wheelchair spaces.

        Only a booking with `wheelchair` takes wheelchair spaces and companion seats: at least one space, else all of
        its seats are returned, and companion seats only with their own space.

        Args:
            chosen: The positions that the booking takes.
            wheelchair: Whether it is a booking with `wheelchair`.
        """
        if not (wheelchair or self.space_of):
            return []
        accessible = [position for position in chosen if position in self.space_of]
        if not wheelchair:
            return accessible
        if not any(self.space_of[position] == position for position in accessible):
            return list(chosen)
        return [position for position in accessible if self.space_of[position] not in chosen]

    def neighbours(self, position: int) -> list[int]:
        """Return the adjacent positions in the same section: two, or fewer at a wall, an aisle or such a space."""
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
            if position in self.space_of:
                continue
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

    def _categories(self) -> tuple[str, ...]:
        rows = {label: area.category for area in self.areas for label in area.rows}
        categories = [rows.get(row.label, STANDARD) for row in self.rows for _ in range(sum(row.sections))]
        for area in self.areas:
            for label in area.seats:
                categories[self._positions[label]] = area.category
        return tuple(categories)

    def _area_violations(self) -> list[FieldViolation]:
        violations = []
        if len({area.category for area in self.areas}) > MAX_CATEGORIES:
            violations.append(FieldViolation("areas", f"must be of at most {MAX_CATEGORIES} categories"))
        rows: set[str] = set()
        seats: set[str] = set()
        known_rows = {row.label for row in self.rows}
        for number, area in enumerate(self.areas):
            field = f"areas[{number}]"
            if not NAME.fullmatch(area.category):
                problem = "must be a lower-case letter, then lower-case letters, digits and hyphens"
                violations.append(FieldViolation(f"{field}.category", problem))
            if not area.rows and not area.seats:
                violations.append(FieldViolation(field, "must name at least one row or seat"))
            violations += _name_violations(f"{field}.rows", area.rows, known_rows, rows, "area")
            violations += _name_violations(f"{field}.seats", area.seats, self._positions, seats, "area")
        return violations

    def _space_violations(self, sections: Sequence[range]) -> list[FieldViolation]:
        violations = []
        seats: set[str] = set()
        for number, space in enumerate(self.wheelchair_spaces):
            field = f"wheelchair_spaces[{number}]"
            companions = f"{field}.companion_seats"
            if len(space.companion_seats) > MAX_COMPANIONS:
                problem = f"must be at most {MAX_COMPANIONS} seats, not {len(space.companion_seats)}"
                violations.append(FieldViolation(companions, problem))
            violations += _name_violations(f"{field}.seat", [space.seat], self._positions, seats, "wheelchair space")
            violations += _name_violations(
                companions, space.companion_seats, self._positions, seats, "wheelchair space"
            )
            position = self._positions.get(space.seat)
            elsewhere = [
                label
                for label in space.companion_seats
                if position is not None
                and label in self._positions
                and self._positions[label] not in sections[position]
            ]
            if elsewhere:
                problem = f"must be in the same section as {space.seat}, unlike " + ", ".join(elsewhere)
                violations.append(FieldViolation(companions, problem))
        return violations


def _name_violations(
    field: str, names: Sequence[str], known: Container[str], used: set[str], owner: str
) -> list[FieldViolation]:
    """Return what is wrong with names of rows or seats, and add them to those that are used."""
    unknown = [name for name in names if name not in known]
    twice = [name for name, number in Counter(names).items() if number > 1 or name in used]
    used.update(names)
    violations = []
    if unknown:
        violations.append(FieldViolation(field, "the rows have no " + ", ".join(unknown)))
    if twice:
        violations.append(FieldViolation(field, f"must be in one {owner} only: " + ", ".join(twice)))
    return violations


def _split_at(sections: Sequence[range], walls: Mapping[int, int]) -> list[range]:
    """Return the sections by position, with each wall as a section of its own."""
    split = list(sections)
    if not walls:
        return split
    start = 0
    for position, section in enumerate(sections):
        if position == section.start:
            start = position
        if position in walls:
            split[position] = range(position, position + 1)
            start = position + 1
        elif position + 1 == section.stop or position + 1 in walls:
            stretch = range(start, position + 1)
            split[start : position + 1] = [stretch] * len(stretch)
    return split


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
    if not 1 <= len(rows) <= MAX_ROWS:
        violations.append(FieldViolation("rows", f"must be 1 to {MAX_ROWS} rows, not {len(rows)}"))
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
        elif seats > MAX_SEATS_A_ROW:
            problem = f"must add up to at most {MAX_SEATS_A_ROW} seats, not {seats}"
            violations.append(FieldViolation(f"rows[{number}].sections", problem))
        else:
            total += seats
    if total > MAX_SEATS:
        violations.append(FieldViolation("rows", f"must have at most {MAX_SEATS} seats in all, not {total}"))
    if violations:
        raise InvalidRequest(*violations)


def row_order(label: str, rows: Sequence[str] = ()) -> tuple[int, int, str, int]:
    """Return a sort key for labels: A2 before A10, known rows first in their order, then Z9 before AA1."""
    letters, digits = ("".join(part) for _, part in groupby(label, str.isalpha))
    row = rows.index(letters) if letters in rows else len(rows)
    return row, len(letters), letters, int(digits)
