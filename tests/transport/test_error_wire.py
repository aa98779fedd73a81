"""What each error is on the wire: its code, reason, metadata and details."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from cinema.v1 import error_reason_pb2
from google.rpc.error_details_pb2 import (
    ErrorInfo,
)

import cinema_grpc.transport.errors as transport
from cinema_grpc.application import errors as application
from cinema_grpc.application.event_errors import PositionTrimmed
from cinema_grpc.domain import booking_errors as booking
from cinema_grpc.domain import errors as domain
from cinema_grpc.domain import staff_errors as staff
from cinema_grpc.domain import ticket_errors as ticket
from cinema_grpc.domain.account import Role
from cinema_grpc.domain.errors import CinemaError, FieldViolation, InvalidRequest
from cinema_grpc.transport.errors import describe
from tests.transport.error_details import Expected, bad_request, precondition, quota, resource, retry

MOMENT = datetime(2026, 5, 1, 19, 0, tzinfo=UTC)
TIME = "2026-05-01T19:00:00Z"
WAIT = timedelta(seconds=7.1)

OVERLAP = {"showtime_id": "s", "start_time": TIME, "end_time": TIME, "minutes_between": "15"}
INVALID = InvalidRequest(FieldViolation("seats[1]", "must be a seat label"), FieldViolation("", "is no message"))
DESCRIPTIONS = "seats[1]: must be a seat label; is no message"
IN_SHOWTIME = "the caller's seats on hold in the showtime"
OVER_ALL = "the caller's seats on hold over all showtimes"

WIRE: list[tuple[CinemaError, str, dict[str, str], list[Expected]]] = [
    # error, code and reason, metadata, details beside the ErrorInfo
    (
        INVALID,
        "INVALID_ARGUMENT INVALID_REQUEST",
        {"fields": "seats[1]", "descriptions": DESCRIPTIONS},
        [bad_request(("seats[1]", "must be a seat label"), ("", "is no message"))],
    ),
    (application.TokenMissing(), "UNAUTHENTICATED TOKEN_MISSING", {}, []),
    (application.TokenInvalid(), "UNAUTHENTICATED TOKEN_INVALID", {}, []),
    (application.TokenExpired(MOMENT), "UNAUTHENTICATED TOKEN_EXPIRED", {"expire_time": TIME}, []),
    (application.BadCredentials(), "UNAUTHENTICATED BAD_CREDENTIALS", {}, []),
    (application.CurrentPasswordWrong(), "UNAUTHENTICATED BAD_CREDENTIALS", {}, []),
    (application.RefreshTokenInvalid(), "UNAUTHENTICATED REFRESH_TOKEN_INVALID", {}, []),
    (booking.NotBookingOwner("b"), "PERMISSION_DENIED NOT_BOOKING_OWNER", {"booking_id": "b"}, []),
    (application.RoleRequired(Role.STAFF), "PERMISSION_DENIED ROLE_REQUIRED", {"role": "STAFF"}, []),
    (
        application.RoleRequired(Role.SERVICE, Role.STAFF),
        "PERMISSION_DENIED ROLE_REQUIRED",
        {"role": "SERVICE"},
        [],
    ),
    (domain.MovieNotFound("m"), "NOT_FOUND MOVIE_NOT_FOUND", {"movie_id": "m"}, [resource("Movie", "m")]),
    (domain.CinemaNotFound("c"), "NOT_FOUND CINEMA_NOT_FOUND", {"cinema_id": "c"}, [resource("Cinema", "c")]),
    (
        domain.AuditoriumNotFound("a"),
        "NOT_FOUND AUDITORIUM_NOT_FOUND",
        {"auditorium_id": "a"},
        [resource("Auditorium", "a")],
    ),
    (
        domain.ShowtimeNotFound("a,b"),
        "NOT_FOUND SHOWTIME_NOT_FOUND",
        {"showtime_id": "a,b"},
        [resource("Showtime", "a,b")],
    ),
    (domain.BookingNotFound("b"), "NOT_FOUND BOOKING_NOT_FOUND", {"booking_id": "b"}, [resource("Booking", "b")]),
    (
        domain.SeatNotFound(["A99", "Z1"]),
        "NOT_FOUND SEAT_NOT_FOUND",
        {"seats": "A99,Z1"},
        [resource("Seat", "A99"), resource("Seat", "Z1")],
    ),
    (domain.UsernameTaken("ada"), "ALREADY_EXISTS USERNAME_TAKEN", {"username": "ada"}, [resource("User", "ada")]),
    (domain.EmailTaken("a@b.c"), "ALREADY_EXISTS EMAIL_TAKEN", {"email": "a@b.c"}, [resource("User", "a@b.c")]),
    (domain.NameTaken("One"), "ALREADY_EXISTS NAME_TAKEN", {"name": "One"}, [resource("Auditorium", "One")]),
    (
        booking.SeatsUnavailable(["A1", "A2"]),
        "FAILED_PRECONDITION SEATS_UNAVAILABLE",
        {"seats": "A1,A2"},
        [precondition("A1,A2")],
    ),
    (
        booking.SingleSeatGap(["A2"]),
        "FAILED_PRECONDITION SINGLE_SEAT_GAP",
        {"stranded_seats": "A2"},
        [precondition("A2")],
    ),
    (
        booking.GapLeftByPayment("b", ["A2", "A5"]),
        "FAILED_PRECONDITION SINGLE_SEAT_GAP",
        {"booking_id": "b", "stranded_seats": "A2,A5"},
        [precondition("A2,A5")],
    ),
    (
        booking.HoldExpired("b", MOMENT),
        "FAILED_PRECONDITION HOLD_EXPIRED",
        {"booking_id": "b", "hold_expire_time": TIME},
        [precondition("b")],
    ),
    (
        booking.HoldExpired("b", MOMENT, charged=True),
        "FAILED_PRECONDITION HOLD_EXPIRED",
        {"booking_id": "b", "hold_expire_time": TIME, "charged": "true"},
        [precondition("b")],
    ),
    (
        booking.BookingNotReserved("b", "CONFIRMED"),
        "FAILED_PRECONDITION BOOKING_NOT_RESERVED",
        {"booking_id": "b", "status": "CONFIRMED"},
        [precondition("b")],
    ),
    (
        booking.BookingNotCancellable("b", "CANCELLED"),
        "FAILED_PRECONDITION BOOKING_NOT_CANCELLABLE",
        {"booking_id": "b", "status": "CANCELLED"},
        [precondition("b")],
    ),
    (
        booking.BookingNotCancellable("b", "CONFIRMED", MOMENT),
        "FAILED_PRECONDITION BOOKING_NOT_CANCELLABLE",
        {"booking_id": "b", "status": "CONFIRMED", "start_time": TIME},
        [precondition("b")],
    ),
    (
        booking.PaymentDeclined("b"),
        "FAILED_PRECONDITION PAYMENT_DECLINED",
        {"booking_id": "b", "decline_code": "generic_decline"},
        [precondition("b")],
    ),
    (
        booking.SalesClosed("s", MOMENT),
        "FAILED_PRECONDITION SALES_CLOSED",
        {"showtime_id": "s", "start_time": TIME},
        [precondition("s")],
    ),
    (
        domain.ShowtimeOverlap("s", MOMENT, MOMENT, 15),
        "FAILED_PRECONDITION SHOWTIME_OVERLAP",
        OVERLAP,
        [precondition("s")],
    ),
    (
        application.RequestIdReused("r"),
        "FAILED_PRECONDITION REQUEST_ID_REUSED",
        {"request_id": "r"},
        [precondition("r")],
    ),
    (
        PositionTrimmed(17, 1_042),
        "OUT_OF_RANGE POSITION_TRIMMED",
        {"after_position": "17", "earliest_position": "1042"},
        [],
    ),
    (booking.PaymentInProgress("b"), "ABORTED PAYMENT_IN_PROGRESS", {"booking_id": "b"}, [retry(1)]),
    (
        booking.HoldLimit(10, 8, 4),
        "RESOURCE_EXHAUSTED HOLD_LIMIT",
        {"limit": "10", "held": "8", "requested": "4"},
        [quota("seats_on_hold", 10, IN_SHOWTIME)],
    ),
    (
        booking.HoldLimit(20, 18, 4, of_account=True),
        "RESOURCE_EXHAUSTED HOLD_LIMIT",
        {"limit": "20", "held": "18", "requested": "4", "scope": "account"},
        [quota("seats_on_hold", 20, OVER_ALL)],
    ),
    (
        booking.TooManyUnpaidHolds(3, WAIT),
        "RESOURCE_EXHAUSTED TOO_MANY_ATTEMPTS",
        {"unpaid_holds": "3", "retry_after_seconds": "8"},
        [retry(8)],
    ),
    (
        application.TooManyAttempts(WAIT),
        "RESOURCE_EXHAUSTED TOO_MANY_ATTEMPTS",
        {"retry_after_seconds": "8"},
        [retry(8)],
    ),
    (
        application.TooManyPasswordChecks(WAIT),
        "RESOURCE_EXHAUSTED TOO_MANY_ATTEMPTS",
        {"retry_after_seconds": "8"},
        [retry(8)],
    ),
    (
        application.TooManyRegistrations(WAIT),
        "RESOURCE_EXHAUSTED TOO_MANY_ATTEMPTS",
        {"retry_after_seconds": "8"},
        [retry(8)],
    ),
    (
        application.TooManyChanges(120, 0.3),
        "RESOURCE_EXHAUSTED TOO_MANY_ATTEMPTS",
        {"changes_per_minute": "120", "retry_after_seconds": "1"},
        [quota("changes_per_minute", 120, "the caller's changes in a minute"), retry(1)],
    ),
    (
        application.Overloaded(2.5, 3.4),
        "RESOURCE_EXHAUSTED OVERLOADED",
        {"longest_wait_seconds": "2.5", "retry_after_seconds": "3"},
        [retry(3)],
    ),
    (
        transport.TooManyCalls("calls_at_once", 10_000),
        "RESOURCE_EXHAUSTED OVERLOADED",
        {"calls_at_once": "10000", "retry_after_seconds": "1"},
        [retry(1)],
    ),
    (
        transport.TooManyWatches("watches_at_once", 4_000),
        "RESOURCE_EXHAUSTED STREAM_LIMIT",
        {"watches_at_once": "4000", "retry_after_seconds": "1"},
        [retry(1)],
    ),
    (application.StorageUnavailable(), "UNAVAILABLE STORAGE_UNAVAILABLE", {}, [retry(1)]),
    (application.CommitOutcomeUnknown(), "UNAVAILABLE STORAGE_UNAVAILABLE", {}, [retry(1)]),
    (application.PaymentUnavailable("b"), "UNAVAILABLE PAYMENT_UNAVAILABLE", {"booking_id": "b"}, [retry(5)]),
    (application.ShuttingDown(), "UNAVAILABLE SHUTTING_DOWN", {}, [retry(1)]),
    (transport.InternalError(), "INTERNAL INTERNAL_ERROR", {}, []),
    (
        domain.Archived("Movie", "m"),
        "FAILED_PRECONDITION ARCHIVED",
        {"resource": "Movie", "identifier": "m"},
        [precondition("m")],
    ),
    (
        booking.SeatNotInBooking("b", ["A1"]),
        "NOT_FOUND SEAT_NOT_FOUND",
        {"booking_id": "b", "seats": "A1"},
        [resource("Seat", "A1")],
    ),
    (
        booking.HouseSeatsUnavailable(["A1", "A2"], ["A2"]),
        "FAILED_PRECONDITION SEATS_UNAVAILABLE",
        {"seats": "A1,A2", "house_seats": "A2"},
        [precondition("A1,A2")],
    ),
    (
        booking.NoCategoryOffers(["child", "student"]),
        "FAILED_PRECONDITION TICKET_TYPE_NOT_OFFERED",
        {"ticket_types": "child,student"},
        [precondition("child,student")],
    ),
    (
        booking.NoSeatsTogether("s", 4, 3),
        "FAILED_PRECONDITION NO_SEATS_TOGETHER",
        {"showtime_id": "s", "party_size": "4", "largest_group": "3"},
        [precondition("s")],
    ),
    (
        booking.TicketTypeNotOffered(["A1", "A2"], ["student"]),
        "FAILED_PRECONDITION TICKET_TYPE_NOT_OFFERED",
        {"seats": "A1,A2", "ticket_types": "student"},
        [precondition("A1,A2")],
    ),
    (booking.AccessibleOnly(["A5"]), "FAILED_PRECONDITION ACCESSIBLE_ONLY", {"seats": "A5"}, [precondition("A5")]),
    (
        booking.ShowtimeCancelled("s"),
        "FAILED_PRECONDITION SHOWTIME_CANCELLED",
        {"showtime_id": "s"},
        [precondition("s")],
    ),
    (
        booking.ShowtimeCancelled("s", charged=True),
        "FAILED_PRECONDITION SHOWTIME_CANCELLED",
        {"showtime_id": "s", "charged": "true"},
        [precondition("s")],
    ),
    (
        booking.ShowtimeEnded("s", MOMENT),
        "FAILED_PRECONDITION SHOWTIME_ENDED",
        {"showtime_id": "s", "end_time": TIME},
        [precondition("s")],
    ),
    (booking.ShowtimeChanged("s", 7), "ABORTED SHOWTIME_CHANGED", {"showtime_id": "s", "revision": "7"}, []),
    (
        booking.HoldExtensionLimit("b", MOMENT),
        "FAILED_PRECONDITION HOLD_EXTENSION_LIMIT",
        {"booking_id": "b", "hold_expire_time": TIME},
        [precondition("b")],
    ),
    (staff.UserNotFound("u"), "NOT_FOUND USER_NOT_FOUND", {"user_id": "u"}, [resource("User", "u")]),
    (staff.RefundNotFound("r"), "NOT_FOUND REFUND_NOT_FOUND", {"refund_id": "r"}, [resource("Refund", "r")]),
    (
        staff.RefundNotOpen("r", "COMPLETED"),
        "FAILED_PRECONDITION REFUND_NOT_OPEN",
        {"refund_id": "r", "status": "COMPLETED"},
        [precondition("r")],
    ),
    (ticket.TicketNotFound("t"), "NOT_FOUND TICKET_NOT_FOUND", {"ticket_id": "t"}, [resource("Ticket", "t")]),
    (ticket.CodeNotFound(), "NOT_FOUND TICKET_NOT_FOUND", {}, [resource("Ticket", "")]),
    (
        ticket.TicketForged(),
        "INVALID_ARGUMENT TICKET_FORGED",
        {},
        [bad_request(("code", "must be the code of a ticket of this service, exactly as it was read"))],
    ),
    (ticket.TicketVoid("t"), "FAILED_PRECONDITION TICKET_VOID", {"ticket_id": "t"}, [precondition("t")]),
    (
        ticket.TicketAlreadyRedeemed("t", MOMENT, "north"),
        "FAILED_PRECONDITION TICKET_ALREADY_REDEEMED",
        {"ticket_id": "t", "redeem_time": TIME, "gate": "north"},
        [precondition("t")],
    ),
    (
        ticket.TicketWrongShowtime("t", "s"),
        "FAILED_PRECONDITION TICKET_WRONG_SHOWTIME",
        {"ticket_id": "t", "showtime_id": "s"},
        [precondition("t")],
    ),
    (
        ticket.GateClosed("s", MOMENT, MOMENT),
        "FAILED_PRECONDITION GATE_CLOSED",
        {"showtime_id": "s", "open_time": TIME, "end_time": TIME},
        [precondition("s")],
    ),
    (
        ticket.TicketNotRedeemed("t"),
        "FAILED_PRECONDITION TICKET_NOT_REDEEMED",
        {"ticket_id": "t"},
        [precondition("t")],
    ),
]


def errors_of(error: type[CinemaError]) -> Iterator[type[CinemaError]]:
    """Return the error classes of the program that have a reason."""
    for each in error.__subclasses__():
        if each.__module__.startswith("cinema_grpc."):
            if hasattr(each, "reason"):
                yield each
            yield from errors_of(each)


def test_every_reason_of_the_contract_has_an_error() -> None:
    promised = {name.removeprefix("ERROR_REASON_") for name in error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_name}
    assert {each.reason for each in errors_of(CinemaError)} == promised - {"UNSPECIFIED"}


def test_every_error_of_the_program_is_pinned_below() -> None:
    assert {type(error) for error, *_ in WIRE} == set(errors_of(CinemaError))


@pytest.mark.parametrize(("error", "expected", "metadata", "details"), WIRE, ids=[each[1] for each in WIRE])
def test_what_an_error_is_on_the_wire(
    error: CinemaError, expected: str, metadata: dict[str, str], details: list[Expected]
) -> None:
    code, status = describe(error)
    assert f"{code.name} {error.reason}" == expected
    assert (status.code, status.message) == (code.value[0], error.message)
    info = ErrorInfo(reason=error.reason, domain="cinema.v1", metadata=metadata)
    wanted = [info, *(detail(error) for detail in details)]
    assert [type(each).DESCRIPTOR.full_name for each in wanted] == [each.TypeName() for each in status.details]
    for packed, each in zip(status.details, wanted, strict=True):
        found = type(each)()
        packed.Unpack(found)
        assert found == each


@pytest.mark.parametrize("error", [each[0] for each in WIRE], ids=[each[1] for each in WIRE])
def test_a_message_names_its_variable_parts(error: CinemaError) -> None:
    assert "{" not in error.message
    flags = {"charged", "scope"}
    fields = {"fields"}  # "descriptions" repeats them
    for name in error.metadata.keys() - flags - fields:
        value = error.metadata[name]
        assert value in error.message or value.replace(",", ", ") in error.message
