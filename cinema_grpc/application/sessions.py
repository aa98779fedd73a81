"""Sessions: refreshing tokens and signing out."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from cinema_grpc.application.account_ports import AccessToken, AccessTokens, ChangedSession, SecurityLog, SessionStore
from cinema_grpc.application.errors import RefreshTokenInvalid
from cinema_grpc.domain.account import User
from cinema_grpc.domain.session import FAMILY_BYTES, SALT_BYTES, SECRET_BYTES, RefreshToken, Session


@dataclass(frozen=True, slots=True)
class Tokens:
    """An access token, and the refresh token that is exchanged for the next one."""

    access_token: AccessToken
    refresh_token: str
    refresh_token_expire_time: datetime


def new_refresh_token() -> RefreshToken:
    """Return a random refresh token, the first of a session."""
    return RefreshToken(secrets.token_bytes(FAMILY_BYTES), secrets.token_bytes(SECRET_BYTES))


def issue_tokens(access_tokens: AccessTokens, user: User, token: RefreshToken, session: Session) -> Tokens:
    """Return a new access token together with the refresh token of a session."""
    return Tokens(access_tokens.issue(user), token.text, session.expire_time)


class Sessions:
    """Continues and ends sessions."""

    def __init__(
        self, store: SessionStore, access_tokens: AccessTokens, grace: timedelta, security_log: SecurityLog
    ) -> None:
        """Create the service; `grace` is how long a used refresh token returns the same successor again."""
        self._store = store
        self._access_tokens = access_tokens
        self._grace = grace
        self._log = security_log

    async def refresh(self, refresh_token: str) -> Tokens:
        """Exchange a refresh token for its successor and a new access token.

        Raises:
            RefreshTokenInvalid: The token is unknown, expired, or was used before. A reused one ends its session.
        """
        token = RefreshToken.parse(refresh_token)
        if token is None:
            self._log("refresh refused", refused=True, because="malformed")
            raise RefreshTokenInvalid
        salt = secrets.token_bytes(SALT_BYTES)
        changed = await self._store.change(
            token.session_id,
            lambda session, now: session.use(token, salt, now, self._grace),
            lambda changed: self._log_change(token, changed),
        )
        if changed is None:
            self._log("refresh refused", refused=True, because="no such session")
            raise RefreshTokenInvalid
        if changed.after is None:
            raise RefreshTokenInvalid
        return issue_tokens(self._access_tokens, changed.user, token.successor(changed.after.salt), changed.after)

    async def end(self, refresh_token: str) -> None:
        """End the session of a refresh token, if there is one."""
        token = RefreshToken.parse(refresh_token)
        if token is not None:
            await self._store.end(token.session_id, lambda user_id: self._log("signed out", user_id=user_id))

    def _log_change(self, token: RefreshToken, changed: ChangedSession) -> None:
        user_id = changed.user.user_id
        if changed.after is not None:
            self._log("session refreshed", user_id=user_id, repeated=changed.after == changed.before)
        elif token.digest == changed.before.digest:
            self._log("session ended", refused=True, user_id=user_id)
        else:
            self._log("session ended: a refresh token was used again", refused=True, user_id=user_id)
