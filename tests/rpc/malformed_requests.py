"""Requests for every method: well-formed ones, and values that are malformed in one field."""

from datetime import timedelta
from typing import Any

from cinema.v1.catalog_pb2 import SeatArea, SeatRow, WheelchairSpace
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from tests.builders import NOW
from tests.rpc import malformed_door_requests, malformed_staff_requests
from tests.rpc.conftest import PASSWORD, moment
from tests.rpc.malformed_values import (
    EUR,
    FILTERS,
    IDENTIFIERS,
    LABELS,
    LATER,
    LINES,
    MASKS,
    NO_CATEGORIES,
    PAGES,
    PARAGRAPHS,
    REQUEST_IDS,
    SPANS,
    TIMES,
    Instead,
    best_seats,
    choice_lists,
    money,
    party_fields,
    price_lists,
    rows,
    seat_lists,
)

WELL_FORMED: dict[str, dict[str, Any]] = {
    "Register": {"username": "bob", "password": PASSWORD, "full_name": "Bob", "email": "bob@example.com"},
    "Login": {"username": "bob", "password": PASSWORD},
    "GetCurrentUser": {},
    "RefreshTokens": {"refresh_token": "none"},
    "Logout": {"refresh_token": "none"},
    "ListSigningKeys": {},
    "ChangePassword": {"current_password": "not the staff's", "new_password": PASSWORD[::-1]},
    "CreateMovie": {"title": "A Film", "runtime": Duration(seconds=60)},
    "CreateCinema": {"name": "A House", "time_zone": "UTC"},
    "CreateAuditorium": {"cinema_id": "none", "name": "One", "rows": rows(("A", [1]))},
    "UpdateMovie": {
        "movie_id": "none",
        "update_mask": FieldMask(paths=["title", "runtime", "rating", "synopsis", "archived"]),
        "title": "A Film",
        "runtime": Duration(seconds=60),
    },
    "UpdateCinema": {"cinema_id": "none", "update_mask": FieldMask(paths=["name"]), "name": "A House"},
    "UpdateAuditorium": {"auditorium_id": "none", "update_mask": FieldMask(paths=["name"]), "name": "One"},
    "GetMovie": {"movie_id": "none"},
    "GetCinema": {"cinema_id": "none"},
    "GetAuditorium": {"auditorium_id": "none"},
    "ListMovies": {},
    "ListCinemas": {},
    "ListAuditoriums": {"cinema_id": "none"},
    "ListShowtimes": {},
    "GetShowtime": {"showtime_id": "none"},
    "WatchSeats": {"showtime_id": "none"},
    "CreateShowtime": {"movie_id": "none", "auditorium_id": "none", "start_time": LATER, "price": EUR},
    "SuggestSeats": {"showtime_id": "none", "party_size": 2},
    "CreateBooking": {"showtime_id": "none", "seats": ["A1"]},
    "GetBooking": {"booking_id": "none"},
    "ListBookings": {},
    "ConfirmPayment": {"booking_id": "none", "payment_token": "tok_visa"},
    "GetCancellationQuote": {"booking_id": "none"},
    "CancelBooking": {"booking_id": "none"},
    "UpdateHold": {"booking_id": "none", "seats": ["A1"]},
    **malformed_staff_requests.WELL_FORMED,
    **malformed_door_requests.WELL_FORMED,
}
"""By method, the fields of a well-formed request."""
MALFORMED: dict[str, dict[str, tuple[Any, ...]]] = {
    "Register": {
        "username": ("", "ab", "x" * 65, "a b", "bob\n", "b\0b", "bób", "bob@x.example", "🎬🎬🎬"),
        "password": ("", "short", "x" * 257, "x" * 1_025, "password", "long\0enough", "bob@example.com"),
        "full_name": LINES,
        "email": ("", "bob", "bob@", "@example.com", "b b@example.com", "bob@example.com\n", f"{'x' * 250}@x.example"),
    },
    "Login": {"username": ("", "x" * 65), "password": ("", "x" * 1_025)},
    "GetCurrentUser": {},
    "RefreshTokens": {"refresh_token": ("", "x" * 1_025)},
    "Logout": {"refresh_token": ("", "x" * 1_025)},
    "ListSigningKeys": {},
    "ChangePassword": {
        "current_password": ("", "x" * 1_025),
        "new_password": ("", "short", "x" * 257, "x" * 1_025, "password", "long\0enough", "baseball"),
    },
    "CreateMovie": {
        "title": LINES,
        "runtime": SPANS,
        "rating": ("x" * 201, *PARAGRAPHS),
        "synopsis": ("x" * 5_001, "x" * 900_000, *PARAGRAPHS),
        "request_id": REQUEST_IDS,
    },
    "CreateCinema": {
        "name": LINES,
        "time_zone": ("", "x" * 65, "Mars/Olympus", "utc\0", "../UTC", "Europe/Berlin\n", "+02:00"),
        "request_id": REQUEST_IDS,
    },
    "CreateAuditorium": {
        "cinema_id": IDENTIFIERS,
        "name": LINES,
        "rows": ([], rows(*((label, [1]) for label in LABELS[:61])), [SeatRow()] * 100_000),
        "rows[0].label": tuple(rows((label, [1])) for label in ("", "a", "ABC", "1", "Ä", "A\n", "\0")),
        "rows[2].label": (rows(("A", [1]), ("B", [1]), ("A", [1])),),
        "rows[0].sections": tuple(rows(("A", sections)) for sections in ([], [1] * 201, [100, 101], [1] * 900_000)),
        "rows[2].sections[0]": tuple(
            rows(("A", [1]), ("B", [1]), ("C", [size])) for size in (0, -1, 201, 2**31 - 1, -(2**31))
        ),
        "areas": ([SeatArea(category=f"c{number}", seats=["A1"]) for number in range(21)],),
        "areas[0]": ([SeatArea(category="vip")],),
        "areas[0].category": tuple([SeatArea(category=each, rows=["A"])] for each in NO_CATEGORIES),
        "areas[0].rows": tuple([SeatArea(category="vip", rows=each)] for each in (["B"], ["A"] * 2)),
        "areas[0].seats": tuple([SeatArea(category="vip", seats=each)] for each in (["A2"], ["A1"] * 2)),
        "wheelchair_spaces": ([WheelchairSpace(seat="A1")] * 201,),
        "wheelchair_spaces[0].seat": tuple([WheelchairSpace(seat=each)] for each in ("", "A", "A2", "a1", "A1\0")),
        "wheelchair_spaces[0].companion_seats": tuple(
            [WheelchairSpace(seat="A1", companion_seats=each)] for each in (["A2"], ["A1"], ["A1"] * 5)
        ),
        "request_id": REQUEST_IDS,
    },
    "UpdateMovie": {
        "movie_id": IDENTIFIERS,
        "update_mask": MASKS,
        "title": LINES,
        "runtime": SPANS,
        "rating": ("x" * 201, *PARAGRAPHS),
        "synopsis": ("x" * 5_001, "x" * 900_000, *PARAGRAPHS),
        "request_id": REQUEST_IDS,
    },
    "UpdateCinema": {"cinema_id": IDENTIFIERS, "update_mask": MASKS, "name": LINES, "request_id": REQUEST_IDS},
    "UpdateAuditorium": {"auditorium_id": IDENTIFIERS, "update_mask": MASKS, "name": LINES, "request_id": REQUEST_IDS},
    "GetMovie": {"movie_id": IDENTIFIERS},
    "GetCinema": {"cinema_id": IDENTIFIERS},
    "GetAuditorium": {"auditorium_id": IDENTIFIERS},
    "ListMovies": PAGES,
    "ListCinemas": PAGES,
    "ListAuditoriums": {"cinema_id": IDENTIFIERS, **PAGES},
    "ListShowtimes": {
        "movie_id": FILTERS,
        "cinema_id": FILTERS,
        "auditorium_id": FILTERS,
        "start_time_from": TIMES,
        "start_time_until": TIMES,
        **PAGES,
    },
    "GetShowtime": {"showtime_id": IDENTIFIERS},
    "WatchSeats": {"showtime_id": IDENTIFIERS, "after_revision": (-1, -(2**63))},
    "SuggestSeats": {
        "showtime_id": IDENTIFIERS,
        "party_size": (0, 11, -1, 2**31 - 1, -(2**31)),
        **{path: tuple(map(Instead, values)) for path, values in party_fields().items()},
        "wheelchair_spaces": (3, 11, -1, -(2**31)),
        "max_options": (11, -1, 2**31 - 1),
    },
    "CreateShowtime": {
        "movie_id": IDENTIFIERS,
        "auditorium_id": IDENTIFIERS,
        "start_time": (None, Timestamp(), moment(NOW), moment(NOW + timedelta(days=6 * 366)), *TIMES),
        **price_lists(lambda lines: Instead({"price": None, "prices": lines})),
        "price.currency_code": tuple(map(money, ("", "eur", "EU", "EURO", "ZZZ", "XAU", "E\0R", "EUR\n", "€€€"))),
        "price.minor_units": tuple(money(minor_units=each) for each in (-1, 10**12 + 1, 2**63 - 1, -(2**63))),
        "seat_gap_policy": (3, -1, 2**31 - 1),
        "request_id": REQUEST_IDS,
    },
    "CreateBooking": {
        "showtime_id": IDENTIFIERS,
        **seat_lists(10),
        **choice_lists(10),
        **best_seats(),
        "request_id": REQUEST_IDS,
    },
    "GetBooking": {"booking_id": IDENTIFIERS},
    "ListBookings": {"showtime_id": FILTERS, "status": (5, -1, 2**31 - 1), **PAGES},
    "ConfirmPayment": {
        "booking_id": IDENTIFIERS,
        "payment_token": ("x" * 256, "tok\0", "tok\n", "\x85"),
        "request_id": REQUEST_IDS,
    },
    "GetCancellationQuote": {"booking_id": IDENTIFIERS, **seat_lists(100)},
    "CancelBooking": {"booking_id": IDENTIFIERS, **seat_lists(100), "request_id": REQUEST_IDS},
    "UpdateHold": {
        "booking_id": IDENTIFIERS,
        **seat_lists(10),
        **choice_lists(10),
        "request_id": REQUEST_IDS,
    },
    **malformed_staff_requests.MALFORMED,
    **malformed_door_requests.MALFORMED,
}
"""By method and by the path that the error must name: malformed values of the top-level field of that path."""
