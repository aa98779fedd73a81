"""Seat plans as text, and the plans at hand."""

import json
from collections.abc import Sequence
from functools import lru_cache

from cinema_grpc.domain.seating import SeatPlan, SeatRow

PLANS_AT_HAND = 256
"""At 2,000 seats each, the largest there are, these take some 100 MB; a chain has a few dozen different ones."""


def to_text(rows: Sequence[SeatRow]) -> str:
    """Write rows as JSON: [["A", [4, 6, 4]], ...]."""
    return json.dumps([[row.label, row.sections] for row in rows])


def to_rows(text: str) -> tuple[SeatRow, ...]:
    """Read rows."""
    return tuple(SeatRow(label, tuple(sections)) for label, sections in json.loads(text))


@lru_cache(PLANS_AT_HAND)
def seat_plan(text: str) -> SeatPlan:
    """Give the plan of rows: one object for all showtimes in auditoriums that look alike."""
    return SeatPlan(to_rows(text))
