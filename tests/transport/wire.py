"""Reads what a call brought back."""

from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

DETAILS = (
    error_details_pb2.ErrorInfo,
    error_details_pb2.BadRequest,
    error_details_pb2.PreconditionFailure,
    error_details_pb2.QuotaFailure,
    error_details_pb2.ResourceInfo,
    error_details_pb2.RetryInfo,
)


def trailing(error: grpc.aio.AioRpcError, name: str) -> Any:
    """Give a value of an error's trailing metadata, or None."""
    return (error.trailing_metadata() or {}).get(name)


def status_of(error: grpc.aio.AioRpcError) -> Status:
    """Give the status that an error came with."""
    return Status.FromString(trailing(error, "grpc-status-details-bin"))


def unpack(details: Sequence[Any]) -> list[Message]:
    """Unpack the details of a status."""
    unpacked = []
    for detail in details:
        (found,) = (each() for each in DETAILS if detail.Is(each.DESCRIPTOR))
        detail.Unpack(found)
        unpacked.append(found)
    return unpacked


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """Give the reason of an error, once it is clear that it says the same everywhere."""
    status = status_of(error)
    info = unpack(status.details)[0]
    assert isinstance(info, error_details_pb2.ErrorInfo) or info.DESCRIPTOR.name == "ErrorInfo"
    assert info.domain == "cinema.v1"
    assert status.code == error.code().value[0]
    assert status.message == error.details()
    return str(info.reason)
