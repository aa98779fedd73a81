"""Requests for the TicketService: well-formed ones, and malformed values."""

from typing import Any

from cinema.v1.ticket_service_pb2 import OfflineRedemption

from tests.rpc.malformed_values import FILTERS, IDENTIFIERS, LATER, LINES, PAGES, REQUEST_IDS, TIMES, Instead

HIDDEN = ("\u200b", "a\u200bb", "\u3164")
"""Texts with invisible characters."""
GATES = (*LINES, *HIDDEN, "x" * 65)
CODES = ("", "x" * 513)


def entry(**fields: Any) -> OfflineRedemption:
    """Return an offline redemption with other fields."""
    good: dict[str, Any] = {"code": "none", "redeem_time": LATER, "gate": "north"}
    return OfflineRedemption(**(good | fields))


WELL_FORMED: dict[str, dict[str, Any]] = {
    "ListTicketKeys": {},
    "RenderTicket": {"booking_id": "none", "ticket_id": "none"},
    "RedeemTicket": {"ticket_id": "none", "showtime_id": "none", "gate": "north"},
    "ReverseRedemption": {"ticket_id": "none", "reason": "a mistake"},
    "RecordRedemptions": {"redemptions": [entry()]},
    "ListTickets": {"showtime_id": "none"},
}
MALFORMED: dict[str, dict[str, tuple[Any, ...]]] = {
    "ListTicketKeys": {},
    "RenderTicket": {
        "booking_id": IDENTIFIERS,
        "ticket_id": IDENTIFIERS,
        "format": (3, -1, 2**31 - 1),
    },
    "RedeemTicket": {
        "code": (Instead({"ticket_id": "", "code": "x" * 513}),),
        "ticket_id": FILTERS,
        "showtime_id": IDENTIFIERS,
        "gate": GATES,
        "request_id": REQUEST_IDS,
    },
    "ReverseRedemption": {
        "ticket_id": IDENTIFIERS,
        "reason": (*LINES, *HIDDEN),
        "request_id": REQUEST_IDS,
    },
    "RecordRedemptions": {
        "redemptions": ([], [entry()] * 101, [entry()] * 10_000),
        "redemptions[1].code": tuple([entry(), entry(code=each)] for each in CODES),
        "redemptions[1].redeem_time": tuple([entry(), entry(redeem_time=each)] for each in (None, *TIMES)),
        "redemptions[1].gate": tuple([entry(), entry(gate=each)] for each in GATES),
        "request_id": REQUEST_IDS,
    },
    "ListTickets": {"showtime_id": IDENTIFIERS, "after_revision": (-1, -(2**63)), **PAGES},
}
