"""Sessions: what a sign-in begins, and the chain of refresh tokens that keeps it going."""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

SESSION_LIFETIME = timedelta(days=30)
"""How long a refresh token lasts; each use of one begins the time anew."""
FAMILY_BYTES = 16
SECRET_BYTES = 32
SALT_BYTES = 32


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token: a family, which all tokens of a session have in common, and a secret of its own.

    Whoever sends one is known to have seen a token of that session, even if it is not the latest. Of either part only
    the SHA-256 digest is kept; both are chance, so a slow hash would add nothing.
    """

    family: bytes
    secret: bytes

    @classmethod
    def parse(cls, text: str) -> "RefreshToken | None":
        """Read a token, or give None for a text that can't be one."""
        try:
            raw = urlsafe_b64decode(text.encode("ascii"))
        except (UnicodeEncodeError, NotBase64):
            return None
        token = cls(raw[:FAMILY_BYTES], raw[FAMILY_BYTES:])
        return token if len(token.secret) == SECRET_BYTES and token.text == text else None

    @property
    def text(self) -> str:
        """The token as it is sent: 64 letters, digits, "-" and "_"."""
        return urlsafe_b64encode(self.family + self.secret).decode("ascii")

    @property
    def session_id(self) -> str:
        """The session that the token belongs to."""
        return hashlib.sha256(self.family).hexdigest()

    @property
    def digest(self) -> bytes:
        """What is kept of the secret."""
        return hashlib.sha256(self.secret).digest()

    def successor(self, salt: bytes) -> "RefreshToken":
        """Give the token that follows: whoever has this one and the salt gets the same again, and nobody else does."""
        return RefreshToken(self.family, hmac.digest(salt, self.secret, "sha256"))


@dataclass(frozen=True, slots=True)
class Session:
    """A sign-in that goes on.

    Attributes:
        session_id: The digest of its tokens' family.
        user_id: Who signed in.
        digest: Of the latest token's secret.
        used_digest: Of the secret of the token before it; empty if there was none.
        salt: What made the latest token out of the one before it; empty if there was none.
        rotate_time: When the latest token was made.
        expire_time: When it stops working.
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
        """Begin a session with its first token."""
        return cls(token.session_id, user_id, token.digest, b"", b"", now, now + SESSION_LIFETIME)

    def use(self, token: RefreshToken, salt: bytes, now: datetime, grace: timedelta) -> "Session | None":
        """Decide about a token of this session that is used.

        The latest one is replaced by its successor. The one before it may be used once more within the grace, as the
        answer may have been lost: that changes nothing, and `salt` gives the same successor again. By then the
        successor has not been used, or this would not be the one before the latest.

        Args:
            token: The token.
            salt: Chance, for its successor.
            now: The moment.
            grace: For how long the last answer may be asked for again.

        Returns:
            The session as it goes on; None if it ends, because it has lapsed or because a token was used twice: then
            somebody has stolen one, and nobody can tell who of the two is the thief.
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
