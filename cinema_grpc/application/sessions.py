"""Sessions: staying signed in by refresh tokens, and signing out."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from cinema_grpc.application.account_ports import AccessToken, AccessTokens, ChangedSession, SecurityLog, SessionStore
from cinema_grpc.application.errors import RefreshTokenInvalid
from cinema_grpc.domain.account import User
from cinema_grpc.domain.session import FAMILY_BYTES, SALT_BYTES, SECRET_BYTES, RefreshToken, Session


@dataclass(frozen=True, slots=True)
class Tokens:
    """What proves who is calling, and what gets the next such proof."""

    access_token: AccessToken
    refresh_token: str
    refresh_token_expire_time: datetime


def new_refresh_token() -> RefreshToken:
    """Make up the first token of a session."""
    return RefreshToken(secrets.token_bytes(FAMILY_BYTES), secrets.token_bytes(SECRET_BYTES))


def issue(access_tokens: AccessTokens, user: User, token: RefreshToken, session: Session) -> Tokens:
    """Write out the tokens of a session."""
    return Tokens(access_tokens.issue(user), token.text, session.expire_time)


class Sessions:
    """Keeps people signed in."""

    def __init__(
        self, store: SessionStore, access_tokens: AccessTokens, grace: timedelta, security_log: SecurityLog
    ) -> None:
        """Put the parts together.

        Args:
            store: Keeps the sessions.
            access_tokens: Makes access tokens.
            grace: For how long the answer to a refresh may be asked for again.
            security_log: Is told of each session that goes on or ends.
        """
        self._store = store
        self._access_tokens = access_tokens
        self._grace = grace
        self._note = security_log

    async def refresh(self, refresh_token: str) -> Tokens:
        """Exchange a refresh token for its successor and a new access token.

        Raises:
            RefreshTokenInvalid: It is unknown or has lapsed, or it was used before; then its session ends.
        """
        token = RefreshToken.parse(refresh_token)
        if token is None:
            self._note("refresh refused", refused=True, because="malformed")
            raise RefreshTokenInvalid
        salt = secrets.token_bytes(SALT_BYTES)
        changed = await self._store.change(
            token.session_id,
            lambda session, now: session.use(token, salt, now, self._grace),
            lambda changed: self._note_change(token, changed),
        )
        if changed is None:
            self._note("refresh refused", refused=True, because="no such session")
            raise RefreshTokenInvalid
        if changed.after is None:
            raise RefreshTokenInvalid
        return issue(self._access_tokens, changed.user, token.successor(changed.after.salt), changed.after)

    async def end(self, refresh_token: str) -> None:
        """End the session that a refresh token belongs to, if there is one."""
        token = RefreshToken.parse(refresh_token)
        if token is not None:
            await self._store.end(token.session_id, lambda user_id: self._note("signed out", user_id=user_id))

    def _note_change(self, token: RefreshToken, changed: ChangedSession) -> None:
        user_id = changed.user.user_id
        if changed.after is not None:
            self._note("session refreshed", user_id=user_id, repeated=changed.after == changed.before)
        elif token.digest == changed.before.digest:
            self._note("session ended", refused=True, user_id=user_id)
        else:
            self._note("session ended: a refresh token was used again", refused=True, user_id=user_id)
