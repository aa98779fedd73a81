"""Page tokens come back as they went out, and nothing else does."""

import base64
import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cinema_grpc.domain.errors import InvalidRequest
from cinema_grpc.transport import page_tokens

QUERY = ("ListShowtimes", "movie-1", "")
CURSOR = ("1777636800000000", "0190b6f0-7a3c-7d3e-9f27-2f1c1a4b5c6d")

lists_of_text = st.lists(st.text(), max_size=5).map(tuple)
shaped_like_tokens = st.text(alphabet=string.ascii_letters + string.digits + "-_.=", max_size=200)


def check_refused(query: tuple[str, ...], token: str) -> None:
    """Check that a token is refused, and as a malformed field."""
    with pytest.raises(InvalidRequest) as refusal:
        page_tokens.decode(query, token)
    assert [violation.field for violation in refusal.value.violations] == ["page_token"]


@given(lists_of_text, lists_of_text)
def test_a_token_carries_its_cursor(query: tuple[str, ...], cursor: tuple[str, ...]) -> None:
    token = page_tokens.encode(query, cursor)
    assert page_tokens.decode(query, token) == cursor
    assert set(token) <= set(string.ascii_letters + string.digits + "-_.")


@given(lists_of_text, lists_of_text, lists_of_text)
def test_a_token_is_good_for_its_query_alone(
    query: tuple[str, ...], other: tuple[str, ...], cursor: tuple[str, ...]
) -> None:
    assume(query != other)
    check_refused(other, page_tokens.encode(query, cursor))


@pytest.mark.parametrize(
    "other",
    [
        ("ListMovies", "movie-1", ""),
        ("ListShowtimes", "movie-2", ""),
        ("ListShowtimes", "", "movie-1"),
        ("ListShowtimes", "movie-1"),
        ("ListShowtimes", "movie-1", "", ""),
        ("ListShowtimesmovie-1", "", ""),
    ],
)
def test_a_token_of_another_method_or_filter_is_refused(other: tuple[str, ...]) -> None:
    check_refused(other, page_tokens.encode(QUERY, CURSOR))


def test_a_token_is_the_same_on_every_replica_and_after_every_restart() -> None:
    # Written down once: a change of this form would turn away everyone who is paging while a new version is rolled out.
    token = "RvNSC-2mXU_bvVhqReYFcQ.MTc3NzYzNjgwMDAwMDAwMA.MDE5MGI2ZjAtN2EzYy03ZDNlLTlmMjctMmYxYzFhNGI1YzZk"
    assert page_tokens.encode(QUERY, CURSOR) == token
    assert page_tokens.decode(QUERY, token) == CURSOR


def test_every_cut_of_a_token_is_refused() -> None:
    token = page_tokens.encode(QUERY, CURSOR)
    for length in range(len(token)):
        check_refused(QUERY, token[:length])
        check_refused(QUERY, token[length + 1 :])


def test_a_change_of_any_single_character_is_refused() -> None:
    token = page_tokens.encode(QUERY, CURSOR)
    for position, character in enumerate(token):
        for other in set("AQgwz09-_.=+/ \n\0é") - {character}:
            check_refused(QUERY, token[:position] + other + token[position + 1 :])


def test_what_a_lax_decoder_would_overlook_is_refused() -> None:
    token = page_tokens.encode(QUERY, CURSOR)
    for altered in (token + "=", token + ".", "." + token, token + "\n", " " + token, token.replace(".", "..")):
        check_refused(QUERY, altered)
    digest, *parts = token.split(".")
    check_refused(QUERY, ".".join([digest, *reversed(parts)]))


@given(st.one_of(st.text(), shaped_like_tokens, st.text(alphabet=st.characters(categories=["Cs", "Cc"]))))
def test_arbitrary_text_is_refused_and_nothing_worse(token: str) -> None:
    assume(token != page_tokens.encode(QUERY, ()))
    check_refused(QUERY, token)


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_arbitrary_bytes_in_the_place_of_a_cursor_are_refused(digest: bytes, cursor: bytes) -> None:
    token = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (digest, cursor))
    check_refused(QUERY, token)


@pytest.mark.parametrize(
    ("requested", "size"), [(0, 50), (1, 1), (50, 50), (199, 199), (200, 200), (201, 200), (2**31 - 1, 200)]
)
def test_a_page_has_fifty_entries_unless_asked_and_two_hundred_at_most(requested: int, size: int) -> None:
    assert page_tokens.page_size(requested) == size
