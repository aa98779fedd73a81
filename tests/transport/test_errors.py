"""Errors are shortened to what a client accepts as metadata."""

from string import ascii_uppercase, printable
from urllib.parse import quote

import grpc
import pytest
from google.rpc.error_details_pb2 import ResourceInfo
from grpc import StatusCode

from cinema_grpc.domain.booking_errors import HouseSeatsUnavailable, SeatsUnavailable
from cinema_grpc.domain.errors import CinemaError, FieldViolation, InvalidRequest, NameTaken, SeatNotFound
from cinema_grpc.transport import errors
from cinema_grpc.transport.errors import describe
from cinema_grpc.transport.pipeline import CallPipeline
from tests.transport.conftest import Serve
from tests.transport.wire import details_of, failure, reason_of, status_of, trailing, violations_of

ALL_SEATS = [f"{row}{number}" for row in ascii_uppercase for number in range(1, 154)]
LONG = [
    InvalidRequest(*(FieldViolation(f"rows[{n}].label", "must be one or two capital letters") for n in range(3_000))),
    InvalidRequest(*(FieldViolation(f"rows[{n}].label", "muß größer sein: 名画座 🎬" * 10) for n in range(3_000))),
    InvalidRequest(FieldViolation("f" * 5_000, "x" * 1_000_000), FieldViolation("g", "y")),
    NameTaken("🎬" * 200),
    NameTaken("x" * 100_000),
    NameTaken("🎬" * 100_000),
    SeatNotFound(ALL_SEATS),
    HouseSeatsUnavailable(ALL_SEATS, ALL_SEATS),
]


@pytest.mark.parametrize("error", LONG, ids=range(len(LONG)))
async def test_an_error_is_never_too_large_for_the_client(serve: Serve, error: CinemaError) -> None:
    async def refuse(_request: object, _context: object) -> None:
        raise error

    channel = await serve(CallPipeline({"/test.Service/Method": grpc.unary_unary_rpc_method_handler(refuse)}))
    told = await failure(channel.unary_unary("/test.Service/Method")(b"", metadata=(("x-request-id", "x" * 128),)))
    assert told.code() is describe(error)[0]
    assert reason_of(told) == error.reason
    # As HTTP/2 counts: names and encoded values, and 32 bytes for each header.
    encoded = len(quote(str(told.details()), safe=printable))
    base64 = len(trailing(told, "grpc-status-details-bin")) * 4 // 3
    assert encoded + base64 + 128 + 5 * 64 < 8_192


async def test_an_error_names_as_many_bad_fields_as_fit(serve: Serve) -> None:
    async def refuse(_request: object, _context: object) -> None:
        raise LONG[0]

    channel = await serve(CallPipeline({"/test.Service/Method": grpc.unary_unary_rpc_method_handler(refuse)}))
    told = await failure(channel.unary_unary("/test.Service/Method")(b""))
    named = list(violations_of(told))
    assert 10 <= len(named) <= 20
    assert named == [f"rows[{n}].label" for n in range(len(named))]
    assert str(told.details()).endswith("; and others")
    assert details_of(status_of(told))["ErrorInfo"].metadata["fields"] == ",".join(named)


def test_twenty_short_violations_are_all_named() -> None:
    error = InvalidRequest(*(FieldViolation(f"f{n}", "must be set") for n in range(20)))
    code, status = describe(error)
    assert code is StatusCode.INVALID_ARGUMENT
    assert status.message == error.message
    assert len(details_of(status)["BadRequest"].field_violations) == 20


@pytest.mark.parametrize("kind", [SeatNotFound, SeatsUnavailable])
@pytest.mark.parametrize("number", range(250, 270))  # wherever the limit cuts a label
def test_a_list_that_is_too_long_ends_after_a_seat(kind: type[SeatNotFound | SeatsUnavailable], number: int) -> None:
    _, status = describe(kind(ALL_SEATS[number:]))
    *named, rest = details_of(status)["ErrorInfo"].metadata["seats"].split(",")
    assert (named, rest) == (ALL_SEATS[number : number + len(named)], "...")
    assert len(named) > 200


def test_thousands_of_missing_seats_have_few_details(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each detail has the message, which has the list: to make all of them would take minutes."""
    made = []

    def make(**fields: str) -> ResourceInfo:
        made.append(fields["resource_name"])
        return ResourceInfo(**fields)

    monkeypatch.setattr(errors, "ResourceInfo", make)
    _, status = describe(SeatNotFound(ALL_SEATS))
    assert made == ALL_SEATS[:20]
    assert sum(len(each.value) for each in status.details) < 8_000
