"""Seat plans as stored, and the cached ones."""

import json
from collections.abc import Sequence
from functools import lru_cache

from cinema_grpc.domain.seating import SeatArea, SeatPlan, SeatRow, WheelchairSpace

CACHED_PLANS = 256
"""At most 100 MB, at 2,000 seats each, the maximum. A chain has a few dozen different plans."""


def to_text(rows: Sequence[SeatRow]) -> str:
    """Return rows as JSON: [["A", [4, 6, 4]], ...]."""
    return json.dumps([[row.label, row.sections] for row in rows])


def to_rows(text: str) -> tuple[SeatRow, ...]:
    """Return the rows of a JSON text."""
    return tuple(SeatRow(label, tuple(sections)) for label, sections in json.loads(text))


def areas_to_text(areas: Sequence[SeatArea]) -> str:
    """Return areas as JSON: [["vip", ["A"], ["B1", "B2"]], ...]."""
    return json.dumps([[area.category, area.rows, area.seats] for area in areas])


def to_areas(text: str) -> tuple[SeatArea, ...]:
    """Return the areas of a JSON text."""
    return tuple(SeatArea(category, tuple(rows), tuple(seats)) for category, rows, seats in json.loads(text))


def spaces_to_text(spaces: Sequence[WheelchairSpace]) -> str:
    """Return wheelchair spaces as JSON: [["C1", ["C2"]], ...]."""
    return json.dumps([[space.seat, space.companion_seats] for space in spaces])


def to_spaces(text: str) -> tuple[WheelchairSpace, ...]:
    """Return the wheelchair spaces of a JSON text."""
    return tuple(WheelchairSpace(seat, tuple(companions)) for seat, companions in json.loads(text))


@lru_cache(CACHED_PLANS)
def seat_plan(rows: str, areas: str, wheelchair_spaces: str) -> SeatPlan:
    """Return the plan of an auditorium as stored: one object for all auditoriums that look alike."""
    return SeatPlan(to_rows(rows), to_areas(areas), to_spaces(wheelchair_spaces))
