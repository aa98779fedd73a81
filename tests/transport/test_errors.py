"""The catalogue of errors: complete, frozen, and never too large to arrive."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from string import printable
from typing import Any
from urllib.parse import quote

import grpc
import pytest
from cinema.v1 import error_reason_pb2
from grpc import StatusCode

import cinema_grpc.transport.errors as transport_errors
from cinema_grpc.application import errors as application_errors
from cinema_grpc.domain import errors as domain_errors
from cinema_grpc.domain.account import Role
from cinema_grpc.domain.errors import CinemaError, FieldViolation, InvalidRequest, NameTaken
from cinema_grpc.transport.errors import CATALOGUE, describe
from cinema_grpc.transport.pipeline import CallPipeline
from tests.transport.conftest import Serve
from tests.transport.wire import details_of, failure, reason_of, status_of, trailing, violations_of

MOMENT = datetime(2026, 5, 1, 19, 0, tzinfo=UTC)

ONE_OF_EACH: list[CinemaError] = [
    InvalidRequest(FieldViolation("seats[1]", "must be a seat label"), FieldViolation("", "is no message")),
    domain_errors.MovieNotFound("m"),
    domain_errors.CinemaNotFound("c"),
    domain_errors.AuditoriumNotFound("a"),
    domain_errors.ShowtimeNotFound("s"),
    domain_errors.BookingNotFound("b"),
    domain_errors.SeatNotFound(["A99", "Z1"]),
    domain_errors.NameTaken("Screen 1"),
    domain_errors.UsernameTaken("ada"),
    domain_errors.EmailTaken("ada@example.com"),
    domain_errors.NotBookingOwner("b"),
    domain_errors.SeatsUnavailable(["A1", "A2"]),
    domain_errors.SingleSeatGap(["A2"]),
    domain_errors.SalesClosed("s", MOMENT),
    domain_errors.HoldLimit(10, 8, 4),
    domain_errors.HoldExpired("b", MOMENT),
    domain_errors.BookingNotReserved("b", "CONFIRMED"),
    domain_errors.BookingNotCancellable("b", "CANCELLED"),
    domain_errors.PaymentInProgress("b"),
    domain_errors.PaymentDeclined("b"),
    domain_errors.ShowtimeOverlap("s", MOMENT, MOMENT, 15),
    application_errors.TokenMissing(),
    application_errors.TokenInvalid(),
    application_errors.TokenExpired(MOMENT),
    application_errors.BadCredentials(),
    application_errors.RefreshTokenInvalid(),
    application_errors.TooManyAttempts(timedelta(seconds=7.1)),
    application_errors.RoleRequired(Role.STAFF),
    application_errors.RequestIdReused("r"),
    application_errors.StorageUnavailable(),
    application_errors.PaymentUnavailable("b"),
    application_errors.ShuttingDown(),
    application_errors.Overloaded(2.0, 3.4),
    transport_errors.InternalError(),
]

CODES = {
    "INVALID_ARGUMENT": {"INVALID_REQUEST"},
    "UNAUTHENTICATED": {"TOKEN_MISSING", "TOKEN_INVALID", "TOKEN_EXPIRED", "BAD_CREDENTIALS", "REFRESH_TOKEN_INVALID"},
    "PERMISSION_DENIED": {"NOT_BOOKING_OWNER", "ROLE_REQUIRED"},
    "NOT_FOUND": {
        "SHOWTIME_NOT_FOUND",
        "BOOKING_NOT_FOUND",
        "MOVIE_NOT_FOUND",
        "CINEMA_NOT_FOUND",
        "AUDITORIUM_NOT_FOUND",
        "SEAT_NOT_FOUND",
    },
    "ALREADY_EXISTS": {"USERNAME_TAKEN", "EMAIL_TAKEN", "NAME_TAKEN"},
    "FAILED_PRECONDITION": {
        "SEATS_UNAVAILABLE",
        "SINGLE_SEAT_GAP",
        "HOLD_EXPIRED",
        "BOOKING_NOT_RESERVED",
        "BOOKING_NOT_CANCELLABLE",
        "PAYMENT_DECLINED",
        "SALES_CLOSED",
        "SHOWTIME_OVERLAP",
        "REQUEST_ID_REUSED",
    },
    "ABORTED": {"PAYMENT_IN_PROGRESS"},
    "RESOURCE_EXHAUSTED": {"HOLD_LIMIT", "OVERLOADED", "TOO_MANY_ATTEMPTS"},
    "UNAVAILABLE": {"STORAGE_UNAVAILABLE", "PAYMENT_UNAVAILABLE", "SHUTTING_DOWN"},
    "INTERNAL": {"INTERNAL_ERROR"},
}
DETAIL = {
    "INVALID_ARGUMENT": {"BadRequest"},
    "NOT_FOUND": {"ResourceInfo"},
    "ALREADY_EXISTS": {"ResourceInfo"},
    "FAILED_PRECONDITION": {"PreconditionFailure"},
    "ABORTED": {"RetryInfo"},
    "RESOURCE_EXHAUSTED": {"QuotaFailure"},
    "UNAVAILABLE": {"RetryInfo"},
}


def errors_of(error: type[CinemaError]) -> Iterator[type[CinemaError]]:
    """Find every error below one that the program has, and no test made."""
    for each in error.__subclasses__():
        if each.__module__.startswith("cinema_grpc."):
            yield each
            yield from errors_of(each)


def test_the_catalogue_is_the_enum_of_the_contract() -> None:
    promised = {name.removeprefix("ERROR_REASON_") for name in error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_name}
    assert set(CATALOGUE) == promised - {"UNSPECIFIED"}


def test_each_reason_has_the_code_of_the_contract() -> None:
    found: dict[str, set[str]] = {}
    for reason, (code, _) in CATALOGUE.items():
        found.setdefault(code.name, set()).add(reason)
    assert found == CODES


def test_every_error_of_the_program_is_in_the_catalogue() -> None:
    reasons = {each.reason for each in errors_of(CinemaError) if hasattr(each, "reason")}
    assert reasons == set(CATALOGUE)
    assert {error.reason for error in ONE_OF_EACH} == set(CATALOGUE)


@pytest.mark.parametrize("error", ONE_OF_EACH, ids=lambda error: error.reason)
def test_an_error_carries_its_details(error: CinemaError) -> None:
    code, status = describe(error)
    details = details_of(status)
    assert status.code == code.value[0]
    assert status.message == error.message
    info = details.pop("ErrorInfo")
    assert (info.reason, info.domain, dict(info.metadata)) == (error.reason, "cinema.v1", error.metadata)
    waits = error.reason in {"OVERLOADED", "TOO_MANY_ATTEMPTS"}
    assert set(details) == ({"RetryInfo"} if waits else DETAIL.get(code.name, set()))
    for violation in getattr(details.get("PreconditionFailure"), "violations", ()):
        assert (violation.type, violation.description) == (error.reason, error.message)
        assert violation.subject in error.metadata.values()
    for resource in details.get("ResourceInfo", ()):
        assert resource.resource_type.startswith("cinema.v1.")
        assert resource.resource_name in ",".join(error.metadata.values()).split(",")
    if "RetryInfo" in details:
        assert details["RetryInfo"].retry_delay.seconds >= 1


def detail(error: CinemaError, name: str) -> Any:
    return details_of(describe(error)[1])[name]


def test_each_bad_field_is_named() -> None:
    bad = detail(ONE_OF_EACH[0], "BadRequest").field_violations
    assert [(each.field, each.description) for each in bad] == [
        ("seats[1]", "must be a seat label"),
        ("", "is no message"),
    ]


def test_each_missing_seat_is_a_resource() -> None:
    seats = detail(domain_errors.SeatNotFound(["A99", "Z1"]), "ResourceInfo")
    assert [(each.resource_type, each.resource_name) for each in seats] == [
        ("cinema.v1.Seat", "A99"),
        ("cinema.v1.Seat", "Z1"),
    ]


def test_an_identifier_with_a_comma_is_one_resource() -> None:
    (showtime,) = detail(domain_errors.ShowtimeNotFound("a,b"), "ResourceInfo")
    assert (showtime.resource_type, showtime.resource_name) == ("cinema.v1.Showtime", "a,b")


def test_a_quota_names_its_limit() -> None:
    (violation,) = detail(domain_errors.HoldLimit(10, 8, 4), "QuotaFailure").violations
    assert violation.quota_value == 10


LONG = [
    InvalidRequest(*(FieldViolation(f"rows[{n}].label", "must be one or two capital letters") for n in range(3_000))),
    InvalidRequest(*(FieldViolation(f"rows[{n}].label", "muß größer sein: 名画座 🎬" * 10) for n in range(3_000))),
    InvalidRequest(FieldViolation("f" * 5_000, "x" * 1_000_000), FieldViolation("g", "y")),
    NameTaken("🎬" * 200),
    NameTaken("x" * 100_000),
    NameTaken("🎬" * 100_000),
]


@pytest.mark.parametrize("error", LONG, ids=range(len(LONG)))
async def test_an_error_is_never_too_large_to_arrive(serve: Serve, error: CinemaError) -> None:
    async def refuse(_request: object, _context: object) -> None:
        raise error

    channel = await serve(CallPipeline({"/test.Service/Method": grpc.unary_unary_rpc_method_handler(refuse)}))
    told = await failure(channel.unary_unary("/test.Service/Method")(b"", metadata=(("x-request-id", "x" * 128),)))
    assert told.code() is CATALOGUE[error.reason][0]
    assert reason_of(told) == error.reason
    # In the strictest count, that of HTTP/2: names, values as they are encoded, and 32 bytes for each.
    encoded = len(quote(str(told.details()), safe=printable))
    base64 = len(trailing(told, "grpc-status-details-bin")) * 4 // 3
    assert encoded + base64 + 128 + 5 * 64 < 8_192


async def test_as_many_bad_fields_are_named_as_there_is_room_for(serve: Serve) -> None:
    async def refuse(_request: object, _context: object) -> None:
        raise LONG[0]

    channel = await serve(CallPipeline({"/test.Service/Method": grpc.unary_unary_rpc_method_handler(refuse)}))
    told = await failure(channel.unary_unary("/test.Service/Method")(b""))
    named = list(violations_of(told))
    assert 10 <= len(named) <= 20
    assert named == [f"rows[{n}].label" for n in range(len(named))]
    assert str(told.details()).endswith("; and others")
    assert details_of(status_of(told))["ErrorInfo"].metadata["fields"] == ",".join(named)


def test_twenty_short_ones_are_all_named() -> None:
    error = InvalidRequest(*(FieldViolation(f"f{n}", "must be set") for n in range(20)))
    code, status = describe(error)
    assert code is StatusCode.INVALID_ARGUMENT
    assert status.message == error.message
    assert len(details_of(status)["BadRequest"].field_violations) == 20
