"""Idempotency: a call with a request_id is carried out once, and a repeat gets the stored response."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from cinema_grpc.application.errors import RequestIdReused

A = TypeVar("A")

REFUSED = b""
"""Stored instead of a response for a call that was refused although it had an effect: its money went back. A repeat is
carried out again, and refused again by the state that it finds. No response is empty."""


class IdempotencyKey(NamedTuple):
    """What a stored response is found by: the user, the full name of the RPC, and the request_id in lower case."""

    caller: str
    rpc: str
    request_id: str


class StoredResponse(NamedTuple):
    """The response of a call: its key, the digest of its request in hexadecimal digits, and the message as sent."""

    key: IdempotencyKey
    digest: str
    response: bytes


@dataclass(frozen=True, slots=True)
class ResponseSlot(Generic[A]):
    """Where the response of a call is stored that is made in the transaction that carries the call out.

    Attributes:
        key: What it is stored under.
        digest: Of the request, in hexadecimal digits.
        encode: Makes the response of what the transaction returns.
    """

    key: IdempotencyKey
    digest: str
    encode: Callable[[A], bytes]

    def fill(self, entry: A) -> StoredResponse:
        """Return what is stored for an entry."""
        return StoredResponse(self.key, self.digest, self.encode(entry))


@dataclass(frozen=True, slots=True)
class IdempotentCall:
    """A call with a request_id.

    Attributes:
        key: What its response is stored under.
        digest: Returns the digest of the request, in hexadecimal digits.
    """

    key: IdempotencyKey
    digest: Callable[[], str]

    def store(self, response: bytes) -> StoredResponse:
        """Return what is stored in the transaction that carries the call out."""
        return StoredResponse(self.key, self.digest(), response)

    def reserve(self, encode: Callable[[A], bytes]) -> ResponseSlot[A]:
        """Return where the response is stored that `encode` makes in the transaction that carries the call out."""
        return ResponseSlot(self.key, self.digest(), encode)

    def replay(self, stored: StoredResponse) -> bytes:
        """Return the response of an earlier call with the same key.

        Raises:
            RequestIdReused: That call had another request.
        """
        self.check(stored.digest)
        return stored.response

    def check(self, digest: str) -> None:
        """Check that an earlier call with the same key had the same request.

        Raises:
            RequestIdReused: It had another.
        """
        if digest != self.digest():
            raise RequestIdReused(self.key.request_id)


def request_text(call: IdempotentCall | None) -> str:
    """Return what PaymentAttempt keeps of a call; "" for one without a request_id."""
    return "" if call is None else f"{call.key.rpc} {call.key.request_id} {call.digest()}"


def read_request(user_id: str, text: str) -> IdempotentCall | None:
    """Return the call that `text` was made of; None for ""."""
    if not text:
        return None
    rpc, request_id, digest = text.split(" ")
    return IdempotentCall(IdempotencyKey(user_id, rpc, request_id), lambda: digest)
