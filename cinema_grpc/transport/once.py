"""Tells which calls are repeats of one another: by their request_id, and by their content."""

import hashlib
from functools import partial
from typing import Literal, Protocol, TypeVar

from cinema_grpc.application.once import Once, RequestKey
from cinema_grpc.transport.call import principal

A = TypeVar("A")


class ChangingRequest(Protocol):
    """A request that changes something, and that may be repeated."""

    request_id: str

    def ClearField(self, field_name: Literal["request_id"]) -> None:  # noqa: N802 (a message's own)
        """Unset a field."""

    def SerializeToString(self, *, deterministic: bool = ...) -> bytes:  # noqa: N802 (a message's own)
        """Turn the message into bytes."""
        ...


def once(request: ChangingRequest, rpc: str, answer_type: type[A]) -> Once[A] | None:
    """Give what a call is recorded under, or None if the caller gave it no request_id.

    Args:
        request: The request; its content is all of it but the request_id, whose case does not matter.
        rpc: The method, such as "cinema.v1.BookingService/CreateBooking".
        answer_type: What the application answers, a dataclass.
    """
    if not request.request_id:
        return None
    return Once(
        RequestKey(principal().user_id, rpc, request.request_id.lower()), partial(_digest, request), answer_type
    )


def _digest(request: ChangingRequest) -> bytes:
    request_id = request.request_id
    request.ClearField("request_id")
    digest = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
    request.request_id = request_id
    return digest
