"""Access tokens: JSON Web Tokens in the profile of RFC 9068, signed with key pairs or a shared secret."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import Any

import jwt
import uuid_utils

from cinema_grpc.adapters.signing_keys import SigningKey
from cinema_grpc.application.account_ports import AccessToken, Principal, PublicKey
from cinema_grpc.application.errors import TokenExpired, TokenInvalid
from cinema_grpc.application.ports import Clock
from cinema_grpc.domain.account import Role, User

SECRET_ALGORITHM = "HS256"  # noqa: S105 (its name)
ISSUER = "cinema"
AUDIENCE = "cinema.v1"
CLIENT_ID = "cinema"
TOKEN_TYPES = frozenset({"at+jwt", "application/at+jwt"})
CLAIMS = ("iss", "sub", "aud", "iat", "exp", "jti")
"""What a token must have; nbf is heeded if it is there."""

MAXIMUM_TOKEN_LENGTH = 4096
# PyJWT would also take padding, which makes two texts of one token.
COMPACT_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
SUBJECT = re.compile(r"[!-~]{1,64}")
CLOCK_SKEW = timedelta(seconds=60)
"""How far the clock of another replica, which issued a token, may run ahead of ours."""
REMEMBERED_TOKENS = 10_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """A token that is ours beyond doubt: whose it is, and from when (inclusive) until when (exclusive) it is good."""

    caller: Principal
    valid_from: datetime
    expire_time: datetime


class JwtAccessTokens:
    """Issues and reads access tokens.

    A token is verified by the one key that its kid names, with the one algorithm of that key (RFC 8725, 3.1), and by
    the secret if it names none. Nothing else in a token's header says how it is to be read.

    To verify a signature costs more than to look a text up, so a token that was found to be ours is remembered by its
    text. Times are judged at each reading all the same.
    """

    def __init__(
        self,
        secret: bytes | None,
        clock: Clock,
        lifetime: timedelta = timedelta(minutes=60),
        keys: Iterable[SigningKey] = (),
    ) -> None:
        """Take the secret and the key pairs, which are the same on every replica.

        Args:
            secret: A key of at least 32 bytes, as RFC 7518 demands; None for none. It signs if there are no key pairs.
            clock: Tells when a token is issued and whether it has expired.
            lifetime: How long a token lasts, in whole seconds.
            keys: Key pairs, the one that signs first.

        Raises:
            ValueError: The secret is too short, or is a public key; or there is nothing to sign with.
        """
        self._secret = secret
        self._clock = clock
        self._lifetime = lifetime
        # PyJWT knows no clock but the machine's: it leaves times to read(), which asks ours.
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
        """Put other key pairs in the place of those in use, the one that signs first.

        Raises:
            ValueError: There is nothing to sign with.
        """
        verifying = {key.kid: key for key in keys}
        first = next(iter(verifying.values()), None)
        private = self._secret if first is None else first.private
        if private is None:
            raise ValueError("access tokens need a secret or a private key to be signed with")
        header = {"typ": "at+jwt"} if first is None else {"typ": "at+jwt", "kid": first.kid}
        algorithm = SECRET_ALGORITHM if first is None else first.algorithm
        self._sign = partial(self._jwt.encode, key=private, algorithm=algorithm, headers=header)
        self._keys = verifying
        # What is raised is not remembered, so only tokens of our own take up room; what a key verified that is gone by
        # now is forgotten.
        self._remembered = lru_cache(REMEMBERED_TOKENS)(self._verify)

    def public_keys(self) -> list[PublicKey]:
        """Give the keys that others can verify tokens with, the one that signs first; none for a shared secret."""
        return [key.published for key in self._keys.values()]

    def issue(self, user: User) -> AccessToken:
        """Make a token that lasts its lifetime, counted from the second that has begun."""
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
        """Tell whom a token belongs to.

        Raises:
            TokenInvalid, TokenExpired.
        """
        token = self._remembered(text)
        now = self._clock.now()
        if now >= token.expire_time:
            raise TokenExpired(token.expire_time)
        if now < token.valid_from:
            raise TokenInvalid
        return token.caller

    def _named_in(self, header: Mapping[str, Any]) -> tuple[Any, str]:
        """Give the key that a header names, and its algorithm.

        Raises:
            ValueError: There is none.
        """
        if "kid" not in header:
            if self._secret is None:
                raise ValueError("no key is named")
            return self._secret, SECRET_ALGORITHM
        key = self._keys.get(header["kid"])
        if key is None:
            raise ValueError("an unknown key is named")
        return key.public, key.algorithm

    def _verify(self, text: str) -> VerifiedToken:
        if len(text) > MAXIMUM_TOKEN_LENGTH or not COMPACT_FORM.fullmatch(text):
            raise TokenInvalid
        try:
            key, algorithm = self._named_in(jwt.get_unverified_header(text))
            decoded = self._jwt.decode_complete(text, key, algorithms=[algorithm], audience=AUDIENCE, issuer=ISSUER)
            return _check(decoded["header"], decoded["payload"])
        except (jwt.PyJWTError, ValueError, OverflowError) as error:
            raise TokenInvalid from error


def _check(header: Mapping[str, Any], claims: Mapping[str, Any]) -> VerifiedToken:
    """Check what PyJWT does not.

    Raises:
        ValueError, OverflowError: Something is not as we would have written it.
    """
    if str(header.get("typ")).lower() not in TOKEN_TYPES:
        raise ValueError("not an access token")
    if "crit" in header:
        raise ValueError("something is critical that we know nothing of")
    if not SUBJECT.fullmatch(claims["sub"]):
        raise ValueError("no identifier of a user")
    issue_time = _moment(claims["iat"])
    valid_from = issue_time - CLOCK_SKEW
    if "nbf" in claims:
        valid_from = max(valid_from, _moment(claims["nbf"]))
    return VerifiedToken(
        Principal(claims["sub"], Role(claims.get("role")), issue_time), valid_from, _moment(claims["exp"])
    )


def _moment(seconds: object) -> datetime:
    if type(seconds) is not int:  # neither a fraction nor a bool, which is an int to isinstance
        raise ValueError("a time is not in whole seconds")
    return EPOCH + timedelta(seconds=seconds)
