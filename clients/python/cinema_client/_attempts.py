"""The attempts of one call: with which request and metadata, when to repeat it, and which error ends it."""

import random
import time
import uuid
from typing import Any, NamedTuple, Protocol, TypeVar

import grpc
from google.protobuf.message import Message

from cinema_client import errors
from cinema_client._error import CinemaError, read_details
from cinema_client._methods import METHODS
from cinema_client._session import Session, Tokens

MAX_ATTEMPTS = 5
MAX_RENEWALS = 2
"""How often a call may find its tokens expired: those that another client got in their place may have, too."""
FIRST_BACKOFF_SECONDS = 0.05
LONGEST_BACKOFF_SECONDS = 1.0
BACKOFF_FACTOR = 3.0

Metadata = tuple[tuple[str, str | bytes], ...]
M = TypeVar("M", bound=Message)


class Failed(Protocol):
    """What is known of a failed call, here or in asyncio."""

    def code(self) -> grpc.StatusCode: ...
    def details(self) -> str | None: ...
    def trailing_metadata(self) -> Any: ...


class Repeat(NamedTuple):
    """What to do before the next attempt: wait, or refresh these tokens."""

    delay: float = 0.0
    refresh: Tokens | None = None


class Attempts:
    """The attempts of one call.

    Args:
        path: Path of the method.
        request: The request. It is not changed: a request_id is set in a copy.
        timeout: Seconds that all attempts may take together; None for no limit.
        metadata: Metadata of the caller.
        session: The tokens.
    """

    def __init__(
        self, path: str, request: Message, timeout: float | None, metadata: Metadata | None, session: Session
    ) -> None:
        self._method = METHODS[path]
        self._until = None if timeout is None else time.monotonic() + timeout
        self._metadata = tuple(metadata or ())
        self._session = session
        self._tokens: Tokens | None = None
        self._attempts = 0
        self._renewals = 0
        self.request = with_request_id(request) if self._method.takes_request_id else request

    @property
    def request_id(self) -> str:
        """The request_id of the call; empty if it has none."""
        return str(getattr(self.request, "request_id", ""))

    @property
    def timeout(self) -> float | None:
        """Seconds that are left."""
        return None if self._until is None else max(0.0, self._until - time.monotonic())

    def start(self) -> Metadata:
        """Begin an attempt, and return its metadata."""
        self._attempts += 1
        own = any(key.lower() == "authorization" for key, _ in self._metadata)
        self._tokens = None if own else self._session.tokens
        if self._tokens is None:
            return self._metadata
        return (*self._metadata, ("authorization", f"Bearer {self._tokens.access_token}"))

    def after(self, failed: Failed) -> Repeat:
        """Return what to do before the next attempt.

        Raises:
            CinemaError: The call must not be repeated, or there is no time left to.
        """
        error = typed(failed, self.request_id)
        if isinstance(error, errors.TokenExpired) and self._tokens is not None and self._renewals < MAX_RENEWALS:
            self._renewals += 1
            return Repeat(refresh=self._tokens)
        delay = self._delay(error)
        if delay is None or self._attempts >= MAX_ATTEMPTS:
            raise error from None
        if self._until is not None and time.monotonic() + delay >= self._until:
            raise error from None
        return Repeat(delay)

    def _delay(self, error: CinemaError) -> float | None:
        """Return the seconds to wait before the call may be repeated; None if it must not be repeated."""
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            if not self._method.is_repeatable:
                return None  # it may have taken effect
            return spread(error.retry_delay) if error.retry_delay else backoff(self._attempts)
        return spread(error.retry_delay) if error.retry_delay is not None else None


def with_request_id(request: M) -> M:
    """Return the request, or a copy with a new request_id if it has none."""
    if request.request_id:  # type: ignore[attr-defined]
        return request
    copy = type(request)()
    copy.CopyFrom(request)
    copy.request_id = str(uuid.uuid4())  # type: ignore[attr-defined]
    return copy


def backoff(attempts: int) -> float:
    """Return the seconds to wait after so many attempts: longer each time, and by chance, so that clients spread."""
    longest = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * BACKOFF_FACTOR ** (attempts - 1))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 (guards no secret)


def spread(delay: float) -> float:
    """Return a delay that the server asked for, and up to a fifth more, so that clients spread."""
    return delay * random.uniform(1.0, 1.2)  # noqa: S311 (guards no secret)


def typed(failed: Failed, request_id: str = "") -> CinemaError:
    """Return the error of a failed call, of the class of its reason."""
    metadata = tuple((each[0], each[1]) for each in failed.trailing_metadata() or ())
    details = read_details(metadata)
    kind = errors.REASONS.get(details.reason, CinemaError)
    return kind(failed.code(), failed.details() or "", details, metadata, request_id)
