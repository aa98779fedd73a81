"""Once: a call with a request_id is carried out one time, and a repeat gets the answer as it was given then."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import TypeAdapter

from cinema_grpc.application.errors import RequestIdReused

A = TypeVar("A")


class RequestKey(NamedTuple):
    """What a stored outcome is found by: who called which RPC with which request_id (a UUID in lower case)."""

    caller: str
    rpc: str
    request_id: str


class Recorded(NamedTuple):
    """A call that was carried out: its key, a digest of its content, and its answer as JSON."""

    key: RequestKey
    content: bytes
    outcome: bytes


@dataclass(frozen=True, slots=True)
class Once(Generic[A]):
    """A call that may be repeated.

    Attributes:
        key: What its outcome is found by.
        digest: Makes the digest of its content, once that is needed: for all of a batch in one go.
        answer_type: The type of its answer, a dataclass.
    """

    key: RequestKey
    digest: Callable[[], bytes]
    answer_type: type[A]

    def record(self, answer: A) -> Recorded:
        """Make what is to be stored, in the transaction that carries the call out."""
        return Recorded(self.key, self.digest(), _adapter(self.answer_type).dump_json(answer))

    def replay(self, recorded: Recorded) -> A:
        """Give the answer that was given then.

        Raises:
            RequestIdReused: That was a call with other content.
        """
        self.check(recorded.content)
        return _adapter(self.answer_type).validate_json(recorded.outcome)

    def check(self, content: bytes) -> None:
        """Check that an earlier call with the same key had the same content.

        Raises:
            RequestIdReused: It had not.
        """
        if content != self.digest():
            raise RequestIdReused(self.key.request_id)


_adapters: dict[type[Any], TypeAdapter[Any]] = {}


def _adapter(answer_type: type[A]) -> TypeAdapter[A]:
    """Give the codec of a type; making one takes milliseconds, so it is made once."""
    if answer_type not in _adapters:
        _adapters[answer_type] = TypeAdapter(answer_type)
    return _adapters[answer_type]
