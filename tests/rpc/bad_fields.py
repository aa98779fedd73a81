"""Requests with several bad fields."""

from typing import Any

from cinema.v1.booking_service_pb2 import SeatChoice
from cinema.v1.catalog_pb2 import SeatRow
from cinema.v1.showtime_pb2 import PriceLine, SeatBlock
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from tests.builders import NOW
from tests.rpc.conftest import moment
from tests.rpc.malformed_values import LABELS, money, rows

LISTS = (
    "ListMovies",
    "ListCinemas",
    "ListAuditoriums",
    "ListShowtimes",
    "ListBookings",
    "FindBookings",
    "ListRefunds",
    "ListTickets",
)

BAD_FIELDS: list[tuple[str, dict[str, Any], list[str]]] = [
    (
        "CreateAuditorium",
        {"cinema_id": "", "name": "\0", "rows": rows(("A", [1]), ("b", [0, 1]), ("C", [1, -1])), "request_id": "x"},
        ["cinema_id", "name", "request_id", "rows[1].label", "rows[1].sections[0]", "rows[2].sections[1]"],
    ),
    (
        "CreateMovie",
        {"title": "", "runtime": Duration(seconds=60, nanos=1), "rating": "\n"},
        ["rating", "runtime", "title"],
    ),
    (
        "ListShowtimes",
        {"start_time_from": Timestamp(nanos=10**9), "start_time_until": Timestamp(nanos=-1), "page_size": -1},
        ["page_size", "start_time_from", "start_time_until"],
    ),
    (
        "CreateShowtime",
        {"start_time": moment(NOW), "price": money("ZZZ")},
        ["price.currency_code", "start_time"],
    ),
    # Rules of the protos, together with rules of the method
    ("Register", {"password": "short", "email": "nope"}, ["email", "password"]),
    ("Register", {"password": "名画座の人", "email": "nope"}, ["email", "password"]),
    (
        "Register",
        {"username": "x", "password": "password", "full_name": "\0"},
        ["full_name", "password", "username"],
    ),
    ("ChangePassword", {"current_password": "", "new_password": "Staff"}, ["current_password", "new_password"]),
    ("ChangePassword", {"current_password": "", "new_password": "baseball"}, ["current_password", "new_password"]),
    ("CreateCinema", {"name": "", "time_zone": "Mars/Olympus"}, ["name", "time_zone"]),
    (
        "CreateAuditorium",
        {"name": "", "rows": rows(("A", [1]), ("A", [1]), ("b", [100, 101]))},
        ["name", "rows[1].label", "rows[2].label", "rows[2].sections"],
    ),
    (
        "CreateAuditorium",
        {"cinema_id": "", "rows": rows(*((label, [200]) for label in LABELS[:11]))},
        ["cinema_id", "rows"],
    ),
    ("CreateAuditorium", {"name": "", "rows": [SeatRow()] * 1_000}, ["name", "rows"]),
    ("CreateAuditorium", {"name": "", "rows": rows(("A", [1] * 201))}, ["name", "rows[0].sections"]),
    (
        "CreateShowtime",
        {"movie_id": "", "start_time": moment(NOW), "price": money("XAU", -1), "request_id": "x"},
        ["movie_id", "price.currency_code", "price.minor_units", "request_id", "start_time"],
    ),
    ("CreateShowtime", {"price": None, "start_time": moment(NOW)}, ["price", "prices", "start_time"]),
    (
        "CreateShowtime",
        {"price": money("XAU"), "start_time": Timestamp(nanos=-1)},
        ["price.currency_code", "start_time"],
    ),
    ("CreateBooking", {"seats": []}, ["best", "choices", "seats"]),
    ("CreateBooking", {"seats": ["A1"] * 200, "request_id": "x"}, ["request_id", "seats"]),
    ("CreateBooking", {"seats": ["A1"] * 11, "request_id": "x"}, ["request_id", "seats"]),
    (
        "FindBookings",
        {"username": "ada", "seat": "A1", "showtime_id": "none", "page_size": -1},
        ["booking_id", "page_size", "showtime_id", "username"],
    ),
    ("FindBookings", {"booking_id": "", "username": "ada", "seat": "A1", "status": 9}, ["seat", "status"]),
    (
        "SetSeatBlocks",
        {"block": SeatBlock(seats=["A1", "a"], reason="\u200b"), "release": ["A1"], "request_id": "x"},
        ["block.kind", "block.reason", "block.seats[1]", "release", "request_id"],
    ),
    (
        "SetSeatBlocks",
        {"block": SeatBlock(seats=[""]), "release": [""]},
        ["block.kind", "block.reason", "block.seats[0]", "release[0]"],
    ),
    (
        "UpdateShowtime",
        {"showtime_id": "", "start_time": moment(NOW), "prices": [PriceLine(category="vip", price=money("ZZZ"))]},
        ["prices[0].price.currency_code", "prices[0].ticket_type", "showtime_id", "start_time"],
    ),
    (
        "SellSeats",
        {"seats": [], "choices": [SeatChoice(seat="A1", ticket_type="tv")] * 2, "tender": 0, "allow_gap": True},
        ["choices[1].seat", "reason", "tender"],
    ),
    ("ListBookings", {"status": 9, "page_size": -1, "page_token": "x"}, ["page_size", "page_token", "status"]),
    *((name, {"page_size": -1, "page_token": "x"}, ["page_size", "page_token"]) for name in LISTS),
]
"""The name of a method, the fields that are replaced in a well-formed request, and those that the error names."""
