"""Access tokens: ours are read, and nothing else is."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cinema_grpc.adapters.access_tokens import JwtAccessTokens
from cinema_grpc.application.errors import TokenExpired, TokenInvalid
from cinema_grpc.application.ports import Caller
from cinema_grpc.domain.account import Role, User
from tests.builders import NOW, FakeClock

# Long enough for HS512 too, so that a token of that kind is refused for its kind.
SECRET = b"a secret of at least 64 bytes for tests, which signs tokens of any HMAC kind"
ADA = User("0190b6f0-7a3c-7d3e-9f27-2f1c1a4b5c6d", "ada", "Ada Lovelace", "ada@example.com", Role.CUSTOMER, NOW)
SECONDS = int(NOW.timestamp())
HEADER: dict[str, Any] = {"alg": "HS256", "typ": "at+jwt"}
CLAIMS: dict[str, Any] = {
    "iss": "cinema",
    "sub": ADA.user_id,
    "aud": "cinema.v1",
    "iat": SECONDS,
    "exp": SECONDS + 3600,
    "jti": "0190b6f0-0000-7000-8000-000000000000",
    "client_id": "cinema",
    "role": "CUSTOMER",
}
ABSENT = object()


def segment(content: object) -> str:
    """Write a part of a token: JSON, unless it is bytes already."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header: object, claims: object, secret: bytes = SECRET, digest: str = "sha256") -> str:
    """Sign any header and any claims, however odd."""
    text = f"{segment(header)}.{segment(claims)}"
    return f"{text}.{segment(hmac.new(secret, text.encode(), digest).digest())}"


def with_claims(**changes: object) -> str:
    """Sign claims of which some are different, or ABSENT."""
    return signed(HEADER, {name: value for name, value in (CLAIMS | changes).items() if value is not ABSENT})


def with_header(**changes: object) -> str:
    """Sign a header of which some parts are different, or ABSENT."""
    return signed({name: value for name, value in (HEADER | changes).items() if value is not ABSENT}, CLAIMS)


def respelled() -> str:
    """Give a good token with the unused bits of its signature's last character set."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return GOOD[:-1] + alphabet[alphabet.index(GOOD[-1]) + 1]


GOOD = signed(HEADER, CLAIMS)
HEAD, BODY, SIGNATURE = GOOD.split(".")
UNSIGNED = f"{segment({'alg': 'none', 'typ': 'at+jwt'})}.{BODY}."

ABNORMAL = {
    "empty": "",
    "a dot": ".",
    "two dots": "..",
    "words": "not a token",
    "one part": HEAD,
    "two parts": f"{HEAD}.{BODY}",
    "no signature": f"{HEAD}.{BODY}.",
    "no header": f".{BODY}.{SIGNATURE}",
    "no payload": f"{HEAD}..{SIGNATURE}",
    "four parts": f"{GOOD}.{SIGNATURE}",
    "five parts": f"{GOOD}.{SIGNATURE}.{SIGNATURE}",
    "truncated": GOOD[:-1],
    "half a signature": GOOD[:-21],
    "padded": f"{GOOD}=",
    "a blank before": f" {GOOD}",
    "a line end after": f"{GOOD}\n",
    "the scheme before": f"Bearer {GOOD}",
    "signature spelled otherwise": respelled(),
    "junk in the signature": f"{HEAD}.{BODY}.{SIGNATURE[:20]}!{SIGNATURE[20:]}",
    "the other base64": signed(HEADER, CLAIMS | {"x": "~~~???>>>"}).replace("-", "+").replace("_", "/") + "+",
    "not ASCII": GOOD.replace("e", "é", 1),
    "lone surrogate": f"{GOOD}\udc80",
    "NUL": f"{GOOD}\0",
    "alg none": UNSIGNED,
    "alg none, signed": signed(HEADER | {"alg": "none"}, CLAIMS),
    "alg None": signed(HEADER | {"alg": "None"}, CLAIMS),
    "alg HS512": signed(HEADER | {"alg": "HS512"}, CLAIMS, digest="sha512"),
    "alg HS384": signed(HEADER | {"alg": "HS384"}, CLAIMS, digest="sha384"),
    "alg RS256": signed(HEADER | {"alg": "RS256"}, CLAIMS),
    "alg ES256": signed(HEADER | {"alg": "ES256"}, CLAIMS),
    "alg in lower case": with_header(alg="hs256"),
    "alg missing": with_header(alg=ABSENT),
    "alg null": with_header(alg=None),
    "alg a list": with_header(alg=["HS256"]),
    "alg an object": with_header(alg={"HS256": 1}),
    "typ missing": with_header(typ=ABSENT),
    "typ JWT": with_header(typ="JWT"),
    "typ of an ID token": with_header(typ="id+jwt"),
    "typ null": with_header(typ=None),
    "typ a list": with_header(typ=["at+jwt"]),
    "typ with a tail": with_header(typ="at+jwt; x"),
    "kid a number": with_header(kid=1),
    "kid a list": with_header(kid=["../../dev/null"]),
    "kid null": with_header(kid=None),
    "kid of an empty file": signed(HEADER | {"kid": "../../../../dev/null"}, CLAIMS, secret=b""),
    "key in the header": signed(HEADER | {"jwk": {"kty": "oct", "k": segment(b"k" * 32)}}, CLAIMS, secret=b"k" * 32),
    "crit unknown": with_header(crit=["exp2"], exp2=1),
    "crit empty": with_header(crit=[]),
    "crit no list": with_header(crit="exp"),
    "b64 false": with_header(b64=False, crit=["b64"]),
    "header a list": signed([HEADER], CLAIMS),
    "header a string": signed("HS256", CLAIMS),
    "header no JSON": signed(b"{alg:HS256}", CLAIMS),
    "header no text": signed(b"\xff\xfe\xfd", CLAIMS),
    "header nested without end": f"{segment(b'[' * 2500)}.{BODY}.{SIGNATURE}",
    "another secret": signed(HEADER, CLAIMS, secret=b"x" * 32),
    "empty secret": signed(HEADER, CLAIMS, secret=b""),
    "signature of zeros": f"{HEAD}.{BODY}.{segment(bytes(32))}",
    "another's payload": f"{HEAD}.{segment(CLAIMS | {'role': 'STAFF'})}.{SIGNATURE}",
    "another's header": f"{segment(HEADER | {'kid': 'x'})}.{BODY}.{SIGNATURE}",
    "parts swapped": f"{BODY}.{HEAD}.{SIGNATURE}",
    "iss another": with_claims(iss="https://evil.example"),
    "iss a list": with_claims(iss=["cinema"]),
    "iss a longer name": with_claims(iss="cinema "),
    "aud another": with_claims(aud="cinema.v2"),
    "aud a list without us": with_claims(aud=["cinema", "v1"]),
    "aud empty": with_claims(aud=[]),
    "aud a number": with_claims(aud=1),
    "aud an object": with_claims(aud={"cinema.v1": 1}),
    **{f"{name} missing": with_claims(**{name: ABSENT}) for name in CLAIMS if name != "client_id"},
    **{f"{name} null": with_claims(**{name: None}) for name in CLAIMS if name != "client_id"},
    "sub a number": with_claims(sub=1),
    "sub empty": with_claims(sub=""),
    "sub too long": with_claims(sub="x" * 65),
    "sub with NUL": with_claims(sub="user\0"),
    "sub half a character": with_claims(sub="\ud800"),
    "jti a number": with_claims(jti=1),
    "role unknown": with_claims(role="OWNER"),
    "role in lower case": with_claims(role="staff"),
    "role a list": with_claims(role=["STAFF"]),
    "role an object": with_claims(role={"STAFF": True}),
    "exp a string": with_claims(exp=str(SECONDS + 3600)),
    "exp a fraction": with_claims(exp=SECONDS + 3600.5),
    "exp a whole float": with_claims(exp=float(SECONDS + 3600)),
    "exp NaN": with_claims(exp=float("nan")),
    "exp infinite": with_claims(exp=float("inf")),
    "exp true": with_claims(exp=True),
    "exp a list": with_claims(exp=[SECONDS + 3600]),
    "exp beyond the calendar": with_claims(exp=10**15),
    "exp beyond any number": with_claims(exp=10**400),
    "exp before the calendar": with_claims(exp=-(10**15)),
    "iat a string": with_claims(iat=str(SECONDS)),
    "iat a fraction": with_claims(iat=SECONDS + 0.5),
    "iat NaN": with_claims(iat=float("nan")),
    "iat before the calendar": with_claims(iat=-62135596800),
    "iat ahead": with_claims(iat=SECONDS + 61),
    "nbf ahead": with_claims(nbf=SECONDS + 1),
    "nbf a string": with_claims(nbf=str(SECONDS)),
    "nbf null": with_claims(nbf=None),
    "nbf beyond the calendar": with_claims(nbf=10**15),
    "payload a list": signed(HEADER, [CLAIMS]),
    "payload a string": signed(HEADER, "claims"),
    "payload a number": signed(HEADER, 1),
    "payload null": signed(HEADER, None),
    "payload empty": signed(HEADER, b""),
    "payload no JSON": signed(HEADER, b"{sub:1}"),
    "payload no text": signed(HEADER, b"\xff\xfe\xfd"),
    "payload nested without end": signed(HEADER, b"[" * 2500),
    "a token in a token": signed(HEADER | {"cty": "JWT"}, GOOD.encode()),
    "a number of 3000 digits": signed(HEADER, b'{"exp":' + b"9" * 2800 + b"}"),
    "huge": with_claims(sub="x" * 5000),
    "good but for its size": with_claims(padding="x" * 3000),
    "a megabyte of dots": "." * 1_000_000,
}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def tokens(clock: FakeClock) -> JwtAccessTokens:
    return JwtAccessTokens(SECRET, clock)


@pytest.mark.parametrize("text", ABNORMAL.values(), ids=ABNORMAL.keys())
def test_a_token_that_is_not_ours_is_invalid(tokens: JwtAccessTokens, text: str) -> None:
    tokens.read(GOOD)  # what was found good before must not lend its credit
    for _ in range(2):
        with pytest.raises(TokenInvalid):
            tokens.read(text)


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        with_header(typ="AT+JWT"),
        with_header(typ="application/at+jwt"),
        with_header(typ="Application/AT+JWT"),
        with_header(kid="some-key"),
        with_claims(aud=["another", "cinema.v1"]),
        with_claims(iat=SECONDS + 60),
        with_claims(nbf=SECONDS),
        with_claims(exp=SECONDS + 1),
        with_claims(client_id=ABSENT),
        with_claims(padding="x" * 2000),
    ],
)
def test_the_makers_of_abnormal_tokens_make_good_ones_too(tokens: JwtAccessTokens, text: str) -> None:
    assert tokens.read(text) == Caller(ADA.user_id, Role.CUSTOMER)


def test_no_change_of_one_character_anywhere_is_accepted(tokens: JwtAccessTokens) -> None:
    tokens.read(GOOD)
    accepted = []
    for position, character in enumerate(GOOD):
        for other in ("A", "B", "_", ".", "=", ""):
            changed = GOOD[:position] + other + GOOD[position + 1 :]
            if other != character and is_accepted(tokens, changed):
                accepted.append((position, other))
    assert accepted == []


def is_accepted(tokens: JwtAccessTokens, text: str) -> bool:
    """Tell whether a token is read; any refusal but TokenInvalid and TokenExpired is a fault."""
    try:
        tokens.read(text)
    except (TokenInvalid, TokenExpired):
        return False
    return True


@settings(deadline=None)  # a busy machine is no fault
@given(st.text())
def test_any_text_is_refused_as_invalid(text: str) -> None:
    assert not is_accepted(JwtAccessTokens(SECRET, FakeClock()), text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3),
    max_leaves=5,
)


@settings(deadline=None)  # a busy machine is no fault
@given(
    st.sampled_from([*CLAIMS, "nbf"]), json_values, st.sampled_from([*HEADER, "kid", "crit", "b64", "cty"]), json_values
)
def test_odd_values_raise_nothing_else_even_when_they_are_signed(
    claim: str, claimed: object, parameter: str, stated: object
) -> None:
    tokens = JwtAccessTokens(SECRET, FakeClock())
    is_accepted(tokens, with_claims(**{claim: claimed}))
    is_accepted(tokens, with_header(**{parameter: stated}))


def test_a_token_that_was_issued_is_read(tokens: JwtAccessTokens) -> None:
    assert tokens.read(tokens.issue(ADA).text) == Caller(ADA.user_id, Role.CUSTOMER)


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


@pytest.mark.parametrize("remembered", [True, False])
def test_a_token_expires_to_the_microsecond_remembered_or_not(
    clock: FakeClock, tokens: JwtAccessTokens, remembered: bool
) -> None:
    token = tokens.issue(ADA)
    reader = tokens
    clock.advance(timedelta(minutes=60) - timedelta(microseconds=1))
    assert reader.read(token.text).user_id == ADA.user_id
    clock.advance(timedelta(microseconds=1))
    if not remembered:
        reader = JwtAccessTokens(SECRET, clock)
    with pytest.raises(TokenExpired) as raised:
        reader.read(token.text)
    assert raised.value.metadata == {"expire_time": "2026-05-01T13:00:00Z"}


@pytest.mark.parametrize("exp", [0, -1, SECONDS, SECONDS - 1])
def test_a_token_from_the_past_has_expired(tokens: JwtAccessTokens, exp: int) -> None:
    with pytest.raises(TokenExpired):
        tokens.read(with_claims(exp=exp))


def test_an_expired_token_with_a_bad_signature_is_invalid(clock: FakeClock, tokens: JwtAccessTokens) -> None:
    clock.advance(timedelta(hours=2))
    with pytest.raises(TokenInvalid):
        tokens.read(GOOD[:-2] + "AA")


def test_a_token_for_later_becomes_good_when_its_time_comes(clock: FakeClock, tokens: JwtAccessTokens) -> None:
    text = with_claims(nbf=SECONDS + 10)
    with pytest.raises(TokenInvalid):
        tokens.read(text)
    clock.advance(timedelta(seconds=10))
    assert tokens.read(text).user_id == ADA.user_id


@pytest.mark.parametrize("year", [1990, 2100])
def test_the_clock_that_decides_is_the_one_that_was_given(year: int) -> None:
    tokens = JwtAccessTokens(SECRET, FakeClock(datetime(year, 1, 1, tzinfo=UTC)))
    seconds = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
    assert tokens.read(tokens.issue(ADA).text).user_id == ADA.user_id
    assert tokens.read(with_claims(iat=seconds, nbf=seconds, exp=seconds + 1)).user_id == ADA.user_id


def test_a_token_that_was_read_is_not_verified_again_and_no_other_gains_by_it(tokens: JwtAccessTokens) -> None:
    token = tokens.issue(ADA).text
    tokens.read(token)
    with pytest.raises(TokenInvalid):
        tokens.read(with_claims(role="OWNER"))
    tokens._secret = b"x" * 64
    assert tokens.read(token).user_id == ADA.user_id
    with pytest.raises(TokenInvalid):
        tokens.read(GOOD)
    remembered = tokens._remembered.cache_info()
    assert (remembered.currsize, remembered.maxsize) == (1, 10_000)


def test_another_replica_with_the_same_secret_reads_the_token(tokens: JwtAccessTokens, clock: FakeClock) -> None:
    assert JwtAccessTokens(SECRET, clock).read(tokens.issue(ADA).text).user_id == ADA.user_id


def test_another_secret_reads_nothing(tokens: JwtAccessTokens, clock: FakeClock) -> None:
    with pytest.raises(TokenInvalid):
        JwtAccessTokens(b"x" * 32, clock).read(tokens.issue(ADA).text)


def test_the_lifetime_is_as_given(clock: FakeClock) -> None:
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
def test_a_secret_that_is_none_is_refused_at_the_start_and_not_quoted(secret: bytes) -> None:
    with pytest.raises(ValueError, match="can't sign") as raised:
        JwtAccessTokens(secret, FakeClock())
    assert not secret or secret.decode() not in str(raised.value)
