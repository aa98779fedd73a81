"""Requests for every method: well-formed ones, and values that are malformed in one field."""

from datetime import timedelta
from typing import Any

from cinema.v1.catalog_pb2 import SeatRow
from cinema.v1.money_pb2 import Money
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from tests.builders import NOW
from tests.rpc.conftest import PASSWORD, moment

UUID = "0190b6f0-7a3c-7d3e-9f27-2f1c1a4b5c6d"
LABELS = [f"{first}{second}" for first in "ABCD" for second in "ABCDEFGHIJKLMNOPQRST"]
LATER = moment(NOW + timedelta(days=1))
SECONDS = LATER.seconds
EUR = Money(currency_code="EUR", minor_units=1_250)

LINES = ("", " \u2003", "x" * 201, "🎬" * 201, "a\0b", "a\nb", "tail\n", "\x1b[31m", "\x7f", "\x85")
PARAGRAPHS = ("\0", "a\nb", "tail\n", "\x7f", "\x85")
IDENTIFIERS = ("", "x" * 65, "🎬" * 65)
FILTERS = ("x" * 65, "🎬" * 65)
REQUEST_IDS = ("x", "\0", " ", UUID[:-1], f"{UUID}0", f"{UUID}\n", f"{{{UUID}}}", UUID.replace("-", ""), "x" * 36)
PAGE_SIZES = (-1, -(2**31))
PAGE_TOKENS = ("x", "\0", " ", "🎬", ".", "...", "AAAA.AAAA", "x" * 1_025)
TIMES = (
    *(Timestamp(seconds=SECONDS, nanos=nanos) for nanos in (-1, -1_000, 10**9, 2**31 - 1, -(2**31))),
    *(Timestamp(seconds=seconds) for seconds in (253_402_300_800, -62_135_596_801, 2**63 - 1, -(2**63))),
)
SPANS = (
    None,
    Duration(),
    *(Duration(seconds=60, nanos=nanos) for nanos in (1, 999, -1, -1_000, 10**9, 2**31 - 1, -(2**31))),
    *(Duration(seconds=seconds) for seconds in (59, 43_201, -60, 315_576_000_001, 2**63 - 1, -(2**63))),
    Duration(seconds=59, nanos=999_999_000),
    Duration(seconds=43_200, nanos=1_000),
    Duration(nanos=60_000_000),
)


def rows(*layout: tuple[str, Any]) -> list[SeatRow]:
    return [SeatRow(label=label, sections=sections) for label, sections in layout]


def money(code: str = "EUR", minor_units: int = 1) -> Money:
    return Money(currency_code=code, minor_units=minor_units)


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
    "GetMovie": {"movie_id": "none"},
    "GetCinema": {"cinema_id": "none"},
    "GetAuditorium": {"auditorium_id": "none"},
    "ListMovies": {},
    "ListCinemas": {},
    "ListAuditoriums": {"cinema_id": "none"},
    "ListShowtimes": {},
    "GetShowtime": {"showtime_id": "none"},
    "CreateShowtime": {"movie_id": "none", "auditorium_id": "none", "start_time": LATER, "price": EUR},
    "CreateBooking": {"showtime_id": "none", "seats": ["A1"]},
    "GetBooking": {"booking_id": "none"},
    "ListBookings": {},
    "ConfirmPayment": {"booking_id": "none", "payment_token": "tok_visa"},
    "GetCancellationQuote": {"booking_id": "none"},
    "CancelBooking": {"booking_id": "none"},
}
"""By method, the fields of a well-formed request."""
PAGES: dict[str, tuple[Any, ...]] = {"page_size": PAGE_SIZES, "page_token": PAGE_TOKENS}
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
        "request_id": REQUEST_IDS,
    },
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
    "CreateShowtime": {
        "movie_id": IDENTIFIERS,
        "auditorium_id": IDENTIFIERS,
        "start_time": (None, Timestamp(), moment(NOW), moment(NOW + timedelta(days=6 * 366)), *TIMES),
        "price": (None,),
        "price.currency_code": tuple(map(money, ("", "eur", "EU", "EURO", "ZZZ", "XAU", "E\0R", "EUR\n", "€€€"))),
        "price.minor_units": tuple(money(minor_units=each) for each in (-1, 10**12 + 1, 2**63 - 1, -(2**63))),
        "seat_gap_policy": (3, -1, 2**31 - 1),
        "request_id": REQUEST_IDS,
    },
    "CreateBooking": {
        "showtime_id": IDENTIFIERS,
        "seats": ([], ["A1", "A2", "A1"], [f"A{number}" for number in range(1, 12)], ["A1"] * 200_000),
        "seats[1]": tuple(
            ["A1", label]
            for label in ("", "A", "1", "a2", "A0", "A01", "A1000", "AAA1", "A1 ", "A2\n", "A\0", "Ä1", "A٣", "A-1")
        ),
        "request_id": REQUEST_IDS,
    },
    "GetBooking": {"booking_id": IDENTIFIERS},
    "ListBookings": {"showtime_id": FILTERS, "status": (5, -1, 2**31 - 1), **PAGES},
    "ConfirmPayment": {
        "booking_id": IDENTIFIERS,
        "payment_token": ("", "x" * 256, "tok\0", "tok\n", "\x85"),
        "request_id": REQUEST_IDS,
    },
    "GetCancellationQuote": {"booking_id": IDENTIFIERS},
    "CancelBooking": {"booking_id": IDENTIFIERS, "request_id": REQUEST_IDS},
}
"""By method and by the path that the error must name: malformed values of the top-level field of that path."""
