"""Which calls are repeats of one another: by their request_id, and by their content."""

import hashlib
from functools import partial
from typing import Literal, Protocol

from cinema_grpc.application.idempotency import IdempotencyKey, IdempotentCall
from cinema_grpc.transport.call import current_call, principal


class ChangingRequest(Protocol):
    """A request that changes something, and that may be repeated."""

    request_id: str

    def ClearField(self, field_name: Literal["request_id"]) -> None:  # noqa: N802 (a message's own)
        """Unset a field."""

    def SerializeToString(self, *, deterministic: bool = ...) -> bytes:  # noqa: N802 (a message's own)
        """Return the message as bytes."""
        ...


def idempotent_call(request: ChangingRequest) -> IdempotentCall | None:
    """Return what the current call is stored under, or None if its request has no request_id.

    All of the request but the request_id counts as its content.
    """
    if not request.request_id:
        return None
    call = current_call.get()
    call.idempotency_key = request.request_id.lower()
    key = IdempotencyKey(principal().user_id, call.method.removeprefix("/"), call.idempotency_key)
    return IdempotentCall(key, partial(_digest, request))


def _digest(request: ChangingRequest) -> str:
    request_id = request.request_id
    request.ClearField("request_id")
    digest = hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest()
    request.request_id = request_id
    return digest
