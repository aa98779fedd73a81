"""The catalogue of errors: which status and which details a caller gets for each reason."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import (
    BadRequest,
    ErrorInfo,
    PreconditionFailure,
    QuotaFailure,
    ResourceInfo,
    RetryInfo,
)
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from cinema_grpc.domain.errors import CinemaError, FieldViolation, InvalidRequest

DOMAIN = "cinema.v1"
MOST_VIOLATIONS = 20
"""How many bad fields an answer names at most."""
LONGEST_TEXT = 1_300
LONGEST_REPORT = 1_100
LARGEST_STATUS = 7_000
"""Bounds in bytes: of a text in an error, of all violations together, and of an error on the wire.

A client may refuse an answer with more than 8 KiB of metadata, and then it knows nothing.
"""

Detail = Callable[[CinemaError], list[Message]]


class InternalError(CinemaError):
    """A fault of ours; the log has the cause."""

    reason = "INTERNAL_ERROR"

    def __init__(self) -> None:
        super().__init__("internal error")


class TooManyCalls(CinemaError):
    """The client, or all clients together, have as many calls under way as they may; nothing of this one was done."""

    reason = "OVERLOADED"

    def __init__(self, limit: str, value: int) -> None:
        """Say which limit was met.

        Args:
            limit: The setting in lower case without its prefix, such as "calls_at_once".
            value: What it is set to.
        """
        super().__init__(
            f"too much is under way on this connection, its network or the server ({limit} is {value}); "
            "repeat the call in 1 s, with the same request_id if it has one",
            {limit: str(value), "retry_after_seconds": "1"},
        )


def describe(error: CinemaError) -> tuple[StatusCode, Status]:
    """Tell what a caller gets for an error: the code, and the status with its details."""
    code, detail = CATALOGUE[error.reason]
    if isinstance(error, InvalidRequest):
        error = _shortened(error)
    message = _clipped(error.message)
    metadata = {name: _clipped(value) for name, value in error.metadata.items()}
    status = Status(code=code.value[0], message=message)
    for each in (ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata), *detail(error)):
        status.details.add().Pack(each)
    while len(status.details) > 1 and _size(status) > LARGEST_STATUS:
        del status.details[-1]
    return code, status


def _nothing_more(_error: CinemaError) -> list[Message]:
    return []


def _bad_fields(error: CinemaError) -> list[Message]:
    violations = error.violations if isinstance(error, InvalidRequest) else ()
    fields = [BadRequest.FieldViolation(field=each.field, description=each.description) for each in violations]
    return [BadRequest(field_violations=fields)]


def _broken_rule(subject: str) -> Detail:
    """Make the detail of a broken rule; `subject` is the metadata that says what broke it."""

    def detail(error: CinemaError) -> list[Message]:
        violation = PreconditionFailure.Violation(
            type=error.reason, subject=error.metadata.get(subject, ""), description=error.message
        )
        return [PreconditionFailure(violations=[violation])]

    return detail


def _resource(kind: str, name: str) -> Detail:
    """Make the detail of a thing that is missing or in the way; `name` is the metadata that names it."""

    def detail(error: CinemaError) -> list[Message]:
        names = error.metadata.get(name, "")
        return [
            ResourceInfo(resource_type=f"{DOMAIN}.{kind}", resource_name=each, description=error.message)
            for each in (names.split(",") if kind == "Seat" else [names])
        ]

    return detail


def _seats_on_hold(error: CinemaError) -> list[Message]:
    where = "over all showtimes" if error.metadata.get("scope") == "account" else "in the showtime"
    violation = QuotaFailure.Violation(
        subject=f"the caller's seats on hold {where}",
        description=error.message,
        api_service=DOMAIN,
        quota_metric="seats_on_hold",
        quota_value=int(error.metadata.get("limit", "0")),
    )
    return [QuotaFailure(violations=[violation])]


def _try_again(seconds: int) -> Detail:
    """Make the detail that says how long to wait before the same call is worth another try."""
    return lambda _error: [RetryInfo(retry_delay=Duration(seconds=seconds))]


def _after_a_wait(error: CinemaError) -> list[Message]:
    return [RetryInfo(retry_delay=Duration(seconds=int(error.metadata["retry_after_seconds"])))]


def _attempts(error: CinemaError) -> list[Message]:
    if "changes_per_minute" not in error.metadata:
        return _after_a_wait(error)
    violation = QuotaFailure.Violation(
        subject="the caller's changes in a minute",
        description=error.message,
        api_service=DOMAIN,
        quota_metric="changes_per_minute",
        quota_value=int(error.metadata["changes_per_minute"]),
    )
    return [QuotaFailure(violations=[violation]), *_after_a_wait(error)]


CATALOGUE: Mapping[str, tuple[StatusCode, Detail]] = MappingProxyType(
    {
        "INVALID_REQUEST": (StatusCode.INVALID_ARGUMENT, _bad_fields),
        "TOKEN_MISSING": (StatusCode.UNAUTHENTICATED, _nothing_more),
        "TOKEN_INVALID": (StatusCode.UNAUTHENTICATED, _nothing_more),
        "TOKEN_EXPIRED": (StatusCode.UNAUTHENTICATED, _nothing_more),
        "BAD_CREDENTIALS": (StatusCode.UNAUTHENTICATED, _nothing_more),
        "REFRESH_TOKEN_INVALID": (StatusCode.UNAUTHENTICATED, _nothing_more),
        "NOT_BOOKING_OWNER": (StatusCode.PERMISSION_DENIED, _nothing_more),
        "ROLE_REQUIRED": (StatusCode.PERMISSION_DENIED, _nothing_more),
        "SHOWTIME_NOT_FOUND": (StatusCode.NOT_FOUND, _resource("Showtime", "showtime_id")),
        "BOOKING_NOT_FOUND": (StatusCode.NOT_FOUND, _resource("Booking", "booking_id")),
        "MOVIE_NOT_FOUND": (StatusCode.NOT_FOUND, _resource("Movie", "movie_id")),
        "CINEMA_NOT_FOUND": (StatusCode.NOT_FOUND, _resource("Cinema", "cinema_id")),
        "AUDITORIUM_NOT_FOUND": (StatusCode.NOT_FOUND, _resource("Auditorium", "auditorium_id")),
        "SEAT_NOT_FOUND": (StatusCode.NOT_FOUND, _resource("Seat", "seats")),
        "USERNAME_TAKEN": (StatusCode.ALREADY_EXISTS, _resource("User", "username")),
        "EMAIL_TAKEN": (StatusCode.ALREADY_EXISTS, _resource("User", "email")),
        "NAME_TAKEN": (StatusCode.ALREADY_EXISTS, _resource("Auditorium", "name")),
        "SEATS_UNAVAILABLE": (StatusCode.FAILED_PRECONDITION, _broken_rule("seats")),
        "SINGLE_SEAT_GAP": (StatusCode.FAILED_PRECONDITION, _broken_rule("stranded_seats")),
        "HOLD_EXPIRED": (StatusCode.FAILED_PRECONDITION, _broken_rule("booking_id")),
        "BOOKING_NOT_RESERVED": (StatusCode.FAILED_PRECONDITION, _broken_rule("booking_id")),
        "BOOKING_NOT_CANCELLABLE": (StatusCode.FAILED_PRECONDITION, _broken_rule("booking_id")),
        "PAYMENT_DECLINED": (StatusCode.FAILED_PRECONDITION, _broken_rule("booking_id")),
        "SALES_CLOSED": (StatusCode.FAILED_PRECONDITION, _broken_rule("showtime_id")),
        "SHOWTIME_OVERLAP": (StatusCode.FAILED_PRECONDITION, _broken_rule("showtime_id")),
        "REQUEST_ID_REUSED": (StatusCode.FAILED_PRECONDITION, _broken_rule("request_id")),
        "PAYMENT_IN_PROGRESS": (StatusCode.ABORTED, _try_again(1)),
        "HOLD_LIMIT": (StatusCode.RESOURCE_EXHAUSTED, _seats_on_hold),
        "OVERLOADED": (StatusCode.RESOURCE_EXHAUSTED, _after_a_wait),
        "TOO_MANY_ATTEMPTS": (StatusCode.RESOURCE_EXHAUSTED, _attempts),
        "STORAGE_UNAVAILABLE": (StatusCode.UNAVAILABLE, _try_again(1)),
        "PAYMENT_UNAVAILABLE": (StatusCode.UNAVAILABLE, _try_again(5)),
        "SHUTTING_DOWN": (StatusCode.UNAVAILABLE, _try_again(1)),
        "INTERNAL_ERROR": (StatusCode.INTERNAL, _nothing_more),
    }
)
"""For each reason its status code, and what makes the details beside the ErrorInfo. It never changes."""


def _shortened(error: InvalidRequest) -> InvalidRequest:
    """Name no more bad fields than an answer has room for, but at least one."""
    kept: list[FieldViolation] = []
    room = LONGEST_REPORT
    for violation in error.violations[:MOST_VIOLATIONS]:
        half = LONGEST_REPORT // 2
        each = FieldViolation(_clipped(violation.field, half), _clipped(violation.description, half))
        room -= _encoded_length(each.field) + _encoded_length(each.description)
        if kept and room < 0:
            break
        kept.append(each)
    shortened = InvalidRequest(*kept)
    if len(kept) < len(error.violations):
        shortened.message += "; and others"
    return shortened


def _clipped(text: str, longest: int = LONGEST_TEXT) -> str:
    encoded = text.encode()
    return text if len(encoded) <= longest else encoded[: longest - 3].decode(errors="ignore") + "..."


def _size(status: Status) -> int:
    """Tell how many bytes a status takes as metadata: its message, and all of it in base64."""
    return _encoded_length(status.message) + -(-int(status.ByteSize()) // 3) * 4


def _encoded_length(text: str) -> int:
    """Tell how long a text is as gRPC sends it, with what is not ASCII percent-encoded."""
    encoded = text.encode()
    return len(encoded) + (0 if text.isascii() else 2 * sum(byte > 0x7F for byte in encoded))
