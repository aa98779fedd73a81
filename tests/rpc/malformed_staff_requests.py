"""Requests for the methods of staff on showtimes and at the counter: well-formed ones, and malformed values."""

from typing import Any

from cinema.v1 import booking_pb2
from cinema.v1.showtime_pb2 import SEAT_BLOCK_KIND_HOUSE, SeatBlock
from google.protobuf.field_mask_pb2 import FieldMask

from tests.rpc.malformed_values import (
    DATES,
    FILTERS,
    IDENTIFIERS,
    LATER,
    LINES,
    MASKS,
    NO_LABELS,
    PAGES,
    PARAGRAPHS,
    REQUEST_IDS,
    TIMES,
    Instead,
    choice_lists,
    price_list,
    price_lists,
    seat_lists,
)

HIDDEN = ("\u200b", "a\u200bb", "\u3164")
"""Texts with invisible characters."""
REASONS = ("x" * 201, *HIDDEN, *PARAGRAPHS)
REVISIONS = (-1, -(2**63))


def block(**fields: Any) -> SeatBlock:
    """Return a block of A1 with other fields."""
    good: dict[str, Any] = {"seats": ["A1"], "kind": SEAT_BLOCK_KIND_HOUSE, "reason": "guests"}
    return SeatBlock(**(good | fields))


EVENT_FILTERS: dict[str, tuple[Any, ...]] = {
    "after_position": REVISIONS,
    "types": ([1, 2, 1],),
    "types[1]": tuple([1, each] for each in (0, 16, -1, 2**31 - 1)),
    **dict.fromkeys(("showtime_id", "cinema_id", "booking_id"), FILTERS),
    "page_size": PAGES["page_size"],
}
WELL_FORMED: dict[str, dict[str, Any]] = {
    "SetSeatBlocks": {"showtime_id": "none", "block": block()},
    "ListSeatBlocks": {"showtime_id": "none"},
    "CancelShowtime": {"showtime_id": "none", "reason": "the projector is broken"},
    "UpdateShowtime": {
        "showtime_id": "none",
        "update_mask": FieldMask(paths=["start_time", "prices", "seat_gap_policy"]),
        "start_time": LATER,
        "prices": price_list(),
    },
    "SellSeats": {"showtime_id": "none", "seats": ["A1"], "tender": booking_pb2.TENDER_CASH},
    "VoidBooking": {"booking_id": "none", "reason": "unwell"},
    "FindBookings": {"booking_id": "none"},
    "ListRefunds": {},
    "SettleRefund": {"refund_id": "none", "note": "from the till"},
    "GetSalesReport": {"cinema_id": "none", "from_date": "2026-05-01", "until_date": "2026-05-02"},
    "ListEvents": {},
    "WatchEvents": {},
}
MALFORMED: dict[str, dict[str, tuple[Any, ...]]] = {
    "SetSeatBlocks": {
        "showtime_id": IDENTIFIERS,
        "block": (None,),
        "block.seats": tuple(
            block(seats=each)
            for each in ([], ["A1", "A2", "A1"], [f"A{number}" for number in range(1, 2_002)], ["A1"] * 200_000)
        ),
        "block.seats[1]": tuple(block(seats=["A1", label]) for label in NO_LABELS),
        "block.kind": tuple(block(kind=each) for each in (0, 3, -1, 2**31 - 1)),
        "block.reason": tuple(block(reason=each) for each in (*LINES, *HIDDEN)),
        "block.release_time": tuple(block(release_time=each) for each in TIMES),
        "release": (["A1"], ["A2", "A3", "A2"], ["A1"] * 200_000),  # A1 is to be blocked
        "release[1]": tuple(["A2", label] for label in NO_LABELS),
        "request_id": REQUEST_IDS,
    },
    "ListSeatBlocks": {"showtime_id": IDENTIFIERS},
    "CancelShowtime": {
        "showtime_id": IDENTIFIERS,
        "reason": (*LINES, *HIDDEN),
        "expected_revision": REVISIONS,
        "request_id": REQUEST_IDS,
    },
    "UpdateShowtime": {
        "showtime_id": IDENTIFIERS,
        "update_mask": (*MASKS, FieldMask(paths=["start_time", "status"])),
        "start_time": (None, *TIMES),
        **price_lists(list),
        "seat_gap_policy": (3, -1, 2**31 - 1),
        "reason": REASONS,
        "expected_revision": REVISIONS,
        "request_id": REQUEST_IDS,
    },
    "SellSeats": {
        "showtime_id": IDENTIFIERS,
        **seat_lists(100),
        **choice_lists(100),
        "tender": (0, 4, -1, 2**31 - 1),
        "customer_user_id": FILTERS,
        "reason": (
            *REASONS,
            *(
                Instead({name: value, "reason": reason})
                for name, value in (
                    ("tender", booking_pb2.TENDER_COMPLIMENTARY),
                    ("allow_gap", True),
                    ("use_house_seats", True),
                )
                for reason in ("", " \u2003")
            ),
        ),
        "request_id": REQUEST_IDS,
    },
    "VoidBooking": {
        "booking_id": IDENTIFIERS,
        **seat_lists(100),
        "refund_percent": (-1, 101, 2**31 - 1, -(2**31)),
        "reason": (*LINES, *HIDDEN),
        "request_id": REQUEST_IDS,
    },
    "FindBookings": {
        "booking_id": FILTERS,
        **{
            criterion: tuple(Instead({"booking_id": "", criterion: each}) for each in values)
            for criterion, values in (
                ("ticket_code", ("x" * 513,)),
                ("username", FILTERS),
                ("email", ("x" * 255,)),
                ("showtime_id", FILTERS),
            )
        },
        "seat": ("A1", *(each for each in NO_LABELS if each)),  # even a well-formed one, without showtime_id
        "status": (5, -1, 2**31 - 1),
        **PAGES,
    },
    "ListRefunds": {"showtime_id": FILTERS, "status": (4, -1, 2**31 - 1), **PAGES},
    "SettleRefund": {"refund_id": IDENTIFIERS, "note": (*LINES, *HIDDEN), "request_id": REQUEST_IDS},
    "GetSalesReport": {
        "cinema_id": IDENTIFIERS,
        "showtime_id": FILTERS,
        "movie_id": FILTERS,
        "from_date": DATES,
        "until_date": (*DATES, "2026-05-01", "2026-04-30", "2027-06-06"),
        "group_by": (7, -1, 2**31 - 1),
    },
    "ListEvents": EVENT_FILTERS,
    "WatchEvents": EVENT_FILTERS,
}
