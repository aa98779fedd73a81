"""What a failed call raises."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

DOMAIN = "cinema.v1"


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """A bad field of a request: its path, such as `rows[2].label`, and what is allowed."""

    field: str
    description: str


@dataclass(frozen=True, slots=True)
class Details:
    """What the server sent with a status.

    Attributes:
        reason: Name of an ErrorReason without its prefix; empty if gRPC itself ended the call.
        metadata: Every variable part of the message.
        retry_delay: Seconds after which to repeat the call; None if the server did not name any.
        violations: Bad fields of the request.
    """

    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    retry_delay: float | None = None
    violations: tuple[FieldViolation, ...] = ()


class CinemaError(grpc.RpcError):
    """A call failed. Each reason of the service has a class of its own in `cinema_client.errors`.

    A reason that this version does not know, and an error of gRPC itself, such as a lost connection, are plain
    CinemaErrors. The methods are those of grpc.RpcError; the attributes add:

    Attributes:
        reason: Name of an ErrorReason without its prefix; empty if gRPC itself ended the call.
        message: What went wrong, for developers.
        metadata: Every variable part of the message. The classes have it as attributes.
        retry_delay: Seconds after which to repeat the call; None if the server did not name any.
        violations: Bad fields of the request.
        request_id: The request_id of the call. Set it in the request to repeat the call safely. Empty if it has none.
    """

    reason: str = ""

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        details: Details,
        trailing_metadata: Sequence[tuple[str, str | bytes]] = (),
        request_id: str = "",
    ) -> None:
        super().__init__(code, message)
        self._code = code
        self._trailing_metadata = tuple(trailing_metadata)
        self.message = message
        self.metadata = details.metadata
        self.retry_delay = details.retry_delay
        self.violations = details.violations
        self.request_id = request_id
        if details.reason:
            self.reason = details.reason

    def __reduce__(self) -> "tuple[Any, ...]":
        """Say how it is copied and pickled: its classes have constructors of their own."""
        return _restored, (type(self), self.args, self.__dict__)

    def __str__(self) -> str:
        return f"{' '.join(filter(None, (self._code.name, self.reason)))}: {self.message}"

    def code(self) -> grpc.StatusCode:
        """Return the status code."""
        return self._code

    def details(self) -> str:
        """Return the message."""
        return self.message

    def trailing_metadata(self) -> tuple[Any, ...]:
        """Return the metadata that came with the status."""
        return self._trailing_metadata

    @property
    def x_request_id(self) -> str:
        """The identifier of the call in the server's log. Empty if the server did not answer."""
        return next((str(value) for key, value in self._trailing_metadata if key == "x-request-id"), "")


def _restored(kind: type[CinemaError], arguments: tuple[Any, ...], attributes: Mapping[str, Any]) -> CinemaError:
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(attributes)
    return error


def read_details(trailing_metadata: Sequence[tuple[str, str | bytes]]) -> Details:
    """Return what the server sent with a status, from the trailing metadata of the call."""
    reason, metadata, retry_delay = "", {}, None
    violations: list[FieldViolation] = []
    packed = next((value for key, value in trailing_metadata if key == "grpc-status-details-bin"), b"")
    for detail in Status.FromString(packed if isinstance(packed, bytes) else b"").details:
        info, retry, bad = ErrorInfo(), RetryInfo(), BadRequest()
        if detail.Unpack(info) and info.domain == DOMAIN:
            reason, metadata = info.reason, dict(info.metadata)
        elif detail.Unpack(retry):
            retry_delay = retry.retry_delay.ToTimedelta().total_seconds()
        elif detail.Unpack(bad):
            violations += [FieldViolation(each.field, each.description) for each in bad.field_violations]
    return Details(reason, metadata, retry_delay, tuple(violations))
