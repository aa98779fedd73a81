"""Terms: the conditions under which a showtime sells its seats."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from cinema_grpc.domain.booking_errors import ShowtimeCancelled, ShowtimeEnded
from cinema_grpc.domain.pricing import PriceList
from cinema_grpc.domain.seating import SeatPlan


class SeatGapPolicy(Enum):
    """Whether a booking may strand a single seat."""

    ALLOW = "ALLOW"
    REFUSE = "REFUSE"


class ShowtimeStatus(Enum):
    """SCHEDULED: it takes place. CANCELLED: it does not, and what was paid is refunded."""

    SCHEDULED = "SCHEDULED"
    CANCELLED = "CANCELLED"


class SeatBlockKind(Enum):
    """OUT_OF_ORDER: the seats can't be used. HOUSE: they are for the cinema's guests."""

    OUT_OF_ORDER = "OUT_OF_ORDER"
    HOUSE = "HOUSE"


class Slot(NamedTuple):
    """When a showtime has its auditorium: from its start to its end."""

    showtime_id: str
    start_time: datetime
    end_time: datetime


class Move(NamedTuple):
    """A change of a showtime's start: when it was made, and the start until then."""

    time: datetime
    start_time: datetime


@dataclass(frozen=True, slots=True)
class SeatBlock:
    """Seats that the cinema keeps.

    Attributes:
        seats: Their labels, in row order; at least one.
        release_time: From then on they are free, even while the block is still stored; None for never.
        created_by: The user_id of the staff.
    """

    block_id: str
    kind: SeatBlockKind
    seats: tuple[str, ...]
    reason: str
    release_time: datetime | None
    create_time: datetime
    created_by: str

    def lapsed(self, now: datetime) -> bool:
        """Return whether its seats are free."""
        return self.release_time is not None and now >= self.release_time


@dataclass(frozen=True, slots=True)
class Terms:
    """The conditions under which a showtime sells its seats.

    Attributes:
        moves: The changes of its start, oldest first.
        blocks: Seats that the cinema keeps, each in one block; some may have lapsed.
    """

    showtime_id: str
    auditorium_id: str
    start_time: datetime
    end_time: datetime
    prices: PriceList
    seat_gap_policy: SeatGapPolicy
    seat_plan: SeatPlan
    status: ShowtimeStatus = ShowtimeStatus.SCHEDULED
    cancel_time: datetime | None = None
    cancel_reason: str = ""
    moves: tuple[Move, ...] = ()
    blocks: tuple[SeatBlock, ...] = ()

    def check_running(self, now: datetime) -> None:
        """Check that staff can still sell or change the showtime.

        Raises:
            ShowtimeCancelled; ShowtimeEnded: It is past its end.
        """
        if self.status is ShowtimeStatus.CANCELLED:
            raise ShowtimeCancelled(self.showtime_id)
        if now >= self.end_time:
            raise ShowtimeEnded(self.showtime_id, self.end_time)


def without_seats(blocks: Iterable[SeatBlock], seats: Collection[str]) -> tuple[SeatBlock, ...]:
    """Return blocks without some seats; a block that has no others is left out."""
    kept = (replace(block, seats=tuple(seat for seat in block.seats if seat not in seats)) for block in blocks)
    return tuple(block for block in kept if block.seats)
