"""Values for the fields of arbitrary requests: odd ones by type, and likely ones by name."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from cinema.v1 import showtime_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from hypothesis import strategies as st

from tests.builders import NOW
from tests.rpc.conftest import PASSWORD, moment, new_id

INT32 = st.sampled_from([0, 1, -1, 3, 199, 201, 2**31 - 1, -(2**31)]) | st.integers(-(2**31), 2**31 - 1)
INT64 = st.sampled_from([0, 1, -1, 10**12, 10**12 + 1, 2**63 - 1, -(2**63)]) | st.integers(-(2**63), 2**63 - 1)
ODD_TEXT = ["", " ", "\0", "\n", "a\0b", "🎬", "🎬" * 70, "é" * 201, "x" * 65, "x" * 1_025, "A1", "a\u0301", "'; --"]
TEXT = st.sampled_from(ODD_TEXT) | st.text(max_size=300)
SECONDS = st.sampled_from([-62_135_596_801, -62_135_596_800, 253_402_300_799, 253_402_300_800, moment(NOW).seconds])
NANOS = st.sampled_from([0, 1, 999, 1_000, 999_999_000, 999_999_999, 10**9, -1, -1_000]) | INT32
ODD_LENGTHS = st.sampled_from([0, 2, 10, 11, 60, 61, 200, 201])

LIKELY: dict[str, Sequence[Any]] = {
    "username": ["ada", "staff", "someone"],
    "password": [PASSWORD],
    "current_password": [PASSWORD],
    "new_password": [PASSWORD],
    "full_name": ["Someone"],
    "email": ["ada@example.com", "someone@example.com"],
    "title": ["A Film"],
    "rating": ["PG-13"],
    "synopsis": ["A film about films."],
    "runtime": [Duration(seconds=5400)],
    "name": ["One", "Two"],
    "time_zone": ["Europe/Berlin"],
    "label": ["A", "B", "AA"],
    "sections": [1, 4],
    "seats": ["A5", "A6", "B1", "B2", "Z99"],
    "start_time": [moment(NOW + timedelta(days=days)) for days in (0, 1, 2)],
    "start_time_from": [None, moment(NOW)],
    "start_time_until": [None, moment(NOW + timedelta(days=9))],
    "currency_code": ["EUR"],
    "minor_units": [1_250],
    "seat_gap_policy": [0, showtime_pb2.SEAT_GAP_POLICY_ALLOW],
    "party_size": [1, 2, 10],
    "categories": ["standard", "vip"],
    "wheelchair_spaces": [0, 0, 1],
    "max_options": [0, 10],
    "ticket_types": ["standard"],
    "allow_split": [False, True],
    "after_position": [0, 1, 2],
    "types": [1, 4, 5],
    "payment_token": ["tok_visa", "tok_declined"],
    "page_size": [0, 2],
    "page_token": [""],
    "status": [0, 1, 2],
    "request_id": ["", new_id()],
    "archived": [False, False, True],
    "update_mask": [FieldMask(paths=[path]) for path in ("title", "name", "archived", "start_time", "prices")],
    "rows": ["A", "B"],
    "seat": ["A1", "A5", "B1"],
    "companion_seats": ["A2", "B2"],
    "category": ["standard", "vip"],
    "ticket_type": ["standard", "child"],
    "proof": ["", "student card"],
    **dict.fromkeys(("include_archived", "include_cancelled", "extend", "wheelchair"), (False, True)),
}
"""By the name of a field, values that are sound in it, whatever the server holds."""
