"""What a client learns of a call that failed."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2


@dataclass
class Refusal:
    """What a client learns of a call that failed."""

    code: grpc.StatusCode
    message: str
    reason: str
    metadata: dict[str, str]
    details: dict[str, Any]
    trailers: dict[str, str | bytes]

    @property
    def fields(self) -> list[str]:
        """The fields that a malformed request was refused for."""
        assert (self.code, self.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
        return [violation.field for violation in self.details["BadRequest"].field_violations]


async def refusal(call: Awaitable[Any]) -> Refusal:
    """Make a call that has to fail with an error of ours, and read it as a client would."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return read_refusal(raised.value)


def read_refusal(error: grpc.aio.AioRpcError) -> Refusal:
    """Read an error of ours as a client would."""
    trailers = dict(error.trailing_metadata())
    status = status_pb2.Status.FromString(bytes(trailers["grpc-status-details-bin"]))
    details: dict[str, Any] = {}
    for packed in status.details:
        name = packed.TypeName().removeprefix("google.rpc.")
        details[name] = getattr(error_details_pb2, name).FromString(packed.value)
    info = details["ErrorInfo"]
    assert info.domain == "cinema.v1"
    assert (status.code, status.message) == (error.code().value[0], error.details())
    return Refusal(error.code(), status.message, info.reason, dict(info.metadata), details, trailers)
