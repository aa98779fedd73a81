"""Reads what calls brought back, and what those that are open do."""

from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from cinema_grpc.transport.call import Call, CallState
from cinema_grpc.transport.pipeline import CallPipeline


async def failure(call: Any) -> grpc.aio.AioRpcError:
    """Make a call that has to fail."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value


def trailing(error: grpc.aio.AioRpcError, name: str) -> Any:
    """Return a value of an error's trailing metadata, or None."""
    return (error.trailing_metadata() or {}).get(name)


def status_of(error: grpc.aio.AioRpcError) -> Any:
    """Return the status that an error came with."""
    return Status.FromString(trailing(error, "grpc-status-details-bin"))


def details_of(status: Any) -> dict[str, Any]:
    """Unpack the details of a status; those that come several times are in a list."""
    found: dict[str, Any] = {}
    for packed in status.details:
        name = packed.TypeName().removeprefix("google.rpc.")
        detail = getattr(error_details_pb2, name).FromString(packed.value)
        found[name] = [*found.get(name, []), detail] if name == "ResourceInfo" else detail
    return found


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """Return the reason of an error; check that its code, message and details agree."""
    status = status_of(error)
    info = details_of(status)["ErrorInfo"]
    assert info.domain == "cinema.v1"
    assert status.code == error.code().value[0]
    assert status.message == error.details()
    return str(info.reason)


def violations_of(error: grpc.aio.AioRpcError) -> dict[str, str]:
    """Return the bad fields of a malformed request, and what is wrong with each."""
    assert reason_of(error) == "INVALID_REQUEST"
    bad = details_of(status_of(error))["BadRequest"]
    return {each.field: each.description for each in bad.field_violations}


def in_state(pipeline: CallPipeline, state: CallState) -> list[Call]:
    """Return the open calls in a state."""
    return [call for call in pipeline._open_calls._open if call.state is state]
