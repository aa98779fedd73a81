"""The tokens of a signed-in user."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from google.protobuf.message import Message

from cinema_client._error import CinemaError
from cinema_client.cinema.v1 import user_pb2
from cinema_client.cinema.v1.auth_service_pb2 import LogoutRequest, RefreshTokensRequest

LONGEST_WAIT_TO_CLOSE_SECONDS = 5.0
"""How long a client that is closed waits for new tokens that are under way."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of a session: keep them, secretly, to continue it later."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)


@dataclass(frozen=True)
class FailedRefresh:
    """A refresh that failed, and when."""

    expired: Tokens
    time: float
    error: CinemaError

    def is_of(self, expired: Tokens, begin: float) -> bool:
        """Return whether a caller that has waited since `begin` for a refresh of these tokens waited for this one."""
        return self.expired == expired and self.time >= begin


class Session:
    """The tokens that calls are sent with. They change with each sign-in, refresh and sign-out."""

    def __init__(
        self,
        tokens: Tokens | None,
        on_tokens: Callable[[Tokens | None], None] | None,
        newer_tokens: Callable[[], Tokens | None] | None,
    ) -> None:
        self._tokens = tokens
        self._on_tokens = on_tokens
        self._newer_tokens = newer_tokens
        self._lock = threading.RLock()  # on_tokens is called with each change in order, and may ask for the tokens

    @property
    def tokens(self) -> Tokens | None:
        """The tokens; None if no user is signed in."""
        return self._tokens

    def has_replaced(self, expired: Tokens) -> bool:
        """Return whether other tokens are there in place of these, if need be those that another client has got."""
        with self._lock:
            if self._tokens == expired and self._newer_tokens is not None:
                self._tokens = self._newer_tokens() or expired
            return self._tokens != expired

    def end(self, ended: Tokens) -> None:
        """Forget these tokens, unless others have replaced them."""
        with self._lock:
            if self._tokens == ended:
                self._set(None)

    def follow(self, request: Message, response: Message) -> None:
        """Take the tokens that a response brings, or forget those that it ended.

        A refresh or a sign-out of an earlier session, whose response comes late, changes nothing.
        """
        with self._lock:
            if isinstance(request, LogoutRequest | RefreshTokensRequest) and (
                self._tokens is None or request.refresh_token != self._tokens.refresh_token
            ):
                return
            if isinstance(request, LogoutRequest):
                self._set(None)
            elif "tokens" in response.DESCRIPTOR.fields_by_name:
                tokens: user_pb2.Tokens = response.tokens  # type: ignore[attr-defined]
                self._set(Tokens(tokens.access_token, tokens.refresh_token))

    def _set(self, tokens: Tokens | None) -> None:
        self._tokens = tokens
        if self._on_tokens is not None:
            self._on_tokens(tokens)
