"""Which usernames, names, emails and passwords are accepted."""

import unicodedata
from collections.abc import Iterator

import pytest

from cinema_grpc.domain.account import (
    fold,
    normalize_password,
    password_violations,
    person_violations,
    username_violations,
)
from cinema_grpc.domain.errors import FieldViolation

COMMONEST = frozenset({"password123", "qwertyuiop"})


@pytest.mark.parametrize("username", ["ada", "Ada.Lovelace_1815-1852", "...", "0" * 64])
def test_a_username_of_letters_digits_and_marks_is_accepted(username: str) -> None:
    assert username_violations(username) == []


@pytest.mark.parametrize(
    "username",
    ["", "ab", "a" * 65, "ada lovelace", "ada\n", "ada\0", "ädä", "ada@example.com", "ａｄａ", "ada/1", "adа"],  # noqa: RUF001
)
def test_any_other_username_is_refused_by_its_field(username: str) -> None:
    (violation,) = username_violations(username)
    assert violation.field == "username"
    assert "3 to 64" in violation.description


@pytest.mark.parametrize(
    ("full_name", "email"),
    [
        ("Ada Lovelace", "ada@example.com"),
        ("山田", ""),
        ("x" * 200, "a@b"),
        ("O", f"{'x' * 64}@{'y' * 63}.{'y' * 63}.{'y' * 61}"),
        ("René O'Brien-😀", "Ada.L+tag@x.example"),
    ],
)
def test_a_person_has_a_name_and_perhaps_an_email(full_name: str, email: str) -> None:
    assert person_violations(full_name, email) == []


@pytest.mark.parametrize(
    ("full_name", "email", "fields"),
    [
        ("", "", ["full_name"]),
        (" \u2003", "", ["full_name"]),
        ("x" * 201, "ada@example.com", ["full_name"]),
        ("Ada\nLovelace", "", ["full_name"]),
        ("Ada\0", "", ["full_name"]),
        ("Ada \udcff", "", ["full_name"]),
        ("Ada", "ada", ["email"]),
        ("Ada", "@example.com", ["email"]),
        ("Ada", "ada@", ["email"]),
        ("Ada", "ada@example@com", ["email"]),
        ("Ada", "ada @example.com", ["email"]),
        ("Ada", "ada@example.com\n", ["email"]),
        ("Ada", "ada@example\0.com", ["email"]),
        ("Ada", "ada@\udcff.com", ["email"]),
        ("Ada", f"{'x' * 65}@{'y' * 63}.{'y' * 63}.{'y' * 61}", ["email"]),
        ("Ada", "jörg@example.com", ["email"]),
        ("Ada", "jorg@exämple.com", ["email"]),
        ("Ada\u200b", "", ["full_name"]),
        ("\u3164", "", ["full_name"]),
        ("", "ada", ["full_name", "email"]),
    ],
)
def test_any_other_name_or_email_is_refused_by_its_field(full_name: str, email: str, fields: list[str]) -> None:
    assert [violation.field for violation in person_violations(full_name, email)] == fields


def violations(password: str) -> list[FieldViolation]:
    """Return what is wrong with a password of Ada's."""
    normalized = normalize_password(password)
    return password_violations(normalized, "new_password", "Ada.Lovelace", "Ada@Example.com", COMMONEST)


@pytest.mark.parametrize(
    "password",
    [
        "12 chars ok!",
        "eight 8c",
        "x" * 256,
        "😀" * 256,
        "a\u0308" * 256,  # 512 code points as typed, 256 after NFC
        "\u0958" * 4,  # 4 as typed, 8 after NFC
        "ada.lovelace2",
        "password1234",
        "        ",
        "ada@example.com ",
    ],
)
def test_a_password_of_8_to_256_characters_is_accepted_whatever_it_is_made_of(password: str) -> None:
    assert violations(password) == []


@pytest.mark.parametrize(
    ("password", "problem"),
    [
        ("", "8 to 256"),
        ("seven 7", "8 to 256"),
        ("a\u0308" * 7, "8 to 256"),
        ("x" * 257, "8 to 256"),
        ("\u0958" * 129, "8 to 256"),
        ("new\nline of it", "control"),
        ("zero\0 within it", "control"),
        ("\x85 next line", "control"),
        ("half \udc80 of a pair", "control"),
        ("ada.lovelace", "the username or the email"),
        ("ADA.LOVELACE", "the username or the email"),
        ("ada@example.com", "the username or the email"),
        ("password123", "most common"),
        ("PassWord123", "most common"),
    ],
)
def test_a_password_that_breaks_a_rule_is_refused_by_the_name_of_the_rule(password: str, problem: str) -> None:
    (violation,) = violations(password)
    assert violation.field == "new_password"
    assert problem in violation.description


def test_a_refusal_never_quotes_the_password() -> None:
    assert "qwertyuiop" not in repr(violations("Qwertyuiop")).casefold()


def test_an_empty_email_equals_no_password() -> None:
    assert password_violations("a good one", "password", "ada", "", COMMONEST) == []


def test_a_password_is_the_same_however_its_letters_are_composed() -> None:
    assert normalize_password("Mu\u0308nchen") == normalize_password("M\u00fcnchen")


def test_what_is_too_long_for_a_password_is_not_composed() -> None:
    """A million marks would take minutes to sort."""
    long = "a" + "\u0301\u0323" * 100_000
    assert normalize_password(long) is long
    longest = "\u1f80" * 256  # composed of four characters each
    assert normalize_password(unicodedata.normalize("NFD", longest)) == longest


@pytest.mark.parametrize(
    ("one", "other"), [("Ada", "aDA"), ("STRASSE@x.example", "straße@x.example"), ("É", "e\u0301")]
)
def test_names_that_differ_only_in_case_are_equal(one: str, other: str) -> None:
    assert fold(one) == fold(other)


def test_other_names_differ() -> None:
    assert fold("ada") != fold("adá")


class Sealed(str):
    """A text whose characters must not be read."""

    __slots__ = ()

    def __iter__(self) -> Iterator[str]:
        raise AssertionError


def test_the_characters_of_what_is_too_long_for_a_password_are_not_read() -> None:
    """A million characters would take a tenth of a second, before the caller has an account."""
    sealed = Sealed("x" * 257)
    (violation,) = password_violations(sealed, "password", "ada", "ada@example.com", COMMONEST)
    assert violation.description.startswith("must be 8 to 256 characters")
