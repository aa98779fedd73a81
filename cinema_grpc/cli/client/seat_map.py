"""Draws the seats of a showtime in the terminal, in colour and legible without."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from cinema_client.cinema.v1 import catalog_pb2, showtime_pb2
from rich.console import RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from cinema_grpc.cli.client.output import money, table
from cinema_grpc.cli.printing import plain

GAP = 2
"""Columns of an aisle."""
STANDARD = "standard"
STYLES_OF_CATEGORIES = ("cyan", "magenta", "blue", "bright_cyan", "bright_magenta", "bright_blue")
"""Of categories other than "standard", in the order of Auditorium.areas; a seventh begins again."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How a seat that is not free is drawn, and what the legend calls it."""

    letter: str
    style: str
    name: str


MARKS: Mapping[int, Mark] = {
    showtime_pb2.SEAT_STATUS_HELD: Mark("~", "yellow", "held"),
    showtime_pb2.SEAT_STATUS_SOLD: Mark("#", "bright_black", "sold"),
    showtime_pb2.SEAT_STATUS_BLOCKED: Mark("x", "red", "blocked"),
}
UNKNOWN = Mark("?", "bright_black", "taken")
"""A status that this client does not know, which the contract says to treat as taken."""
FREE = "."
SPACE, COMPANION = "w", "c"


@dataclass(frozen=True, slots=True)
class SeatRow:
    """A row: its label, and the numbers of the seats of each section."""

    label: str
    sections: Sequence[range]

    @property
    def seats(self) -> int:
        """The number of seats."""
        return self.sections[-1].stop - 1


class Layout:
    """The seats of an auditorium as drawings need them.

    Attributes:
        rows: The rows, that next to the screen first.
        categories: The categories that it has, "standard" first.
        spaces: The labels of the wheelchair spaces.
        companions: The labels of their companion seats.
    """

    def __init__(self, auditorium: catalog_pb2.Auditorium) -> None:
        self.rows = [SeatRow(row.label, _numbers(row.sections)) for row in auditorium.rows]
        self.spaces = frozenset(each.seat for each in auditorium.wheelchair_spaces)
        self.companions = frozenset(seat for each in auditorium.wheelchair_spaces for seat in each.companion_seats)
        self._of_row = {row: area.category for area in auditorium.areas for row in area.rows}
        self._of_seat = {seat: area.category for area in auditorium.areas for seat in area.seats}
        named = dict.fromkeys(area.category for area in auditorium.areas if area.category != STANDARD)
        used = {self.category(row.label, number) for row in self.rows for number in range(1, row.seats + 1)}
        self.categories = [each for each in (STANDARD, *named) if each in used]
        self._styles = {each: STYLES_OF_CATEGORIES[n % len(STYLES_OF_CATEGORIES)] for n, each in enumerate(named)}

    def category(self, row: str, number: int) -> str:
        """Return the category of a seat."""
        return self._of_seat.get(f"{row}{number}") or self._of_row.get(row) or STANDARD

    def style(self, category: str) -> str:
        """Return the style of free seats of a category."""
        return self._styles.get(category, "green")


@dataclass(frozen=True)  # without slots, for cached_property
class SeatMap:
    """A drawing of the seats, as wide as there is room.

    Where it fits, a free seat is drawn as its number. Otherwise a seat is one letter, each tenth free one the last
    digit of its tens, and a row that is too wide continues on the next line.

    Attributes:
        layout: The seats.
        statuses: The status of each seat, by label.
        width: The columns that there are.
        changed: The labels of seats to draw in reverse.
    """

    layout: Layout
    statuses: Mapping[str, int]
    width: int
    changed: Collection[str] = frozenset()

    @cached_property
    def digits(self) -> int:
        """The digits of the highest seat number if free seats are drawn as numbers, or 0."""
        digits = len(str(max(row.seats for row in self.layout.rows)))
        widest = max(row.seats * (digits + 1) + GAP * (len(row.sections) - 1) for row in self.layout.rows)
        return digits if widest + 2 * (self._label_width + 1) <= self.width else 0

    @property
    def _label_width(self) -> int:
        return max(len(row.label) for row in self.layout.rows)

    def draw(self) -> Table:
        """Return the drawing: the screen, and the rows with their labels."""
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_column(style="bold")
        if self.digits:
            grid.add_column(justify="center", no_wrap=True)
            grid.add_column(style="bold")
            grid.add_row("", Rule("screen", style="dim"), "")
            for row in self.layout.rows:
                label = plain(row.label)
                grid.add_row(label, self._cells(row.label, row.sections), label)
            return grid
        room = self.width - self._label_width - 1 - 2 * (len(str(max(row.seats for row in self.layout.rows))) + 1)
        folded = {row.label: list(_folded(row.sections, max(room, 1))) for row in self.layout.rows}
        is_whole = all(len(lines) == 1 for lines in folded.values())
        grid.add_column(justify="right", style="dim")
        grid.add_column(justify="center" if is_whole else "left", no_wrap=True)
        grid.add_column(style="dim")
        grid.add_row("", "", Rule("screen", style="dim"), "")
        for label, lines in folded.items():
            for number, sections in enumerate(lines):
                first, last = sections[0].start, sections[-1].stop - 1
                grid.add_row("" if number else plain(label), str(first), self._cells(label, sections), str(last))
        return grid

    def legend(self) -> Text:
        """Return what the letters of the drawing mean; of wheelchair spaces only where there are some."""
        free = "12"[: self.digits] or FREE
        parts = [Text.assemble((free, self.layout.style(STANDARD)), " free")]
        if not self.digits and any(row.seats >= 10 for row in self.layout.rows):
            parts.append(Text.assemble(("1 2", self.layout.style(STANDARD)), " 10 and 20, free"))
        if self.layout.spaces:
            parts.append(Text.assemble((SPACE, self.layout.style(STANDARD)), " wheelchair space"))
        if self.layout.companions:
            parts.append(Text.assemble((COMPANION, self.layout.style(STANDARD)), " companion seat"))
        parts += [Text.assemble((mark.letter, mark.style), f" {mark.name}") for mark in MARKS.values()]
        return Text("   ").join(parts)

    def _cells(self, row: str, sections: Sequence[range]) -> Text:
        cells = Text(end="")
        for position, section in enumerate(sections):
            if position:
                cells.append(" " * GAP)
            for number in section:
                cells.append(*self._cell(row, number))
        return cells

    def _cell(self, row: str, number: int) -> tuple[str, str]:
        """Return the text and the style of a seat."""
        label = f"{row}{number}"
        status = self.statuses.get(label)
        reverse = " reverse" if label in self.changed else ""
        if status != showtime_pb2.SEAT_STATUS_AVAILABLE:
            mark = UNKNOWN if status is None else MARKS.get(status, UNKNOWN)
            text = f" {mark.letter * self.digits}" if self.digits else mark.letter
            return text, mark.style + reverse
        style = self.layout.style(self.layout.category(row, number)) + reverse
        special = SPACE if label in self.layout.spaces else COMPANION if label in self.layout.companions else ""
        if self.digits:
            return f"{special}{number}".rjust(self.digits + 1), style
        return special or (FREE if number % 10 else str(number // 10 % 10)), style


def areas(layout: Layout, statuses: Mapping[str, int], showtime: showtime_pb2.Showtime) -> RenderableType:
    """Return a table of the categories: where they are, how many seats are free, and the prices."""
    list_ = table("category", "free", "where", "prices", right="free")
    for column in list_.columns[:2]:
        column.no_wrap = True
    for category in layout.categories:
        labels = [
            f"{row.label}{number}"
            for row in layout.rows
            for number in range(1, row.seats + 1)
            if layout.category(row.label, number) == category
        ]
        free = sum(statuses.get(label) == showtime_pb2.SEAT_STATUS_AVAILABLE for label in labels)
        lines = [line for line in showtime.prices if line.category == category]
        currency = f" {lines[0].price.currency_code}" if lines else ""
        prices = ", ".join(f"{line.ticket_type} {money(line.price).removesuffix(currency)}" for line in lines)
        where = ", ".join(_where(layout, category))
        list_.add_row(Text(plain(category), style=layout.style(category)), str(free), where, prices + currency)
    return list_


def _numbers(lengths: Sequence[int]) -> list[range]:
    """Return the numbers of the seats of each section."""
    sections, first = [], 1
    for length in lengths:
        sections.append(range(first, first + length))
        first += length
    return sections


def _folded(sections: Sequence[range], room: int) -> Iterator[list[range]]:
    """Yield the sections of each line, at most `room` columns of them. Only a section that is wider alone is cut."""
    line: list[range] = []
    used = 0
    for section in sections:
        rest = section
        if line and used + GAP + len(rest) > room:
            yield line
            line, used = [], 0
        while len(rest) > room:
            yield [rest[:room]]
            rest = rest[room:]
        used += len(rest) + (GAP if line else 0)
        line.append(rest)
    yield line


def _where(layout: Layout, category: str) -> Iterator[str]:
    """Yield the rows of a category, and the seats of rows that it shares with others, such as "L-N" and "H1-H4"."""
    whole: list[str] = []
    for row in layout.rows:
        numbers = [number for number in range(1, row.seats + 1) if layout.category(row.label, number) == category]
        if len(numbers) == row.seats:
            whole.append(row.label)
            continue
        if whole:
            yield _run(whole)
            whole = []
        yield from (f"{row.label}{_run(run, row.label)}" for run in _runs(numbers))
    if whole:
        yield _run(whole)


def _runs(numbers: Sequence[int]) -> Iterator[list[int]]:
    run: list[int] = []
    for number in numbers:
        if run and number != run[-1] + 1:
            yield run
            run = []
        run.append(number)
    if run:
        yield run


def _run(run: Sequence[int | str], prefix: str = "") -> str:
    return f"{run[0]}-{prefix}{run[-1]}" if len(run) > 1 else str(run[0])
