"""The database URL: how it is parsed, and the error of a malformed one, which shows no part of its password."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from asyncpg import connect_utils
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cinema_grpc.config import BadSettings
from cinema_grpc.database_url import check_database_url, parse_postgresql, sqlite_path, without_secrets
from cinema_grpc.environment import read_settings

PG = "postgresql+asyncpg://"
SECRET = "hQ7vZk2mXw9Lr4"
"""No four characters of it occur in a message by chance."""


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("cinema:secret@db/cinema", ["cinema:secret@db/cinema"]),
        ("cinema:p%2Fa%40%25s%3A@db/cinema", ["cinema:p%2Fa%40%25s%3A@db/cinema"]),
        ("cinema:100%@db/cinema", ["cinema:100%25@db/cinema"]),
        ("cinema:a:b@db/cinema", ["cinema:a%3Ab@db/cinema"]),
        ("cinema:naïve℀@db/cinema", [f"cinema:{quote('naïve℀')}@db/cinema"]),
        ("c@one:1,two/c?target_session_attrs=any", [
            "c@one:1/c?target_session_attrs=any", "c@two/c?target_session_attrs=any",
        ]),
        ("c@/c?host=one:1&host=two:5432", ["c@one:1/c", "c@two:5432/c"]),
        ("c@/c?host=one,two&port=1,5432", ["c@one:1/c", "c@two:5432/c"]),
        ("c@/c?host=/a,two&port=5433", ["c@%2Fa:5433/c", "c@two:5433/c"]),
        ("c@%2Frun%2Fpostgresql/c", ["c@%2Frun%2Fpostgresql/c"]),
        ("c@[::1]:5433,[fe80::1%25eth0]/c", ["c@[::1]:5433/c", "c@[fe80::1%25eth0]/c"]),
        ("c@db/c?ssl=require", ["c@db/c?sslmode=require"]),
        ("c@/c?port=5433", ["c@localhost:5433/c"]),
        ("c@/c", ["c@/c"]),
        ("db/c", ["db/c"]),
    ],
)  # fmt: skip
def test_each_host_has_a_libpq_url(url: str, expected: list[str]) -> None:
    """Both ways to name several hosts work, and all parts are encoded, so that other parsers find the same parts."""
    assert parse_postgresql(PG + url).one_by_one() == [f"postgresql://{each}" for each in expected]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"{PG}cinema:{SECRET}@db:5432/cinema?password={SECRET}", f"{PG}cinema@db:5432/cinema"),
        (f"{PG}cinema:{SECRET}℀@one,[::1]:1/cinema", f"{PG}cinema@one,[::1]:1/cinema"),
        ("sqlite+aiosqlite:////data/cinema.db", "sqlite+aiosqlite:////data/cinema.db"),
    ],
)
def test_a_log_has_no_passwords(url: str, expected: str) -> None:
    assert without_secrets(url) == expected


BAD = {
    f"cinema:{SECRET}/x@db/cinema": "/ is %2F",
    f"cinema:x/{SECRET}@db/cinema": "/ is %2F",
    f"cinema:{SECRET}?x@db/cinema": "? is %3F",
    f"cinema:x?{SECRET}@db/cinema": "? is %3F",
    f"cinema:1/x?lock_timeout={SECRET}@db/cinema": "? is %3F",
    f"cinema:x#{SECRET}@db/cinema": "# is %23",
    f"cinema:x@{SECRET}@db/cinema": "@ is %40",
    f"cinema:{SECRET}/cinema": "port that is not a number",
    f"cinema:{SECRET} @db/cinema": "a space",
    f"cinema:{SECRET}\n@db/cinema": "line break",
    f"cinema:{SECRET}%00@db/cinema": "zero byte",
    f"cinema:{SECRET}%ff@db/cinema": "not UTF-8",
    "cinema@db:port/cinema": "port that is not a number",
    "cinema@db:70000/cinema": "port that is not a number",
    "cinema@db:0/cinema": "port that is not a number",
    "cinema@db:-1/cinema": "port that is not a number",
    "cinema@db:٣/cinema": "port that is not a number",
    "cinema@::1/cinema": "in brackets",
    "cinema@2001:db8::1:5432/cinema": "in brackets",
    "cinema@[::1/cinema": "[::1]:5432",
    "cinema@[db]/cinema": "[::1]:5432",
    "cinema@[::1]5432/cinema": "[::1]:5432",
    "cinema@db..example/cinema": "neither a name nor an address",
    f"cinema@{'x' * 64}/cinema": "neither a name nor an address",
    "cinema@one,,two/cinema": "neither a name nor an address",
    "cinema@:5432/cinema": "neither a name nor an address",
    "cinema@db/": "must name a database",
    "cinema@db": "must name a database",
    "cinema@one/c?host=two": "hosts twice",
    "cinema@one:1/c?port=2": "ports twice",
    "cinema@/c?host=one,two&port=1,x": "port that is not a number",
    "cinema@db/c?target_session_attrs=foo": "other than any, primary, standby, prefer-standby, read-write, read-only",
    "cinema@db/c?sslmode=verify": "other than disable, allow, prefer, require, verify-ca, verify-full",
    "cinema@db/c?sslnegotiation=x": "other than postgres, direct",
    "cinema@db/c?ssl_min_protocol_version=SSLv3": "other than TLSv1,",
    "cinema@db/c?gsslib=x": "other than gssapi",
    "cinema@db/c?sslcrl=/dev/zero": "Not a regular file",
    "cinema@db/c?sslrootcert=.": "Not a regular file",
    "cinema@db/c?passfile=missing": "No such file",
    "cinema@db/c?connect_timeout=soon": "whole number of seconds",
    "cinema@db/c?x": "name=value",
    "cinema@db/c?a-b=c": "malformed name",
    "cinema@db/c?x=%00": "zero byte",
}


@pytest.mark.parametrize(("url", "hint"), BAD.items(), ids=map(str, range(len(BAD))))
def test_a_malformed_url(url: str, hint: str) -> None:
    """The message says what is right, and quotes no part of the URL."""
    with pytest.raises(ValueError, match=r".+") as raised:
        check_database_url(PG + url)
    assert hint in str(raised.value)
    assert not leaked(str(raised.value))


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("sqlite+aiosqlite://data/cinema.db", "three slashes"),
        ("sqlite+aiosqlite:cinema.db", "three slashes"),
        ("sqlite+aiosqlite:/cinema.db", "three slashes"),
        ("sqlite+aiosqlite://", "must name a file"),
        ("sqlite+aiosqlite:///", "must name a file"),
        ("sqlite+aiosqlite:///:memory:", "must name a file"),
        ("sqlite+aiosqlite:///a?b.db", "has a ?"),
        ("sqlite+aiosqlite:///a.db?mode=ro", "has a ?"),
        ("sqlite+aiosqlite:///a\n.db", "line break"),
        ("sqlite+aiosqlite:///missing/a.db", "missing, which does not exist"),
        ("sqlite+aiosqlite:///file/a.db", "file, which is of the wrong kind"),
        ("sqlite+aiosqlite:///folder", "is of the wrong kind"),
        ("sqlite+aiosqlite:///new/", "must name a file"),
        ("sqlite+aiosqlite:////dev/zero", "is of the wrong kind"),
        (f"sqlite+aiosqlite:///{'x' * 300}.db", "File name too long"),
        ("sqlite:///cinema.db", "must begin with sqlite+aiosqlite:///"),
        ("postgres://cinema@db/cinema", "postgresql+asyncpg://"),
        ("postgresql+asyncpg:/cinema@db/cinema", "postgresql+asyncpg://"),
        ("", "must begin with"),
    ],
)
def test_a_url_without_a_usable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, hint: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("folder").mkdir()
    with pytest.raises(ValueError, match=r".+") as raised:
        check_database_url(url)
    assert hint in str(raised.value)


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    """It is neither decoded nor cut."""
    path = f"{tmp_path}/100%20#@:& ü.db"
    assert sqlite_path(check_database_url(f"sqlite+aiosqlite:///{path}")) == path


def test_a_user_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may run as a number without a name: the URL must name a user then."""

    def unknown(_: int) -> None:
        raise KeyError("getpwuid(): uid not found: 12345")

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "PGUSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    with pytest.raises(ValueError, match="must name a user"):
        check_database_url(f"{PG}localhost/cinema")
    assert check_database_url(f"{PG}cinema@localhost/cinema")
    assert check_database_url(f"{PG}localhost/cinema?user=cinema")
    monkeypatch.setenv("PGUSER", "cinema")
    assert check_database_url(f"{PG}localhost/cinema")


def leaked(message: str) -> list[str]:
    """Return the parts of the secret in a message."""
    pieces = [SECRET[start : start + 4] for start in range(len(SECRET) - 3)]
    return [piece for piece in pieces if piece.lower() in message.lower()]


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
FOLDED = "\u2100\u2044\uff0f\uff20\uff1a\uff03\uff1f"
"""Characters that NFKC turns into others, of which one is a delimiter: urllib refuses them, and quotes the password."""
TRICKY = st.text(st.sampled_from(f":/?#[]@!$&'()*+,;=%. \n\t\\aé\udcff{FOLDED}"), max_size=8)
PIECE = st.one_of(TRICKY, TEXT, st.sampled_from(["@db", "/cinema", "?", "host=", "&", ":5432", "[::1]", SECRET]))
URL = st.builds(
    lambda scheme, before, between, after: scheme + "".join(before) + SECRET + between + SECRET + "".join(after),
    st.sampled_from([PG, f"{PG}cinema:", f"{PG}cinema:", "postgresql://", "sqlite+aiosqlite://x:", ""]),
    st.lists(PIECE, max_size=3),
    PIECE,
    st.lists(PIECE, max_size=5) | st.just(["@db/cinema"]),
)


@example(f"{PG}cinema:{SECRET}℀{SECRET}@db/cinema")
@example(f"{PG}cinema:{SECRET}\udcff{SECRET}@db/cinema")
@given(url=URL)
@settings(max_examples=120)
def test_no_piece_of_a_password_is_shown(url: str) -> None:
    """Any text is a URL that the driver parses in the same way, or an error without a part of the secret."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("CINEMA_", "PG"))]:
            patch.delenv(name)
        patch.setenv("CINEMA_DATABASE_URL", url)
        message = ""
        try:
            accepted = read_settings().database_url
        except BadSettings as error:
            message = str(error)
    if message:
        assert message.startswith("CINEMA_DATABASE_URL: ")
        assert not leaked(message)
    elif accepted.startswith(PG):
        understood_by_the_driver(accepted)


def understood_by_the_driver(url: str) -> None:
    """Check that asyncpg parses the same parts from the URL that it gets."""
    ours = parse_postgresql(url)
    names = "host port user password database ssl service servicefile direct_tls target_session_attrs krbsrvname gsslib"
    nothing = dict.fromkeys(names.split())
    for each, host in zip(ours.one_by_one(), ours.hosts or [("", "")], strict=True):
        options: dict[str, Any] = {**nothing, "passfile": "/nonexistent", "server_settings": {}}
        parse = connect_utils._parse_connect_dsn_and_args  # type: ignore[attr-defined] # not public
        addresses, theirs = parse(dsn=each, **options)
        if ours.user is not None:
            assert theirs.user == ours.user
        if ours.password is not None:
            assert theirs.password == (ours.password or None)
        assert theirs.database == ours.database
        if host[0] and not host[0].startswith("/"):
            assert addresses == [(host[0], int(host[1] or 5432))]
