"""Text that people read: one form for equal looks, and no invisible characters."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinema_grpc.domain.text import BLANK, NAME, RATING, SYNOPSIS, clean


@pytest.mark.parametrize(
    "text",
    [
        "Screen 1",
        " Screen 1",
        "Screen 1 ",
        "Screen\u00a01",
        "Screen\u20071",
        "Screen\u30001",
        "Screen  1",
        "Screen\u2028 1",
    ],
)
def test_white_space_does_not_make_another_name(text: str) -> None:
    assert (NAME.problem(text), clean(text)) == (None, "Screen 1")


def test_composition_of_letters_does_not_make_another_name() -> None:
    assert clean("Cafe\u0301") == clean("Café") == "Café"


@given(st.text())
def test_the_stored_form_is_stable(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@pytest.mark.parametrize(
    "text",
    [
        "Ada Lovelace",
        "山田 花子",
        "O",
        "🎬" * 200,
        "¡Átame!",
        "8½",
        "π",
        "…",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian: without the ZWNJ the letters join
        "शरद\u094d\u200cका",  # after a virama
        "ශ\u0dca\u200dරී",  # Sinhala: Sri
        "👩\u200d🚀 & 👩🏽\u200d🚀",
        "🏳\ufe0f\u200d🌈",
        "I ❤\ufe0f Huckabees",
        "\u0600123",  # the Arabic number sign is visible
        "\ue000",
    ],
)
def test_names_of_any_script_are_accepted(text: str) -> None:
    """Including joiners and emoji selectors that change their look."""
    assert NAME.problem(text) is None
    assert clean(text) == unicodedata.normalize("NFC", text)


INVISIBLE = (
    "\u200b\u200c\u200d\u2060\u2061\ufeff\u00ad\u034f\u061c\u180e\u180b"  # widths, joiners, hyphens, marks
    "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # direction marks
    "\u115f\u1160\u3164\uffa0\u17b4\u2800\U0001d159\ufffc\ufff9\U0001d173"  # fillers and blanks
    "\ufe00\ufe0e\ufe0f\U000e0100\U000e0001\U000e0041\U000e007f\u2065\ufff0"  # variations, tags, unassigned
)


@pytest.mark.parametrize("character", INVISIBLE, ids=lambda each: f"U+{ord(each):04X}")
@pytest.mark.parametrize("around", ["{}", "{}a", "a{}", "Screen{}1", " {} "])
def test_an_invisible_character_is_refused_by_its_code_point(character: str, around: str) -> None:
    """Alone and anywhere in a text, also in optional ones."""
    text = around.format(character)
    for rule in (NAME, RATING, SYNOPSIS):
        assert rule.problem(text) == f"must not contain the invisible character U+{ord(character):04X}; remove it"


@pytest.mark.parametrize(
    "text", ["🎬\u200d", "\u200d🎬", "🎬\u200da", "a\ufe0f", "🎬\u200c🎬", "\u2800\u200d\u2800", "ب\u200da"]
)
def test_a_joiner_out_of_place_is_invisible(text: str) -> None:
    assert NAME.problem(text) is not None


@pytest.mark.parametrize("text", ["ب\u00adب", "ب\u200bب", "क\u094d\u00adष"])
def test_what_joins_nothing_is_invisible_where_a_joiner_is_not(text: str) -> None:
    assert NAME.problem(text) is not None


@pytest.mark.parametrize("text", ["", " ", "\u3000\u00a0", "\u0301", " \u0301\u0308"])
def test_a_name_is_not_blank(text: str) -> None:
    assert NAME.problem(text) == "must be 1 to 200 characters, not blank, without control characters"
    assert RATING.problem(text) is None


@pytest.mark.parametrize("text", ["a\0b", "a\nb", "tail\n", "\x1b[31m", "\x85", "\x1f", "half \udc80"])
def test_control_characters_are_refused_even_where_they_would_be_trimmed(text: str) -> None:
    for rule in (NAME, RATING, SYNOPSIS):
        assert "without control characters" in (rule.problem(text) or "")


def test_lengths_apply_as_sent_and_as_stored() -> None:
    assert NAME.problem("x" * 200) is None
    assert NAME.problem("x" * 201) is not None
    assert NAME.problem("x" + " " * 200) is not None
    assert NAME.problem("\u0958" * 100) is None
    assert NAME.problem("\u0958" * 101) is not None  # NFC makes two of it
    assert "at most 5,000 characters" in (SYNOPSIS.problem("x" * 5_001) or "")


def test_no_blank_character_is_a_letter() -> None:
    """All are fillers, selectors, tags or unassigned."""
    words = ("FILLER", "SELECTOR", "TAG", "BLANK", "NULL", "JOINER", "INHERENT", "REPLACEMENT")
    for character in BLANK:
        name = unicodedata.name(character, "")
        assert not name or any(word in name for word in words), name
