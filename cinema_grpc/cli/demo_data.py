"""The demo's movies, cinemas, auditoriums and prices, and the seats that are taken for a popular showtime."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import time

from cinema_grpc.domain.money import Money
from cinema_grpc.domain.pricing import PriceLine
from cinema_grpc.domain.seating import SeatArea, SeatRow, WheelchairSpace

MOVIES = (
    (
        "The Lighthouse Keeper's Daughter",
        118,
        "PG-13",
        "She keeps the lamp burning; somebody else keeps putting it out.",
    ),
    ("Orbit of Two", 134, "PG", "Two engineers, one capsule, and ninety minutes of air for each of them."),
    ("Nine Lives in Lisbon", 97, "PG", "A cat changes owners nine times in one summer, and each of them for good."),
    (
        "The Long Intermission",
        152,
        "R",
        "A projectionist is locked in over the holidays with the only print of a lost film.",
    ),
    ("Salt and Thunder", 109, "PG-13", "The last ferry of the season leaves with one passenger too many."),
    ("Paper Kingdoms", 88, "G", "A boy folds a city, and the city asks for a king."),
)
"""Title, minutes, rating, synopsis."""
CINEMAS = (("Filmpalast am Kanal", "Europe/Berlin"), ("Harbor Picture House", "America/New_York"))
STARTS = (time(10), time(13, 30), time(17), time(20, 30))
"""Start times in the cinema's time zone. With two time zones, a showtime always starts within twelve hours."""
DAYS = 22
DAYS_WITH_ALL_STARTS = 4
"""Later days have the last start only: each showtime is a transaction, and the demo is to start at once."""

TICKET_TYPES = {"adult": "", "child": "", "student": "student card", "senior": ""}
"""What the door asks for with each ticket type; the first is the default."""
TICKET_TYPE_OF = {"a": "adult", "c": "child", "s": "student", "e": "senior", "w": "adult"}
"""By letter of a seat map."""
GROUP = re.compile(r"\.+|h+|g+|x+|[acesw]+")


@dataclass(frozen=True, slots=True)
class DemoAuditorium:
    """An auditorium.

    Attributes:
        cinema: Its place in CINEMAS.
        prices: By category, the prices of TICKET_TYPES in minor units.
        evening: Rows with their sections. `.` is free; `a` `c` `s` `e` are sold to adults, children, students and
            seniors, `w` is a wheelchair space sold; `h` is held, `g` kept for guests, `x` out of order. Letters side by
            side are one booking. A1-A2, B1-B2 and C1-C2 stay free for calls to paste.
    """

    cinema: int
    name: str
    rows: tuple[SeatRow, ...]
    currency_code: str
    prices: dict[str, tuple[int, int, int, int]]
    evening: str
    areas: tuple[SeatArea, ...] = ()
    wheelchair_spaces: tuple[WheelchairSpace, ...] = ()

    @property
    def price_lines(self) -> list[PriceLine]:
        """The price list of its showtimes."""
        return [
            PriceLine(category, ticket_type, Money(self.currency_code, amount), proof)
            for category, amounts in self.prices.items()
            for (ticket_type, proof), amount in zip(TICKET_TYPES.items(), amounts, strict=True)
        ]

    def groups(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield the seats that are taken together on a good evening, each with a letter of its seat map."""
        for line in self.evening.split("\n"):
            row, *sections = line.split()
            number = 1
            for letters in (letters for section in sections for letters in GROUP.findall(section)):
                if letters[0] != ".":
                    yield letters, tuple(f"{row}{number + step}" for step in range(len(letters)))
                number += len(letters)


AUDITORIUMS = (
    DemoAuditorium(
        cinema=0,
        name="Grand Hall",  # 300 seats with two aisles
        rows=tuple(SeatRow(label, (5, 10, 5)) for label in "ABCDEFGHIJKLMNO"),
        currency_code="EUR",
        prices={
            "standard": (1_250, 850, 1_000, 1_050),
            "front": (950, 650, 750, 800),
            "premium": (1_650, 1_250, 1_400, 1_450),
        },
        areas=(SeatArea("front", rows=("A", "B")), SeatArea("premium", rows=("L", "M", "N"))),
        wheelchair_spaces=(WheelchairSpace("H1", ("H2",)), WheelchairSpace("H20", ("H19",))),
        evening="""\
A ..... .......... .....
B ..... .......... .....
C ..... ....aa.... .....
D ..... ...aacc... ss...
E ...aa ..aaasss.. .....
F ..... aaaa..aaaa ..aaa
G ..aac gggg...aaa ee...
H ..... aaaaaaaaaa ..aaw
I aa... aacchhaa.. ...aa
J ssss. aaaaaaaa.. aac..
K ..... aaaaxxaaaa aaa..
L ..aaa aaaaaaaaaa aaaaa
M ...aa aahh..aaaa ...aa
N aaaaa aaaaaaaaaa aa...
O ...ee aa..aaaa.. .....""",
    ),
    DemoAuditorium(
        cinema=0,
        name="Studio",  # rows of growing length
        rows=tuple(SeatRow(label, (4 + number, 4 + number)) for number, label in enumerate("ABCDEFGH")),
        currency_code="EUR",
        prices={
            "standard": (1_250, 850, 1_000, 1_050),
            "front": (950, 650, 750, 800),
            "sofa": (1_850, 1_450, 1_600, 1_650),
        },
        areas=(SeatArea("front", rows=("A",)), SeatArea("sofa", seats=("H1", "H2", "H3", "H4"))),
        wheelchair_spaces=(WheelchairSpace("D1", ("D2", "D3")),),
        evening="""\
C ...... ..aa..
D waa.... ..aaa..
E ........ ..hhaa..
F sssss.... gg..aaaaa
G ..aaaaaaaa aaaa..ccaa
H aa..aaa.... ...xx..aaaa""",
    ),
    DemoAuditorium(
        cinema=1,
        name="Screening Room",  # a club without aisles
        rows=tuple(SeatRow(label, (8,)) for label in "ABCDE"),
        currency_code="USD",
        prices={
            "standard": (1_400, 900, 1_100, 1_200),
            "front": (1_100, 700, 900, 1_000),
            "armchair": (1_900, 1_400, 1_600, 1_700),
        },
        areas=(SeatArea("front", rows=("A",)), SeatArea("armchair", rows=("E",))),
        wheelchair_spaces=(WheelchairSpace("D8", ("D7",)),),
        evening="""\
C .....aaa
D ggeecc..
E aaaahhxx""",
    ),
)
