"""The tokens of a signed-in user."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from google.protobuf.message import Message

from cinema_client.cinema.v1 import user_pb2
from cinema_client.cinema.v1.auth_service_pb2 import LogoutRequest


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of a session: keep them, secretly, to continue it later."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)


class _WithTokens(Protocol):
    @property
    def tokens(self) -> user_pb2.Tokens: ...


class Session:
    """The tokens that calls are sent with. They change with each sign-in, refresh and sign-out."""

    def __init__(self, tokens: Tokens | None, on_tokens: Callable[[Tokens | None], None] | None) -> None:
        self._tokens = tokens
        self._on_tokens = on_tokens

    @property
    def tokens(self) -> Tokens | None:
        """The tokens; None if no user is signed in."""
        return self._tokens

    def end(self) -> None:
        """Forget the tokens."""
        self._set(None)

    def follow(self, request: Message, response: Message) -> None:
        """Take the tokens that a response brings, or forget those that it ended."""
        if "tokens" in response.DESCRIPTOR.fields_by_name:
            tokens: user_pb2.Tokens = response.tokens  # type: ignore[attr-defined]
            self._set(Tokens(tokens.access_token, tokens.refresh_token))
        elif (
            self._tokens and isinstance(request, LogoutRequest) and request.refresh_token == self._tokens.refresh_token
        ):
            self._set(None)

    def _set(self, tokens: Tokens | None) -> None:
        self._tokens = tokens
        if self._on_tokens is not None:
            self._on_tokens(tokens)
