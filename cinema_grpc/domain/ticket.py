"""Tickets, and the redemptions that let their holders in."""

from collections.abc import Iterable
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
        reversal: Set once staff have reversed it. Only a ticket's standing redemption can be reversed.
    """

    redemption_id: str
    ticket_id: str
    gate: str
    redeem_time: datetime
    redeemed_by: str
    record_time: datetime
    kind: RedemptionKind = RedemptionKind.ADMITTED
    reversal: Reversal | None = None


def standing_redemptions(redemptions: Iterable[Redemption]) -> dict[str, Redemption]:
    """Return the standing redemption of each ticket, by ticket_id: the one that makes it REDEEMED.

    That is the one that was ADMITTED. If it was reversed, the next CONFLICT takes its place until that is reversed too:
    someone was let in with it.

    Args:
        redemptions: Oldest record first.
    """
    standing: dict[str, Redemption] = {}
    for each in redemptions:
        if each.reversal is not None or each.kind is RedemptionKind.ADMITTED_VOID:
            continue
        if each.kind is RedemptionKind.ADMITTED:
            standing[each.ticket_id] = each
        else:
            standing.setdefault(each.ticket_id, each)
    return standing
