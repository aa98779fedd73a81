"""Malformed requests of every kind over a real channel: each gets an error that names the field and changes nothing."""

import re
import sqlite3
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import grpc
import pytest
import pytest_asyncio
from cinema.v1.auth_service_pb2 import GetCurrentUserRequest
from cinema.v1.catalog_pb2 import SeatRow
from cinema.v1.money_pb2 import Money
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp

from cinema_grpc.transport.page_tokens import encode, query_of
from tests.builders import NOW
from tests.rpc.conftest import METHODS, PASSWORD, House, moment, refusal, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHORT_NAMES = {name.rpartition("/")[2]: name for name in METHODS}
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


LISTS = ("ListMovies", "ListCinemas", "ListAuditoriums", "ListShowtimes", "ListBookings")


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
"""For each method the fields of a request that is not malformed."""
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
"""For each method and each path what is malformed there; it stands in the field that the path begins with."""
UNDERSTOOD = {grpc.StatusCode.OK, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNAUTHENTICATED}
NO_MESSAGES = (b"\xff", b"\x00", b"\x0a\x05abc", b"\x0b", b"\x0c", b"\x0f\x00", b"\x80" * 20, bytes(range(256)))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """One server for all: what is malformed leaves no trace in it."""
    async with running(f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('malformed')}/cinema.db") as house:
        await house.staff()
        yield house


@pytest.fixture
def contents(house: House) -> Iterator["Contents"]:
    """What is in the database."""
    connection = sqlite3.connect(str(house.server.database.engine.url.database))
    yield Contents(connection)
    connection.close()


class Contents:
    """All that is in the database, as another program sees it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._before = self._dump()

    def changed(self) -> bool:
        """Tell whether anything has changed since the test began."""
        return self._dump() != self._before

    def _dump(self) -> list[str]:
        return list(self._connection.iterdump())


def field_of(path: str) -> str:
    return re.split(r"[.\[]", path)[0]


async def send(house: House, name: str, request: bytes) -> bytes:
    """Call a method as staff, who may call any."""
    return await house.send(SHORT_NAMES[name], request, await house.staff())


def written(name: str, fields: dict[str, Any]) -> bytes:
    """Write a request to a method: a well-formed one, but for some fields."""
    request = GetMessageClass(METHODS[SHORT_NAMES[name]].input_type)(**(WELL_FORMED[name] | fields))
    return request.SerializeToString()


async def test_the_table_is_complete() -> None:
    """Every field of every request has something that is malformed."""
    assert SHORT_NAMES.keys() == WELL_FORMED.keys() == MALFORMED.keys()
    for name, full_name in SHORT_NAMES.items():
        fields = {field.name for field in METHODS[full_name].input_type.fields}
        assert {field_of(path) for path in MALFORMED[name]} == fields, name


@pytest.mark.parametrize(("name", "path"), [(name, path) for name, paths in MALFORMED.items() for path in paths])
async def test_a_malformed_field(house: House, contents: Contents, name: str, path: str) -> None:
    """It alone is named, in the details, in the metadata and in the text."""
    for value in MALFORMED[name][path]:
        refused = await refusal(send(house, name, written(name, {field_of(path): value})))
        assert refused.fields == [path], str(value)[:100]
        assert refused.metadata["fields"] == ",".join(refused.fields)
        assert path in refused.message
    assert not contents.changed()


async def test_well_formed_ones_are_not_refused_for_it(house: House, contents: Contents) -> None:
    """What is malformed above is so for its one field; what is well-formed does change something."""
    for name in WELL_FORMED:
        call = house.send(SHORT_NAMES[name], written(name, {}), await house.staff())
        assert await call.code() in UNDERSTOOD, name
    assert contents.changed()


@pytest.mark.parametrize("name", WELL_FORMED)
async def test_bytes_that_are_no_message(house: House, contents: Contents, name: str) -> None:
    """There is no field to name, and the text says so; text that is not UTF-8 is no message either."""
    first = METHODS[SHORT_NAMES[name]].input_type.fields_by_number.get(1)
    not_text = (b"\x0a\x02\xff\xfe",) if first is not None and first.type == first.TYPE_STRING else ()
    for raw in (*NO_MESSAGES, *not_text):
        refused = await refusal(send(house, name, raw))
        assert refused.fields == [""], raw
        assert "bytes" in refused.message
    assert not contents.changed()


@pytest.mark.parametrize(
    ("name", "owner", "cursors"),
    [
        ("ListMovies", "", [(), ("a", "b")]),
        ("ListBookings", "{staff}", [(), ("a", "b")]),
        (
            "ListShowtimes",
            "",
            [(), ("1",), ("x", "1", "a"), ("1", "1.5", "a"), ("9" * 300, "1", "a"), ("1", f"-{'9' * 19}", "a")],
        ),
    ],
)
async def test_a_page_token_that_was_made_up(
    house: House, name: str, owner: str, cursors: list[tuple[str, ...]]
) -> None:
    """By someone who knows how they are made, for the right query: what it holds is input like any other."""
    me = await house.auth.GetCurrentUser(GetCurrentUserRequest(), metadata=await house.staff())
    request = GetMessageClass(METHODS[SHORT_NAMES[name]].input_type)()
    bound = query_of(request, owner.format(staff=me.user.user_id))
    for cursor in cursors:
        refused = await refusal(send(house, name, written(name, {"page_token": encode(bound, cursor)})))
        assert refused.fields == ["page_token"], cursor


@pytest.mark.parametrize(
    ("name", "fields", "expected"),
    [
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
        # What the protos refuse, beside what only the method itself does
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
        ("CreateShowtime", {"price": None, "start_time": moment(NOW)}, ["price", "start_time"]),
        (
            "CreateShowtime",
            {"price": money("XAU"), "start_time": Timestamp(nanos=-1)},
            ["price.currency_code", "start_time"],
        ),
        ("CreateBooking", {"seats": ["A1"] * 200, "request_id": "x"}, ["request_id", "seats"]),
        ("CreateBooking", {"seats": ["A1"] * 11, "request_id": "x"}, ["request_id", "seats"]),
        ("ListBookings", {"status": 9, "page_size": -1, "page_token": "x"}, ["page_size", "page_token", "status"]),
        *((name, {"page_size": -1, "page_token": "x"}, ["page_size", "page_token"]) for name in LISTS),
    ],
)
async def test_every_bad_field_is_named(
    house: House, contents: Contents, name: str, fields: dict[str, Any], expected: list[str]
) -> None:
    """At once, by its path."""
    refused = await refusal(send(house, name, written(name, fields)))
    assert sorted(refused.fields) == expected
    assert refused.metadata["fields"] == ",".join(refused.fields)
    assert not contents.changed()


WRONG: dict[str, Any] = {
    "google.protobuf.Timestamp": Timestamp(nanos=-1),
    "google.protobuf.Duration": Duration(nanos=-1),
    "cinema.v1.Money": money("?", -1),
    "cinema.v1.SeatRow": SeatRow(),
}
"""By its type, a message that no field takes."""


def wrong(field: Any) -> Any:
    """Make a value that is wrong in every field of its type."""
    if field.message_type is not None:
        value = WRONG[field.message_type.full_name]
    elif field.enum_type is not None:
        value = 99
    else:
        value = -1 if field.type == field.TYPE_INT32 else "\0" * 1_100
    return [value] * 10 if field.is_repeated else value


@pytest.mark.parametrize("name", [name for name, fields in MALFORMED.items() if fields])
async def test_a_request_in_which_all_is_wrong(house: House, contents: Contents, name: str) -> None:
    """Each of its fields is named, though one of them is a list of wrong entries."""
    fields = METHODS[SHORT_NAMES[name]].input_type.fields
    refused = await refusal(send(house, name, written(name, {field.name: wrong(field) for field in fields})))
    assert {field_of(path) for path in refused.fields} == {field.name for field in fields}
    assert not contents.changed()


async def test_more_bad_fields_than_an_answer_has_room_for(house: House, contents: Contents) -> None:
    """The answer arrives all the same, and says that there are others."""
    fields = {"rows": rows(*((label, [0] * 200) for label in LABELS[:60]))}
    refused = await refusal(send(house, "CreateAuditorium", written("CreateAuditorium", fields)))
    assert refused.fields[:2] == ["rows[0].sections[0]", "rows[0].sections[1]"]
    assert "and others" in refused.message
    assert not contents.changed()


async def test_a_request_of_more_than_a_megabyte(house: House, contents: Contents) -> None:
    """The library refuses it unread, with a code alone; the next call is answered."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await send(house, "CreateMovie", written("CreateMovie", {"synopsis": "x" * 1_100_000}))
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert not contents.changed()
    assert await send(house, "GetCurrentUser", b"")
