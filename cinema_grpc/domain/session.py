"""Sessions, and the rotating refresh tokens that continue them."""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

SESSION_LIFETIME = timedelta(days=30)
"""Lifetime of a refresh token; each refresh renews it."""
FAMILY_BYTES = 16
SECRET_BYTES = 32
SALT_BYTES = 32


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token: the family is common to all tokens of a session, the secret is its own.

    A reused token is recognized by its family. Only the SHA-256 digests of both parts are stored; both are random, so a
    slow hash would add nothing.
    """

    family: bytes
    secret: bytes

    @classmethod
    def parse(cls, text: str) -> "RefreshToken | None":
        """Return the token that a text encodes, or None if the text is malformed."""
        try:
            raw = urlsafe_b64decode(text.encode("ascii"))
        except (UnicodeEncodeError, NotBase64):
            return None
        token = cls(raw[:FAMILY_BYTES], raw[FAMILY_BYTES:])
        return token if len(token.secret) == SECRET_BYTES and token.text == text else None

    @property
    def text(self) -> str:
        """The encoded token: 64 letters, digits, "-" and "_"."""
        return urlsafe_b64encode(self.family + self.secret).decode("ascii")

    @property
    def session_id(self) -> str:
        """The identifier of its session: the digest of the family."""
        return hashlib.sha256(self.family).hexdigest()

    @property
    def digest(self) -> bytes:
        """The digest of the secret."""
        return hashlib.sha256(self.secret).digest()

    def successor(self, salt: bytes) -> "RefreshToken":
        """Return the next token. It is derived from this one and the salt, so a repeated refresh returns it again."""
        return RefreshToken(self.family, hmac.digest(salt, self.secret, "sha256"))


@dataclass(frozen=True, slots=True)
class Session:
    """A user's session.

    Attributes:
        digest: Digest of the latest token's secret.
        used_digest: Digest of the previous token's secret; empty before the first refresh.
        salt: Salt that derived the latest token from the previous one; empty before the first refresh.
        rotate_time: When the latest token was issued.
        expire_time: When the latest token expires.
    """

    session_id: str
    user_id: str
    digest: bytes
    used_digest: bytes
    salt: bytes
    rotate_time: datetime
    expire_time: datetime

    @classmethod
    def begin(cls, token: RefreshToken, user_id: str, now: datetime) -> "Session":
        """Return a new session with its first token."""
        return cls(token.session_id, user_id, token.digest, b"", b"", now, now + SESSION_LIFETIME)

    def use(self, token: RefreshToken, salt: bytes, now: datetime, grace: timedelta) -> "Session | None":
        """Return the session after one of its tokens is used, or None if it ends.

        The latest token is replaced by its successor. The previous one may be repeated within the grace, since the
        response may have been lost: the session stays the same, and its salt derives the same successor again. An
        older token means that one was stolen, so the session ends; it also ends at its expiry.

        Args:
            token: The token; its family is that of the session.
            salt: Random bytes, for the successor.
            now: The current time.
            grace: How long the previous token may be repeated.
        """
        if now >= self.expire_time:
            return None
        if hmac.compare_digest(token.digest, self.digest):
            latest = token.successor(salt)
            return replace(
                self,
                digest=latest.digest,
                used_digest=token.digest,
                salt=salt,
                rotate_time=now,
                expire_time=now + SESSION_LIFETIME,
            )
        is_repeat = hmac.compare_digest(token.digest, self.used_digest) and now < self.rotate_time + grace
        return self if is_repeat else None
