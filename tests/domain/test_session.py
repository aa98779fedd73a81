"""Refresh tokens rotate. The last one may be repeated for a while; reuse of an older one ends the session."""

import base64
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinema_grpc.domain.session import SESSION_LIFETIME, RefreshToken, Session
from tests.builders import NOW

GRACE = timedelta(seconds=30)
MICROSECOND = timedelta(microseconds=1)
FIRST = RefreshToken(b"f" * 16, b"s" * 32)
BEGUN = Session.begin(FIRST, "ada", NOW)


def used(session: Session, token: RefreshToken, after: timedelta = timedelta(0), salt: bytes = b"1" * 32) -> Session:
    """Use a valid token; return the session after it."""
    after_use = session.use(token, salt, NOW + after, GRACE)
    assert after_use is not None
    return after_use


def test_a_token_is_replaced_by_its_successor() -> None:
    session = used(BEGUN, FIRST, timedelta(days=1))
    second = FIRST.successor(session.salt)
    assert session.digest == second.digest
    assert (session.session_id, session.user_id) == (BEGUN.session_id, "ada")
    assert session.expire_time == NOW + timedelta(days=1) + SESSION_LIFETIME
    third = second.successor(b"2" * 32)
    assert used(session, second, timedelta(days=2), b"2" * 32).digest == third.digest
    assert len({FIRST.text, second.text, third.text}) == 3


@pytest.mark.parametrize("later", [timedelta(0), timedelta(seconds=1), GRACE - MICROSECOND])
def test_the_last_token_may_be_repeated_within_the_grace(later: timedelta) -> None:
    """The session does not change, so the successor is the same."""
    session = used(BEGUN, FIRST)
    assert used(session, FIRST, later, b"2" * 32) is session


@pytest.mark.parametrize("later", [GRACE, timedelta(days=1)])
def test_a_repeat_after_the_grace_ends_the_session(later: timedelta) -> None:
    assert used(BEGUN, FIRST).use(FIRST, b"2" * 32, NOW + later, GRACE) is None


def test_without_a_grace_every_repeat_ends_the_session() -> None:
    assert used(BEGUN, FIRST).use(FIRST, b"2" * 32, NOW, timedelta(0)) is None


def test_a_repeat_after_the_use_of_the_successor_ends_the_session() -> None:
    session = used(BEGUN, FIRST)
    session = used(session, FIRST.successor(session.salt), salt=b"2" * 32)
    assert session.use(FIRST, b"3" * 32, NOW, GRACE) is None


def test_an_unknown_secret_ends_the_session() -> None:
    """The family is known only from one of the tokens."""
    assert BEGUN.use(RefreshToken(FIRST.family, b"x" * 32), b"1" * 32, NOW, GRACE) is None


def test_a_token_lasts_30_days_to_the_microsecond_and_a_use_renews_that() -> None:
    assert BEGUN.expire_time == NOW + timedelta(days=30)
    session = used(BEGUN, FIRST, SESSION_LIFETIME - MICROSECOND)
    assert BEGUN.use(FIRST, b"1" * 32, NOW + SESSION_LIFETIME, GRACE) is None
    assert session.expire_time == NOW + timedelta(days=60) - MICROSECOND


def test_stored_values_do_not_reveal_a_token() -> None:
    session = used(BEGUN, FIRST)
    second = FIRST.successor(session.salt)
    for token in (FIRST, second):
        for part in (token.family, token.secret):
            assert part not in (session.digest, session.used_digest, session.salt)
            assert part.hex() not in session.session_id


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=32, max_size=32))
def test_a_token_is_parsed_as_it_was_encoded(family: bytes, secret: bytes) -> None:
    token = RefreshToken(family, secret)
    assert len(token.text) == 64
    assert RefreshToken.parse(token.text) == token


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        FIRST.text[:-1],
        FIRST.text[:-4],
        FIRST.text + "=",
        FIRST.text + "AAAA",
        f" {FIRST.text}",
        f"{FIRST.text}\n",
        FIRST.text[:10] + "!" + FIRST.text[10:],
        FIRST.text.replace("Z", "é", 1),
        "\udc80" * 64,
        base64.b64encode(b"\xff" * 48).decode(),
        "\0" * 64,
    ],
)
def test_any_other_text_is_malformed(text: str) -> None:
    assert RefreshToken.parse(text) is None
