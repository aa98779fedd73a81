"""Access tokens: only those that the service issued are accepted."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinema_grpc.adapters.access_tokens import JwtAccessTokens
from cinema_grpc.application.account_ports import Principal
from cinema_grpc.application.errors import TokenExpired, TokenInvalid
from cinema_grpc.domain.account import Role
from tests.adapters.abnormal_tokens import abnormal
from tests.adapters.confused_tokens import confused
from tests.adapters.forgeries import (
    ABSENT,
    ADA,
    CLAIMS,
    ED25519,
    FORGERS,
    P256,
    SECONDS,
    SECRET,
    Forger,
    signing_key,
)
from tests.builders import NOW, FakeClock

HEADER: dict[str, Any] = {"alg": "HS256", "typ": "at+jwt"}
OURS = FORGERS["HS256"]
GOOD = OURS.good
PAIRS = [signing_key(ED25519), signing_key(P256)]
ATTACKS = {
    **{f"{kind}: {name}": text for kind, forger in FORGERS.items() for name, text in abnormal(forger).items()},
    **confused(),
}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def tokens(clock: FakeClock) -> JwtAccessTokens:
    return JwtAccessTokens(SECRET, clock)


@pytest.fixture
def all_kinds(clock: FakeClock) -> JwtAccessTokens:
    """Accepts tokens that were signed with the secret or with either of two key pairs."""
    return JwtAccessTokens(SECRET, clock, keys=PAIRS)


def test_a_forged_token_is_invalid(all_kinds: JwtAccessTokens) -> None:
    """Whatever is wrong with it, and after similar valid tokens were cached."""
    assert len(ATTACKS) > 500
    for forger in FORGERS.values():
        assert all_kinds.read(forger.good).user_id == ADA.user_id
    accepted = []
    for name, text in ATTACKS.items():
        for _ in range(2):
            try:
                all_kinds.read(text)
            except TokenInvalid:
                continue
            accepted.append(name)
    assert accepted == []


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        OURS.with_header(typ="AT+JWT"),
        OURS.with_header(typ="application/at+jwt"),
        OURS.with_header(typ="Application/AT+JWT"),
        OURS.with_claims(aud=["another", "cinema.v1"]),
        OURS.with_claims(iat=SECONDS + 60),
        OURS.with_claims(nbf=SECONDS),
        OURS.with_claims(exp=SECONDS + 1),
        OURS.with_claims(client_id=ABSENT),
        OURS.with_claims(padding="x" * 2000),
    ],
)
def test_the_forgers_make_valid_tokens_too(tokens: JwtAccessTokens, text: str) -> None:
    assert tokens.read(text) == Principal(ADA.user_id, Role.CUSTOMER)


@pytest.mark.parametrize("forger", FORGERS.values(), ids=FORGERS.keys())
def test_no_change_of_a_character_is_accepted(all_kinds: JwtAccessTokens, forger: Forger) -> None:
    good = forger.good
    all_kinds.read(good)
    accepted = []
    for position, character in enumerate(good):
        for other in ("A", "B", "_", ".", "=", ""):
            changed = good[:position] + other + good[position + 1 :]
            if other != character and is_accepted(all_kinds, changed):
                accepted.append((position, other))
    assert accepted == []


def is_accepted(tokens: JwtAccessTokens, text: str) -> bool:
    """Return whether a token is accepted. Any error but TokenInvalid and TokenExpired is a fault."""
    try:
        tokens.read(text)
    except (TokenInvalid, TokenExpired):
        return False
    return True


@pytest.mark.no_cover
@given(st.text())
def test_any_text_is_invalid(text: str) -> None:
    assert not is_accepted(JwtAccessTokens(SECRET, FakeClock()), text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3),
    max_leaves=5,
)


@pytest.mark.no_cover
@given(
    st.sampled_from([*CLAIMS, "nbf"]), json_values, st.sampled_from([*HEADER, "kid", "crit", "b64", "cty"]), json_values
)
def test_signed_odd_values_raise_no_other_error(claim: str, claimed: object, parameter: str, stated: object) -> None:
    tokens = JwtAccessTokens(SECRET, FakeClock())
    is_accepted(tokens, OURS.with_claims(**{claim: claimed}))
    is_accepted(tokens, OURS.with_header(**{parameter: stated}))


def test_an_issued_token_is_accepted(tokens: JwtAccessTokens) -> None:
    assert tokens.read(tokens.issue(ADA).text) == Principal(ADA.user_id, Role.CUSTOMER)


def test_a_token_has_the_form_of_rfc_9068(clock: FakeClock, tokens: JwtAccessTokens) -> None:
    clock.advance(timedelta(milliseconds=999))
    token = tokens.issue(ADA)
    assert jwt.get_unverified_header(token.text) == {"alg": "HS256", "typ": "at+jwt"}
    claims = jwt.decode(token.text, options={"verify_signature": False})
    assert claims == CLAIMS | {"jti": claims["jti"]}
    assert token.expire_time == NOW + timedelta(minutes=60)
    assert hashlib.sha256(token.text.encode()).digest() != hashlib.sha256(tokens.issue(ADA).text.encode()).digest()


def test_two_tokens_of_one_user_differ(tokens: JwtAccessTokens) -> None:
    assert tokens.issue(ADA).text != tokens.issue(ADA).text


@pytest.mark.parametrize("is_cached", [True, False])
def test_a_token_expires_to_the_microsecond_cached_or_not(
    clock: FakeClock, tokens: JwtAccessTokens, is_cached: bool
) -> None:
    token = tokens.issue(ADA)
    reader = tokens
    clock.advance(timedelta(minutes=60) - timedelta(microseconds=1))
    assert reader.read(token.text).user_id == ADA.user_id
    clock.advance(timedelta(microseconds=1))
    if not is_cached:
        reader = JwtAccessTokens(SECRET, clock)
    with pytest.raises(TokenExpired) as raised:
        reader.read(token.text)
    assert raised.value.metadata == {"expire_time": "2026-05-01T13:00:00Z"}


@pytest.mark.parametrize("exp", [0, -1, SECONDS, SECONDS - 1])
def test_a_token_from_the_past_is_expired(tokens: JwtAccessTokens, exp: int) -> None:
    with pytest.raises(TokenExpired):
        tokens.read(OURS.with_claims(exp=exp))


def test_an_expired_token_with_a_bad_signature_is_invalid(clock: FakeClock, tokens: JwtAccessTokens) -> None:
    clock.advance(timedelta(hours=2))
    with pytest.raises(TokenInvalid):
        tokens.read(GOOD[:-2] + "AA")


def test_a_token_becomes_valid_at_its_nbf(clock: FakeClock, tokens: JwtAccessTokens) -> None:
    text = OURS.with_claims(nbf=SECONDS + 10)
    with pytest.raises(TokenInvalid):
        tokens.read(text)
    clock.advance(timedelta(seconds=10))
    assert tokens.read(text).user_id == ADA.user_id


@pytest.mark.parametrize("year", [1990, 2100])
def test_the_given_clock_decides(year: int) -> None:
    tokens = JwtAccessTokens(SECRET, FakeClock(datetime(year, 1, 1, tzinfo=UTC)))
    seconds = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
    assert tokens.read(tokens.issue(ADA).text).user_id == ADA.user_id
    assert tokens.read(OURS.with_claims(iat=seconds, nbf=seconds, exp=seconds + 1)).user_id == ADA.user_id


def test_a_cached_token_is_not_verified_again_and_no_other_profits(tokens: JwtAccessTokens) -> None:
    token = tokens.issue(ADA).text
    tokens.read(token)
    with pytest.raises(TokenInvalid):
        tokens.read(OURS.with_claims(role="OWNER"))
    tokens._verifying[None] = b"x" * 64, "HS256"
    assert tokens.read(token).user_id == ADA.user_id
    with pytest.raises(TokenInvalid):
        tokens.read(GOOD)
    cached = tokens._cached.cache_info()
    assert (cached.currsize, cached.maxsize) == (1, 10_000)


def test_another_replica_with_the_same_secret_accepts_the_token(tokens: JwtAccessTokens, clock: FakeClock) -> None:
    assert JwtAccessTokens(SECRET, clock).read(tokens.issue(ADA).text).user_id == ADA.user_id


def test_another_secret_accepts_no_token(tokens: JwtAccessTokens, clock: FakeClock) -> None:
    with pytest.raises(TokenInvalid):
        JwtAccessTokens(b"x" * 32, clock).read(tokens.issue(ADA).text)


def test_the_given_lifetime_applies(clock: FakeClock) -> None:
    assert JwtAccessTokens(SECRET, clock, timedelta(seconds=5)).issue(ADA).expire_time == NOW + timedelta(seconds=5)


@pytest.mark.parametrize(
    "secret",
    [
        b"",
        b"short",
        b"x" * 31,
        b"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----",
    ],
)
def test_an_unfit_secret_is_refused_at_the_start_and_not_quoted(secret: bytes) -> None:
    with pytest.raises(ValueError, match="can't sign") as raised:
        JwtAccessTokens(secret, FakeClock())
    assert not secret or secret.decode() not in str(raised.value)
