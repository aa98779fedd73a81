"""Errors that any call may get, and those of accounts and the catalog, as they are on the wire."""

from datetime import UTC, datetime, timedelta

import cinema_grpc.transport.errors as transport
from cinema_grpc.application import errors as application
from cinema_grpc.domain import errors as domain
from cinema_grpc.domain.account import Role
from cinema_grpc.domain.errors import CinemaError, FieldViolation, InvalidRequest
from tests.transport.error_details import Expected, bad_request, precondition, quota, resource, retry

MOMENT = datetime(2026, 5, 1, 19, 0, tzinfo=UTC)
TIME = "2026-05-01T19:00:00Z"
WAIT = timedelta(seconds=7.1)

OVERLAP = {"showtime_id": "s", "start_time": TIME, "end_time": TIME, "minutes_between": "15"}
INVALID = InvalidRequest(FieldViolation("seats[1]", "must be a seat label"), FieldViolation("", "is no message"))
DESCRIPTIONS = "seats[1]: must be a seat label; is no message"

OnWire = tuple[CinemaError, str, dict[str, str], list[Expected]]
"""An error, its code and reason, its metadata, and its details beside the ErrorInfo."""
CALL_ERRORS: list[OnWire] = [
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
        application.PositionTrimmed(17, 1_042),
        "OUT_OF_RANGE POSITION_TRIMMED",
        {"after_position": "17", "earliest_position": "1042"},
        [],
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
]
