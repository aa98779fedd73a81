"""Translates errors for callers: the status code of each kind, and the google.rpc details."""

from collections.abc import Mapping
from types import MappingProxyType

from cinema.v1.error_reason_pb2 import ErrorReason
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

from cinema_grpc.domain.errors import CinemaError, ErrorKind, FieldViolation, InvalidRequest

DOMAIN = "cinema.v1"
MAX_VIOLATIONS = 20
MAX_RESOURCES = 20
"""Maximum number of bad fields, and of missing seats, with a detail of their own in one error."""
LONGEST_TEXT = 1_300
LONGEST_REPORT = 1_100
LARGEST_STATUS = 7_000
"""Limits in bytes: one text in an error, all violations together, and the whole error on the wire.

A client may reject a response with more than 8 KiB of metadata, and then sees no error details at all.
"""

CODES: Mapping[ErrorKind, StatusCode] = MappingProxyType(
    {
        ErrorKind.INVALID: StatusCode.INVALID_ARGUMENT,
        ErrorKind.UNAUTHENTICATED: StatusCode.UNAUTHENTICATED,
        ErrorKind.FORBIDDEN: StatusCode.PERMISSION_DENIED,
        ErrorKind.NOT_FOUND: StatusCode.NOT_FOUND,
        ErrorKind.ALREADY_EXISTS: StatusCode.ALREADY_EXISTS,
        ErrorKind.RULE_BROKEN: StatusCode.FAILED_PRECONDITION,
        ErrorKind.OUT_OF_RANGE: StatusCode.OUT_OF_RANGE,
        ErrorKind.CONFLICT: StatusCode.ABORTED,
        ErrorKind.EXHAUSTED: StatusCode.RESOURCE_EXHAUSTED,
        ErrorKind.UNAVAILABLE: StatusCode.UNAVAILABLE,
        ErrorKind.INTERNAL: StatusCode.INTERNAL,
    }
)
REASONS = frozenset(name.removeprefix("ERROR_REASON_") for name in ErrorReason.DESCRIPTOR.values_by_name)
"""The reasons of the contract."""


class InternalError(CinemaError):
    """A fault of the server; the log has the cause."""

    kind = ErrorKind.INTERNAL
    reason = "INTERNAL_ERROR"
    template = "internal error"


class TooManyCalls(CinemaError):
    """The client, or all clients together, have reached a limit on calls under way; nothing of this one was done."""

    kind = ErrorKind.EXHAUSTED
    reason = "OVERLOADED"
    template = (
        "too much is under way on this connection, its network or the server ({limit} is {value}); "
        "repeat the call in {retry_after_seconds} s, with the same request_id if it has one"
    )

    def __init__(self, limit: str, value: int) -> None:
        """Report the limit that was reached.

        Args:
            limit: The setting in lower case without its prefix, such as "calls_at_once".
            value: Its value.
        """
        super().__init__(limit=limit, value=value, retry_after_seconds=1)
        self.limit = limit
        self.metadata = {limit: str(value), "retry_after_seconds": "1"}


class TooManyWatches(TooManyCalls):
    """The client's network, or all clients together, have as many lasting streams as they may."""

    reason = "STREAM_LIMIT"
    template = (
        "too many streams are open from this network, or in all ({limit} is {value}); "
        "open this one again in {retry_after_seconds} s"
    )


def describe(error: CinemaError) -> tuple[StatusCode, Status]:
    """Return the status code of an error, and the status with its details, short enough to reach the client."""
    if isinstance(error, InvalidRequest):
        error = _shortened(error)
    code = CODES[error.kind]
    status = Status(code=code.value[0], message=_clipped(error.message))
    for detail in _details(error):
        status.details.add().Pack(detail)
    while len(status.details) > 1 and _size(status) > LARGEST_STATUS:
        del status.details[-1]
    return code, status


def _details(error: CinemaError) -> list[Message]:
    metadata = {name: _clipped(value) for name, value in error.metadata.items()}
    details: list[Message] = [ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)]
    subject, message = error.metadata.get(error.subject, ""), _clipped(error.message)
    if error.violations:
        fields = [
            BadRequest.FieldViolation(field=each.field, description=each.description) for each in error.violations
        ]
        details.append(BadRequest(field_violations=fields))
    if error.kind is ErrorKind.RULE_BROKEN:
        rule = PreconditionFailure.Violation(type=error.reason, subject=_clipped(subject), description=message)
        details.append(PreconditionFailure(violations=[rule]))
    if error.resource_type:
        names = subject.split(",")[:MAX_RESOURCES] if error.resource_type == "Seat" else [_clipped(subject)]
        kind = f"{DOMAIN}.{error.resource_type}"
        details += [ResourceInfo(resource_type=kind, resource_name=name, description=message) for name in names]
    if error.quota is not None:
        limit = QuotaFailure.Violation(
            subject=error.quota.subject,
            description=message,
            api_service=DOMAIN,
            quota_metric=error.quota.metric,
            quota_value=int(error.metadata[error.quota.value]),
        )
        details.append(QuotaFailure(violations=[limit]))
    if error.retry_after:
        details.append(RetryInfo(retry_delay=Duration(seconds=error.retry_after)))
    return details


def _shortened(error: InvalidRequest) -> InvalidRequest:
    """Return the error with as many of its violations as the limits allow, but at least one."""
    kept: list[FieldViolation] = []
    room = LONGEST_REPORT
    for violation in error.violations[:MAX_VIOLATIONS]:
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
    """Return a text, or its beginning and "...": where a word or an entry of a list ends, unless that is far back."""
    encoded = text.encode()
    if len(encoded) <= longest:
        return text
    cut = encoded[: longest - 3].decode(errors="ignore")
    end = max(cut.rfind(","), cut.rfind(" ")) + 1
    return (cut[:end] if end > len(cut) // 2 else cut) + "..."


def _size(status: Status) -> int:
    """Return the bytes that a status takes as metadata: its message, and all of it in base64."""
    return _encoded_length(status.message) + -(-int(status.ByteSize()) // 3) * 4


def _encoded_length(text: str) -> int:
    """Return the length of a text as gRPC sends it, with bytes that are not ASCII percent-encoded."""
    encoded = text.encode()
    return len(encoded) + (0 if text.isascii() else 2 * sum(byte > 0x7F for byte in encoded))
