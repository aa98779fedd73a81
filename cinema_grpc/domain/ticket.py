"""Tickets, and the redemptions that let their holders in."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Ticket:
    """Admits one person; valid while its booking is CONFIRMED, and issued when that was confirmed."""

    ticket_id: str
    seat: str
    code: str


class TicketStatus(Enum):
    """VALID: it admits its holder. VOID: its seat was cancelled. REDEEMED: its holder was let in."""

    VALID = "VALID"
    VOID = "VOID"
    REDEEMED = "REDEEMED"


class RedemptionKind(Enum):
    """What a redemption was when it was stored.

    ADMITTED: the ticket let its holder in. CONFLICT: a door that was offline let someone in, with a ticket that had let
    someone in elsewhere. ADMITTED_VOID: such a door let someone in with a void ticket.
    """

    ADMITTED = "ADMITTED"
    CONFLICT = "CONFLICT"
    ADMITTED_VOID = "ADMITTED_VOID"


class Reversal(NamedTuple):
    """Who reversed a redemption, when, and why."""

    user_id: str
    time: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Redemption:
    """Someone who was let in with a ticket.

    Attributes:
        redeem_time: By the clock that decides, or by the door's if that was offline.
        redeemed_by: The user_id of the staff.
        record_time: When it was stored.
        reversal: Set once staff have reversed it; only ADMITTED ones are.
    """

    redemption_id: str
    ticket_id: str
    gate: str
    redeem_time: datetime
    redeemed_by: str
    record_time: datetime
    kind: RedemptionKind = RedemptionKind.ADMITTED
    reversal: Reversal | None = None

    @property
    def stands(self) -> bool:
        """Whether the ticket is redeemed by it."""
        return self.kind is RedemptionKind.ADMITTED and self.reversal is None
