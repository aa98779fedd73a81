"""Idempotency: a call with a request_id is carried out once, and a repeat gets the stored response."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from cinema_grpc.application.errors import RequestIdReused

REFUSED = b""
"""Stored instead of a response for a call that was refused although it had an effect: its money went back. A repeat is
carried out again, and refused again by the state that it finds."""


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
