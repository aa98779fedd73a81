"""The drawing of a house: whole, in 80 columns, and legible without colours."""

import io
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import pytest
from cinema_client.cinema.v1 import catalog_pb2, showtime_pb2
from rich.console import Console, RenderableType

from cinema_grpc.cli.client.seat_map import Layout, SeatMap, areas

HELD, SOLD, BLOCKED = (
    showtime_pb2.SEAT_STATUS_HELD,
    showtime_pb2.SEAT_STATUS_SOLD,
    showtime_pb2.SEAT_STATUS_BLOCKED,
)


def auditorium(rows: Mapping[str, Sequence[int]], **more: object) -> catalog_pb2.Auditorium:
    """Return an auditorium of rows with the lengths of their sections."""
    made = catalog_pb2.Auditorium(**more)  # type: ignore[arg-type]
    for label, sections in rows.items():
        made.rows.add(label=label, sections=sections)
    return made


def labels(house: catalog_pb2.Auditorium) -> Iterable[str]:
    """Return the labels of all seats."""
    return (f"{row.label}{number}" for row in house.rows for number in range(1, sum(row.sections) + 1))


def all_free(house: catalog_pb2.Auditorium) -> dict[str, int]:
    """Return the status of each seat, if all are free."""
    return dict.fromkeys(labels(house), showtime_pb2.SEAT_STATUS_AVAILABLE)


def letters(count: int) -> list[str]:
    """Return so many row labels: A to Z, then AA to AZ, and so on."""
    single = [chr(ord("A") + number) for number in range(26)]
    return [*single, *(f"{first}{second}" for first in single for second in single)][:count]


STUDIO = auditorium(
    {"A": (2, 3), "B": (3, 4), "C": (10, 1)},
    areas=[
        catalog_pb2.SeatArea(category="front", rows=["A"]),
        catalog_pb2.SeatArea(category="sofa", seats=["C1", "C2", "C5"]),
    ],
    wheelchair_spaces=[catalog_pb2.WheelchairSpace(seat="B1", companion_seats=["B2"])],
)
COLOURS: Mapping[str, Any] = {"force_terminal": True, "color_system": "standard"}
NUMBERED = """\
  ───────────── screen ──────────────
A            1  2    3  4  5          A
B        w1 c2  3    4  5  6  7       B
C   1 ## ~~ xx ??  6  7  8  9 10   11 C
"""
LETTERS = """\
    ── screen ───
A 1    ..  ...    5
B 1   wc.  ....   7
C 1 .#~x?....1  . 11
"""


def drawn(drawing: RenderableType, width: int = 80, **options: Any) -> str:
    """Return what a console of a width prints."""
    console = Console(file=io.StringIO(), width=width, highlight=False, **options)
    console.print(drawing)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def stripped(text: str) -> str:
    """Return lines without the spaces at their ends."""
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def taken() -> dict[str, int]:
    """Return the seats of the studio, some of them taken; C5 has a status of the future."""
    return {**all_free(STUDIO), "C2": SOLD, "C3": HELD, "C4": BLOCKED, "C5": 99}


def draw(
    house: catalog_pb2.Auditorium,
    statuses: Mapping[str, int],
    width: int = 80,
    changed: Collection[str] = (),
    **options: Any,
) -> str:
    """Return a drawing of seats."""
    return drawn(SeatMap(Layout(house), statuses, width, changed).draw(), width, **options)


def test_numbers_of_free_seats() -> None:
    """Where there is room a free seat is its number, and a taken one a letter by its status."""
    assert stripped(draw(STUDIO, taken())) == NUMBERED


def test_one_letter_a_seat() -> None:
    """Where numbers do not fit. The numbers of the first and last seat stand beside the row, and 10 is drawn as 1."""
    assert stripped(draw(STUDIO, taken(), 30)) == LETTERS


LARGE: Sequence[Mapping[str, Sequence[int]]] = (
    dict.fromkeys(letters(10), (200,)),
    dict.fromkeys(letters(60), (33,)),
    dict.fromkeys(letters(50), (10, 20, 10)),
    dict.fromkeys(letters(30), (1,) * 66),
    dict.fromkeys(letters(20), (20, 60, 20)),
)


@pytest.mark.parametrize("rows", LARGE)
def test_two_thousand_seats_in_80_columns(rows: Mapping[str, Sequence[int]]) -> None:
    """Every seat is drawn once, in its row, and no line is cut."""
    house = auditorium(rows)
    statuses = {seat: SOLD if number % 3 else HELD for number, seat in enumerate(labels(house))}
    lines = draw(house, statuses).splitlines()
    assert max(map(len, lines)) <= 80
    seats = re.sub(r"[^#~]", "", "".join(lines))
    digits = SeatMap(Layout(house), statuses, 80).digits or 1
    expected = "".join(("#" if status == SOLD else "~") * digits for status in statuses.values())
    assert (len(statuses) >= 1_980, seats) == (True, expected)


def test_a_row_goes_on_in_the_next_line() -> None:
    """At an aisle if it can; each line says with which seat it begins and ends."""
    lines = stripped(draw(auditorium({"A": (30, 30, 100)}), {}, 60)).splitlines()[1:]
    assert [re.sub(r"\?+", lambda run: str(len(run[0])), line).split() for line in lines] == [
        ["A", "1", "30", "30"],
        ["31", "30", "60"],
        ["61", "50", "110"],
        ["111", "50", "160"],
    ]


@pytest.mark.parametrize("width", [1, 8])
def test_a_terminal_that_is_too_narrow(width: int) -> None:
    """There is no room for a seat beside the numbers; lines are cut then, and the drawing ends."""
    assert len(draw(auditorium({"A": (10, 10)}), {}, width).splitlines()) > 20


def test_colours() -> None:
    """A free seat has the colour of its category, a taken one that of its status. NO_COLOR leaves the text alone."""
    coloured = draw(STUDIO, taken(), **COLOURS)
    assert coloured.count("\x1b[36m") == 5  # cyan: A1 to A5, front
    assert coloured.count("\x1b[35m") == 1  # magenta: C1, sofa
    assert "\x1b[90m ##" in coloured
    assert "\x1b[33m ~~" in coloured
    without = draw(STUDIO, taken(), no_color=True, **COLOURS)
    assert not re.search(r"\x1b\[[0-9;]*3\dm", without)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == draw(STUDIO, taken())


def test_changed_seats_are_reversed() -> None:
    assert "\x1b[7;32m  4" in draw(STUDIO, taken(), changed=["B4"], **COLOURS)
    assert "\x1b[7;" not in draw(STUDIO, taken(), **COLOURS)


def test_the_legend() -> None:
    """It has wheelchair spaces where there are some."""
    legend = drawn(SeatMap(Layout(STUDIO), taken(), 80).legend())
    assert legend == "12 free   w wheelchair space   c companion seat   ~ held   # sold   x blocked\n"
    assert drawn(SeatMap(Layout(STUDIO), taken(), 30).legend(), 200).startswith(". free   1 2 10 and 20, free   w ")
    plain = auditorium({"A": (5,)})
    assert drawn(SeatMap(Layout(plain), all_free(plain), 80).legend()) == "1 free   ~ held   # sold   x blocked\n"


def test_categories() -> None:
    """Without colours a table says which seats are of which category, how many are free, and what they cost."""
    showtime = showtime_pb2.Showtime()
    for category, ticket_type, amount in (
        ("standard", "adult", 1_250),
        ("standard", "child", 800),
        ("front", "adult", 950),
    ):
        line = showtime.prices.add(category=category, ticket_type=ticket_type)
        line.price.currency_code, line.price.minor_units = "EUR", amount
    table = drawn(areas(Layout(STUDIO), taken(), showtime))
    assert [line.split() for line in table.splitlines()] == [
        ["category", "free", "where", "prices"],
        ["standard", "13", "B,", "C3-C4,", "C6-C11", "adult", "12.50,", "child", "8.00", "EUR"],
        ["front", "5", "A", "adult", "9.50", "EUR"],
        ["sofa", "1", "C1-C2,", "C5"],
    ]
