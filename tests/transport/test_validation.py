"""Malformed requests are refused; the error names each bad field by its path, and the rule that it breaks."""

import os
import time
import unicodedata
from typing import Any

import grpc
import pytest
from cinema.v1 import auth_service_pb2 as auth
from cinema.v1 import booking_service_pb2 as booking
from cinema.v1 import box_office_service_pb2 as box_office
from cinema.v1 import catalog_pb2, money_pb2, showtime_pb2
from cinema.v1 import catalog_service_pb2 as catalog
from cinema.v1 import showtime_service_pb2 as showtime
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp

from cinema_grpc.transport.contract import SERVICES
from cinema_grpc.transport.handlers import Handler, MethodTraits
from cinema_grpc.transport.pipeline import CallPipeline
from cinema_grpc.transport.validation import request_checks
from tests.proofs.vitals import MEBIBYTE, memory
from tests.transport.conftest import Serve
from tests.transport.wire import failure, reason_of, violations_of

METHODS = {
    method.input_type.full_name: f"/{service.full_name}/{method.name}"
    for service in SERVICES
    for method in service.methods
}
UUID = "0190b6f0-7a3c-7d3e-9f27-2f1c1a4b5c6d"
LABEL = 'must be a seat label: one or two capital letters, then a number from 1 to 999, such as "A1"'
ROW_LABEL = 'must be one or two capital letters, such as "A" or "AA"'
EMPTY = "must not be empty"
LONG = "must be at most 64 characters"
REQUIRED = "value is required"
TEXT = "must be 1 to 200 characters, not blank, without control characters"
UNIQUE = "repeated value must contain unique items"
NO_UUID = "must be a valid UUID"
SPAN = "must be greater than or equal to 60s and less than or equal to 43200s"
TENDER = "must be set: CASH, CARD_TERMINAL or COMPLIMENTARY"
DEFINED = "value must be one of the defined enum values"
SECTION = "must be greater than or equal to 1 and less than or equal to 200"
YEARS = "must lie in the years 1 to 9999, with nanos from 0 to 999,999,999"
EUR = money_pb2.Money(currency_code="EUR", minor_units=1)
SOON = Timestamp(seconds=1)
LAST_MOMENT = Timestamp(seconds=253_402_300_799, nanos=999_999_000)

COMPOSED_OF_FOUR, BECOMES_THREE = "\u03b1\u0313\u0300\u0345", "\U0001d160"
"""The characters that NFC shortens and lengthens the most."""


def registering(password: str) -> Message:
    return auth.RegisterRequest(username="ada", password=password, full_name="Ada", email="ada@example.com")


GOOD: list[Message] = [
    booking.CreateBookingRequest(showtime_id="s", seats=["A1", "AA999"], request_id=UUID),
    booking.CreateBookingRequest(showtime_id="x" * 64, seats=[f"A{n}" for n in range(1, 11)], request_id=UUID.upper()),
    booking.ListBookingsRequest(),
    catalog.CreateMovieRequest(title="名画座", runtime=Duration(seconds=60)),
    catalog.CreateMovieRequest(title="x" * 200, synopsis="🎬" * 5000, runtime=Duration(seconds=43_200)),
    catalog.CreateAuditoriumRequest(
        cinema_id="c",
        name="One",
        rows=[catalog_pb2.SeatRow(label=f"A{chr(65 + n % 26)}", sections=[1] * 200) for n in range(60)],
    ),
    showtime.CreateShowtimeRequest(movie_id="m", auditorium_id="a", start_time=SOON, price=EUR),
    showtime.ListShowtimesRequest(start_time_from=Timestamp(seconds=-62_135_596_800), start_time_until=LAST_MOMENT),
    auth.LoginRequest(username="ada", password="x"),
    *(registering(password) for password in ("x" * 8, "ä" * 256, COMPOSED_OF_FOUR * 256, BECOMES_THREE * 3)),
]

PASSWORD = {"password": "must be 8 to 256 characters, without control characters"}

BAD: list[tuple[Message, dict[str, str]]] = [
    (
        booking.CreateBookingRequest(seats=["A1", "A1", "z9"], request_id="x"),
        {"showtime_id": EMPTY, "seats": UNIQUE, "seats[2]": LABEL, "request_id": NO_UUID},
    ),
    (
        booking.CreateBookingRequest(showtime_id="x" * 65, seats=["A1"]),
        {"showtime_id": LONG},
    ),
    (
        booking.CreateBookingRequest(showtime_id="s", seats=[f"A{n}" for n in range(1, 12)]),
        {"seats": "must contain no more than 10 item(s)"},
    ),
    (
        booking.ListBookingsRequest(showtime_id="x" * 65, status=9, page_size=-1, page_token="x" * 1025),  # type: ignore[arg-type]
        {
            "showtime_id": LONG,
            "status": DEFINED,
            "page_size": "must be greater than or equal to 0",
            "page_token": "must be at most 1024 characters",
        },
    ),
    (catalog.CreateMovieRequest(title=" "), {"title": TEXT, "runtime": REQUIRED}),
    (catalog.CreateMovieRequest(title="a\0b", runtime=Duration(seconds=59)), {"title": TEXT, "runtime": SPAN}),
    (catalog.CreateMovieRequest(title="a", runtime=Duration(seconds=43_200, nanos=1000)), {"runtime": SPAN}),
    (
        catalog.CreateMovieRequest(title="a", runtime=Duration(seconds=60, nanos=1)),
        {"runtime": "must not be finer than a microsecond"},
    ),
    (
        catalog.CreateAuditoriumRequest(
            cinema_id="c",
            name="One",
            rows=[
                catalog_pb2.SeatRow(label="A", sections=[4]),
                catalog_pb2.SeatRow(),
                catalog_pb2.SeatRow(label="abc", sections=[0, 201]),
            ],
        ),
        {
            "rows[1].label": ROW_LABEL,
            "rows[1].sections": "must contain at least 1 item(s)",
            "rows[2].label": ROW_LABEL,
            "rows[2].sections[0]": SECTION,
            "rows[2].sections[1]": SECTION,
        },
    ),
    (
        catalog.CreateAuditoriumRequest(
            cinema_id="c", name="One", rows=[catalog_pb2.SeatRow(label="A", sections=[1] * 201)]
        ),
        {"rows[0].sections": "must contain no more than 200 item(s)"},
    ),
    (
        showtime.CreateShowtimeRequest(seat_gap_policy=7),  # type: ignore[arg-type]
        {
            "movie_id": EMPTY,
            "auditorium_id": EMPTY,
            "start_time": REQUIRED,
            "price": "exactly one of price and prices must be set",
            "prices": "exactly one of price and prices must be set",
            "seat_gap_policy": DEFINED,
        },
    ),
    (
        showtime.CreateShowtimeRequest(
            movie_id="m", auditorium_id="a", start_time=Timestamp(nanos=-1), price=money_pb2.Money(minor_units=-1)
        ),
        {
            "start_time": YEARS,
            "price.currency_code": 'must be an ISO 4217 code: three capital letters, such as "EUR"',
            "price.minor_units": "must be greater than or equal to 0 and less than or equal to 1000000000000",
        },
    ),
    (
        showtime.ListShowtimesRequest(
            start_time_from=Timestamp(seconds=-62_135_596_801), start_time_until=Timestamp(seconds=2**63 - 1, nanos=-1)
        ),
        {"start_time_from": YEARS, "start_time_until": YEARS},
    ),
    (box_office.SellSeatsRequest(showtime_id="s", seats=["A1"]), {"tender": TENDER}),
    (
        showtime.SetSeatBlocksRequest(showtime_id="s", block=showtime_pb2.SeatBlock(seats=["A1"], reason="x")),
        {"block.kind": "must be set: OUT_OF_ORDER or HOUSE"},
    ),
    *(
        (registering(password), PASSWORD)
        for password in ("", "short", "x" * 7, "x" * 257, "\u02ff" * 257, "名" * 2, "名" * 1_025, "long\0enough")
    ),
    (auth.LoginRequest(), {"username": EMPTY, "password": EMPTY}),
]


async def accept(_request: object, _context: object) -> bytes:
    return b"fine"


@pytest.fixture
async def channel(serve: Serve) -> Any:
    methods: dict[str, Handler] = {
        f"/{service.full_name}/{method.name}": grpc.unary_unary_rpc_method_handler(
            accept, GetMessageClass(method.input_type).FromString
        )
        for service in SERVICES
        for method in service.methods
    }
    traits = {name: MethodTraits(check) for name, check in request_checks(SERVICES).items()}
    return await serve(CallPipeline(methods, traits=traits))


def send(channel: Any, request: Message) -> Any:
    return channel.unary_unary(METHODS[request.DESCRIPTOR.full_name])(request.SerializeToString())


@pytest.mark.parametrize("request_", GOOD, ids=range(len(GOOD)))
async def test_well_formed_requests_are_accepted(channel: Any, request_: Message) -> None:
    assert await send(channel, request_) == b"fine"


@pytest.mark.parametrize(("request_", "violations"), BAD, ids=range(len(BAD)))
async def test_each_bad_field_is_named(channel: Any, request_: Message, violations: dict[str, str]) -> None:
    assert violations_of(await failure(send(channel, request_))) == violations


@pytest.mark.parametrize("method", sorted(METHODS.values()))
@pytest.mark.parametrize("raw", [b"\xff", b"\x0a\x05abc"], ids=["garbage", "cut"])
async def test_bytes_that_are_no_message_are_refused(channel: Any, method: str, raw: bytes) -> None:
    assert list(violations_of(await failure(channel.unary_unary(method)(raw)))) == [""]


async def test_strings_that_are_not_utf8_are_refused(channel: Any) -> None:
    raw = booking.GetBookingRequest(booking_id="AB").SerializeToString().replace(b"AB", b"\xff\xfe")
    assert list(violations_of(await failure(channel.unary_unary("/cinema.v1.BookingService/GetBooking")(raw)))) == [""]


@pytest.mark.parametrize(
    "request_",
    [
        booking.CreateBookingRequest(showtime_id="s", seats=[""] * 500_000),
        catalog.CreateAuditoriumRequest(rows=[catalog_pb2.SeatRow()] * 500_000),
        catalog.CreateAuditoriumRequest(rows=[catalog_pb2.SeatRow(sections=[0] * 500_000)] * 2),
        booking.CreateBookingRequest(showtime_id="s", choices=[booking.SeatChoice()] * 400_000),
        showtime.SetSeatBlocksRequest(showtime_id="s", block=showtime_pb2.SeatBlock(seats=[""] * 500_000)),
        auth.RegisterRequest(password="é" * 500_000, full_name="\0" * 500_000),
    ],
    ids=["seats", "rows", "sections", "choices", "blocked", "texts"],
)
async def test_a_huge_request_is_refused_quickly(channel: Any, request_: Message) -> None:
    begin = time.process_time()
    assert reason_of(await failure(send(channel, request_))) == "INVALID_REQUEST"
    assert time.process_time() - begin < 5  # other threads count too; a check of each element with each takes minutes


async def test_unknown_fields_take_no_memory_while_a_call_waits(serve: Serve) -> None:
    kept: list[Message] = []

    async def keep(request: Message, _context: object) -> bytes:
        kept.append(request)
        return b""

    method = METHODS["cinema.v1.GetBookingRequest"]
    traits = {method: MethodTraits(request_checks(SERVICES)[method])}
    channel = await serve(CallPipeline({method: grpc.unary_unary_rpc_method_handler(keep)}, traits=traits))
    ours = descriptor_pb2.FileDescriptorProto(name="x" * 1_000_000).SerializeToString().replace(b"\n", b"\x7a", 1)
    raw = booking.GetBookingRequest(booking_id="b").SerializeToString() + ours
    assert len(booking.GetBookingRequest.FromString(raw).SerializeToString()) > 1_000_000
    await channel.unary_unary(method)(raw)
    before = memory(os.getpid())
    for _ in range(100):
        await channel.unary_unary(method)(raw)
    assert memory(os.getpid()) - before < 50 * MEBIBYTE
    assert kept == [booking.GetBookingRequest(booking_id="b")] * 101


def test_the_password_rule_allows_for_nfc() -> None:
    """NFC changes nothing up to U+02FF; beyond, it turns one character into at most 3, and at most 4 into one."""
    for number in (*range(0xD800), *range(0xE000, 0x110000)):
        letter = chr(number)
        composed = unicodedata.normalize("NFC", letter)
        assert composed == letter or number > 0x2FF
        assert len(composed) <= 3
        assert len(unicodedata.normalize("NFD", composed)) <= 4 * len(composed)


async def test_other_services_are_not_validated(serve: Serve) -> None:
    channel = await serve(CallPipeline({"/test.Service/Method": grpc.unary_unary_rpc_method_handler(accept)}))
    assert await channel.unary_unary("/test.Service/Method")(b"\xff") == b"fine"


def test_a_list_in_the_protos_needs_a_max_items() -> None:
    endless = descriptor_pb2.FileDescriptorProto(name="endless.proto", package="test", syntax="proto3")
    message = endless.message_type.add(name="Request")
    message.field.add(name="words", number=1, type="TYPE_STRING", label="LABEL_REPEATED")
    endless.service.add(name="Service").method.add(
        name="Method", input_type=".test.Request", output_type=".test.Request"
    )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(endless.SerializeToString())
    with pytest.raises(ValueError, match=r"test\.Request\.words needs a max_items"):
        request_checks([pool.FindServiceByName("test.Service")])
