"""Which calls are repeats of one another: by their request_id, and by their content."""

import hashlib
from functools import partial
from typing import Literal, Protocol

from cinema_grpc.application.idempotency import IdempotencyKey, IdempotentCall
from cinema_grpc.transport.call import principal


class ChangingRequest(Protocol):
    """A request that changes something, and that may be repeated."""

    request_id: str

    def ClearField(self, field_name: Literal["request_id"]) -> None:  # noqa: N802 (a message's own)
        """Unset a field."""

    def SerializeToString(self, *, deterministic: bool = ...) -> bytes:  # noqa: N802 (a message's own)
        """Return the message as bytes."""
        ...


def idempotent_call(request: ChangingRequest, rpc: str) -> IdempotentCall | None:
    """Return what a call is stored under, or None if it has no request_id.

    Args:
        request: The request. All of it but the request_id counts as its content.
        rpc: The method, such as "cinema.v1.BookingService/CreateBooking".
    """
    if not request.request_id:
        return None
    key = IdempotencyKey(principal().user_id, rpc, request.request_id.lower())
    return IdempotentCall(key, partial(_digest, request))


def _digest(request: ChangingRequest) -> str:
    request_id = request.request_id
    request.ClearField("request_id")
    digest = hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest()
    request.request_id = request_id
    return digest
