"""Halls, drawn: "." is a free seat, "x" a taken one, "w" a free wheelchair space, "c" its companion seat, "|" an aisle.

A companion seat belongs to the nearest space to its left in the section, or else to the first one.
"""

from collections.abc import Iterator, Sequence
from itertools import product

from cinema_grpc.domain.seat_groups import FreeSeats, Party
from cinema_grpc.domain.seating import SeatArea, SeatPlan, SeatRow, WheelchairSpace
from cinema_grpc.domain.suggestions import SeatOption, suggest
from cinema_grpc.domain.terms import SeatGapPolicy

REFUSE = SeatGapPolicy.REFUSE


class Hall:
    """A hall as drawn, the row nearest to the screen first: A, B, and so on."""

    def __init__(self, *rows: str, areas: Sequence[SeatArea] = (), policy: SeatGapPolicy = REFUSE) -> None:
        seat_rows, spaces, drawn = [], [], ""
        for letter, row in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", rows, strict=False):
            sections = row.split("|")
            seat_rows.append(SeatRow(letter, tuple(map(len, sections))))
            spaces += list(_spaces(letter, sections))
            drawn += row.replace("|", "")
        self.plan = SeatPlan(seat_rows, areas, spaces)
        self.free = [seat != "x" for seat in drawn]
        self.policy = policy

    def seats(self, party: Party) -> FreeSeats:
        return FreeSeats(self.plan, self.free.__getitem__, self.policy, party)

    def options(self, party: Party | int, most: int = 5, *, split: bool = True) -> list[SeatOption]:
        party = Party(party) if isinstance(party, int) else party
        return suggest(self.seats(party), most, split=split)

    def labels(self, option: SeatOption) -> list[str]:
        return [self.plan.labels[each] for each in option.positions]

    def suggested(self, party: Party | int, most: int = 5, *, split: bool = True) -> list[str]:
        """Return the seats of the options, such as "A1 A2"."""
        return [" ".join(self.labels(option)) for option in self.options(party, most, split=split)]

    def is_legal(self, positions: Sequence[int], *, wheelchair: bool = False) -> bool:
        """Return whether a caller can book these positions."""
        if not all(self.free[each] for each in positions) or self.plan.misused_spaces(positions, wheelchair=wheelchair):
            return False
        return self.policy is SeatGapPolicy.ALLOW or not self.plan.stranded(positions, self.free.__getitem__)


def _spaces(letter: str, sections: Sequence[str]) -> Iterator[WheelchairSpace]:
    number = 1
    for section in sections:
        places = [place for place, seat in enumerate(section) if seat == "w"]
        for place in places:
            mine = [
                f"{letter}{number + each}"
                for each, seat in enumerate(section)
                if seat == "c" and max([other for other in places if other < each], default=places[0]) == place
            ]
            yield WheelchairSpace(f"{letter}{number + place}", tuple(mine))
        number += len(section)


def rows_of(length: int, seats: str = ".x") -> Iterator[str]:
    """Return every row of so many seats, each drawn as one of some."""
    return map("".join, product(seats, repeat=length))


def count_spaces(hall: Hall, start: int, size: int) -> int:
    """Return how many wheelchair spaces are among seats side by side."""
    return sum(hall.plan.space_of.get(each) == each for each in range(start, start + size))
