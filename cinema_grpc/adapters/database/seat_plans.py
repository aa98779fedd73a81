"""Seat plans as stored, and the cached ones."""

import json
from collections.abc import Sequence
from functools import lru_cache

from cinema_grpc.domain.seating import SeatPlan, SeatRow

CACHED_PLANS = 256
"""At most 100 MB, at 2,000 seats each, the maximum. A chain has a few dozen different plans."""


def to_text(rows: Sequence[SeatRow]) -> str:
    """Return rows as JSON: [["A", [4, 6, 4]], ...]."""
    return json.dumps([[row.label, row.sections] for row in rows])


def to_rows(text: str) -> tuple[SeatRow, ...]:
    """Return the rows of a JSON text."""
    return tuple(SeatRow(label, tuple(sections)) for label, sections in json.loads(text))


@lru_cache(CACHED_PLANS)
def seat_plan(text: str) -> SeatPlan:
    """Return the plan of rows: one object for all auditoriums that look alike."""
    return SeatPlan(to_rows(text))
