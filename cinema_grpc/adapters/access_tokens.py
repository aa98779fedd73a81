"""Access tokens: JSON Web Tokens by RFC 9068, signed with key pairs or a shared secret."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import Any

import jwt
import uuid_utils

from cinema_grpc.adapters.signing_keys import SigningKey
from cinema_grpc.application.account_ports import AccessToken, JsonWebKey, Principal
from cinema_grpc.application.clock import Clock
from cinema_grpc.application.errors import TokenExpired, TokenInvalid
from cinema_grpc.domain.account import Role, User

SECRET_ALGORITHM = "HS256"  # noqa: S105 (not a secret)
ISSUER = "cinema"
AUDIENCE = "cinema.v1"
CLIENT_ID = "cinema"
TOKEN_TYPES = frozenset({"at+jwt", "application/at+jwt"})
CLAIMS = ("iss", "sub", "aud", "iat", "exp", "jti")
"""Required claims. nbf is optional."""

MAX_TOKEN_LENGTH = 4096
# PyJWT would also accept padding, so that one token had two texts.
COMPACT_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
SUBJECT = re.compile(r"[!-~]{1,64}")
CLOCK_SKEW = timedelta(seconds=60)
"""How far the clock of the replica that issued a token may be ahead."""
CACHED_TOKENS = 10_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """A token whose signature was verified, valid from `valid_from` (inclusive) to `expire_time` (exclusive)."""

    principal: Principal
    valid_from: datetime
    expire_time: datetime


class JwtAccessTokens:
    """Issues and verifies access tokens.

    A token is verified with the key that its kid names and the one algorithm of that key (RFC 8725, 3.1), or with the
    secret if it has no kid. Nothing else in its header has an influence.

    Verified tokens are cached by their text, since a look-up costs less than a signature. `read` checks the times
    at every call.
    """

    def __init__(
        self,
        secret: bytes | None,
        clock: Clock,
        lifetime: timedelta = timedelta(minutes=60),
        keys: Iterable[SigningKey] = (),
    ) -> None:
        """Set the secret and the key pairs. They must be equal on all replicas.

        Args:
            secret: At least 32 bytes, as RFC 7518 demands; None for none. It signs if there are no key pairs.
            clock: The clock for issue and expiry; a server uses its machine's.
            lifetime: Lifetime of a token, in whole seconds.
            keys: Key pairs, the signing one first.

        Raises:
            ValueError: The secret is too short or is a public key, or there is neither a secret nor a private key.
        """
        self._secret = secret
        self._clock = clock
        self._lifetime = lifetime
        # PyJWT would check times against the system clock; read() checks them against `clock`.
        self._jwt = jwt.PyJWT(
            {
                "require": list(CLAIMS),
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
                "enforce_minimum_key_length": True,
            }
        )
        try:
            if secret is not None:
                self._jwt.encode({}, secret, SECRET_ALGORITHM)
        except jwt.InvalidKeyError as error:
            raise ValueError(f"this secret can't sign access tokens: {error}") from error
        self.use_keys(keys)

    def use_keys(self, keys: Iterable[SigningKey]) -> None:
        """Replace the key pairs, the signing one first.

        Raises:
            ValueError: There is neither a secret nor a private key.
        """
        keys = tuple(keys)
        private: Any = keys[0].private if keys else self._secret
        if private is None:
            raise ValueError("access tokens need a secret or a private key to be signed with")
        algorithm = keys[0].algorithm if keys else SECRET_ALGORITHM
        header = {"typ": "at+jwt"} | ({"kid": keys[0].kid} if keys else {})
        self._sign = partial(self._jwt.encode, key=private, algorithm=algorithm, headers=header)
        self._keys = keys
        self._verifying: dict[str | None, tuple[Any, str]] = {key.kid: (key.public, key.algorithm) for key in keys}
        if self._secret is not None:
            self._verifying[None] = self._secret, SECRET_ALGORITHM
        # A new cache, without tokens of removed keys. Errors are not cached, so only valid tokens take up memory.
        self._cached = lru_cache(CACHED_TOKENS)(self._verify)

    def public_keys(self) -> list[JsonWebKey]:
        """Return the public keys, the signing one first; empty with a shared secret."""
        return [key.jwk for key in self._keys]

    def issue(self, user: User) -> AccessToken:
        """Return a new token. Its lifetime counts from the current whole second."""
        issue_time = self._clock.now().replace(microsecond=0)
        expire_time = issue_time + self._lifetime
        claims = {
            "iss": ISSUER,
            "sub": user.user_id,
            "aud": AUDIENCE,
            "iat": int(issue_time.timestamp()),
            "exp": int(expire_time.timestamp()),
            "jti": str(uuid_utils.uuid7()),
            "client_id": CLIENT_ID,
            "role": user.role.value,
        }
        return AccessToken(self._sign(claims), expire_time)

    def read(self, text: str) -> Principal:
        """Return the principal of a token.

        Raises:
            TokenInvalid: It is malformed, has no valid signature, or is not valid yet.
            TokenExpired: It has expired.
        """
        token = self._cached(text)
        now = self._clock.now()
        if now >= token.expire_time:
            raise TokenExpired(token.expire_time)
        if now < token.valid_from:
            raise TokenInvalid
        return token.principal

    def _verify(self, text: str) -> VerifiedToken:
        if len(text) > MAX_TOKEN_LENGTH or not COMPACT_FORM.fullmatch(text):
            raise TokenInvalid
        try:
            key, algorithm = self._verifying[jwt.get_unverified_header(text).get("kid")]  # PyJWT refuses a null kid
            decoded = self._jwt.decode_complete(text, key, algorithms=[algorithm], audience=AUDIENCE, issuer=ISSUER)
            return _check(decoded["header"], decoded["payload"])
        except (jwt.PyJWTError, KeyError, ValueError, OverflowError) as error:
            raise TokenInvalid from error


def _check(header: Mapping[str, Any], claims: Mapping[str, Any]) -> VerifiedToken:
    """Check what PyJWT doesn't.

    Raises:
        ValueError, OverflowError: This service would not have issued the token.
    """
    if str(header.get("typ")).lower() not in TOKEN_TYPES:
        raise ValueError("not an access token")
    if "crit" in header:
        raise ValueError("an unknown critical parameter")
    if not SUBJECT.fullmatch(claims["sub"]):
        raise ValueError("not a user_id")
    issue_time = _moment(claims["iat"])
    valid_from = issue_time - CLOCK_SKEW
    if "nbf" in claims:
        valid_from = max(valid_from, _moment(claims["nbf"]))
    return VerifiedToken(
        Principal(claims["sub"], Role(claims.get("role")), issue_time), valid_from, _moment(claims["exp"])
    )


def _moment(seconds: object) -> datetime:
    if type(seconds) is not int:  # isinstance would accept a bool
        raise ValueError("not a time in whole seconds")
    return EPOCH + timedelta(seconds=seconds)
