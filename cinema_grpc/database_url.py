"""Parses and checks the URL of the database, without connecting.

No error message quotes a part of a PostgreSQL URL: a password that is not percent-encoded can end up in the port, the
path or a parameter.
"""

import getpass
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode

from cinema_grpc.addresses import is_host_name, is_ipv6, is_port
from cinema_grpc.files import read_regular

SQLITE = "sqlite+aiosqlite:///"
POSTGRESQL = "postgresql+asyncpg://"

FILES = {"sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile"}
"""Parameters that name files."""
CHOICES = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": ("postgres", "direct"),
    "target_session_attrs": ("any", "primary", "standby", "prefer-standby", "read-write", "read-only"),
    "ssl_min_protocol_version": ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"),
    "ssl_max_protocol_version": ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"),
    "gsslib": ("gssapi", "sspi"),
}
"""Parameters with a fixed set of values."""
PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
ENCODE = "percent-encode special characters of the user and the password: / is %2F, ? is %3F, # is %23, @ is %40"

BAD_PORT = f"has a port that is not a number from 1 to 65535; if it is a part of the password, {ENCODE}"


@dataclass(frozen=True, slots=True)
class PostgresqlUrl:
    """The parts of a PostgreSQL URL, percent-decoded.

    Attributes:
        user, password: None if the URL has none.
        hosts: Each with its port or "". A path is the folder of a Unix socket. Empty for the driver's defaults.
        database: The database's name.
        parameters: Names and values of the query, in order, without hosts and ports.
    """

    user: str | None
    password: str | None = field(repr=False)
    hosts: tuple[tuple[str, str], ...]
    database: str
    parameters: tuple[tuple[str, str], ...]

    def libpq_url(self) -> str:
        """Return the URL in the syntax of libpq: ASCII, with each part percent-encoded."""
        login = "" if self.user is None else quote(self.user, safe="")
        login += "" if self.password is None else f":{quote(self.password, safe='')}"
        at = "" if self.user is None and self.password is None else "@"
        hosts = ",".join(_authority(host, port) for host, port in self.hosts)
        query = f"?{urlencode(self.parameters)}" if self.parameters else ""
        return f"postgresql://{login}{at}{hosts}/{quote(self.database, safe='')}{query}"

    def one_by_one(self) -> list[str]:
        """Return a libpq URL for each host."""
        return [replace(self, hosts=(host,)).libpq_url() for host in self.hosts] or [self.libpq_url()]

    def without_secrets(self) -> str:
        """Return the URL for a log: without its password, and without parameters, which may hold another password."""
        shown = replace(self, password=None, parameters=()).libpq_url()
        return POSTGRESQL + shown.partition("://")[2]


def _authority(host: str, port: str) -> str:
    encoded = f"[{quote(host, safe=':')}]" if is_ipv6(host) else quote(host, safe="")
    return f"{encoded}:{port}" if port else encoded


def without_secrets(url: str) -> str:
    """Return a URL for people: without its password, and without parameters, which may hold another one.

    For a file it has the absolute path, to distinguish files of the same name.
    """
    if url.startswith(POSTGRESQL):
        return parse_postgresql(url).without_secrets()
    return f"{SQLITE}{Path(sqlite_path(url)).absolute()}"


def check_database_url(url: str) -> str:
    """Return a URL if it is valid as far as can be checked without connecting.

    Raises:
        ValueError: The URL is not valid. The message says why and what is right.
    """
    if url.startswith(POSTGRESQL):
        _check_postgresql(parse_postgresql(url))
    elif url.startswith("sqlite+aiosqlite:"):
        _check_sqlite(sqlite_path(url))
    else:
        raise ValueError(f"must begin with {SQLITE} or {POSTGRESQL}, such as {SQLITE}cinema.db")
    return url


def sqlite_path(url: str) -> str:
    """Return the path of the file that an SQLite URL names, which is not percent-encoded.

    Raises:
        ValueError: The URL names no file.
    """
    path = url.removeprefix(SQLITE)
    if path == url and url.removeprefix("sqlite+aiosqlite:").strip("/"):
        raise ValueError(
            f"must have three slashes before a path in the working folder, as in {SQLITE}cinema.db, or four before an "
            f"absolute one, as in {SQLITE}/var/lib/cinema.db"
        )
    if path in {url, "", ":memory:"} or path.endswith("/"):
        raise ValueError(f"must name a file, such as {SQLITE}cinema.db, so that nothing is lost at a restart")
    if "?" in path:
        raise ValueError("has a ?; SQLite takes no parameters here, and the file's path must not contain one")
    if not path.isprintable():
        raise ValueError("has a line break or another unprintable character in its path")
    return path


def _check_sqlite(path: str) -> None:
    file = Path(path).absolute()
    if (problem := _problem_of(file.parent, stat.S_ISDIR)) is not None:
        raise ValueError(f"names a file in {file.parent}, which {problem or 'does not exist; make it first'}")
    if problem := _problem_of(file, stat.S_ISREG):
        raise ValueError(f"names {file}, which {problem}")


def _problem_of(path: Path, is_right: Callable[[int], bool]) -> str | None:
    """Return what is wrong with a file or folder, "" if it does not exist, or None if it is of the right kind."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"can't be used: {error.strerror}"
    return None if is_right(mode) else "is of the wrong kind, such as a folder for a file, or a device"


def parse_postgresql(url: str) -> PostgresqlUrl:
    """Parse a URL that begins with postgresql+asyncpg://.

    Raises:
        ValueError: The URL is malformed or ambiguous. The message quotes no part of it.
    """
    if not url.isprintable() or " " in url:
        raise ValueError("has a space, a line break or another unprintable character")
    if "#" in url:
        raise ValueError(f"has a #; {ENCODE}")
    rest, _, query = url.removeprefix(POSTGRESQL).partition("?")
    authority, _, path = rest.partition("/")
    login, _, hosts = authority.rpartition("@")
    if "@" in login + path + query:
        raise ValueError(f"has an @ elsewhere than before the host; {ENCODE}")
    user, colon, password = login.partition(":")
    parameters = _parameters(query)
    return PostgresqlUrl(
        user=_decoded(user) or None,
        password=_decoded(password) if colon else None,
        hosts=_hosts(hosts, parameters),
        database=_decoded(path),
        parameters=tuple((name, value) for name, value in parameters if name not in {"host", "port"}),
    )


def _decoded(text: str) -> str:
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeError:  # its message quotes the text
        decoded = "\0"
    if "\0" in decoded:
        raise ValueError("has percent-encoded bytes that are not UTF-8, or a zero byte") from None
    return decoded


def _hosts(in_authority: str, parameters: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return the hosts and their ports from the authority or the parameters.

    Parameters may follow libpq, ?host=one,two&port=5432, or SQLAlchemy, ?host=one:5432&host=two:5432.
    """
    in_parameters = ",".join(value for name, value in parameters if name == "host")
    ports = ",".join(value for name, value in parameters if name == "port")
    if in_authority and in_parameters:
        raise ValueError("names hosts twice: after the user, and as a parameter")
    hosts = [_host(_decoded(each)) for each in in_authority.split(",")] if in_authority else []
    hosts += [_host(each) for each in in_parameters.split(",")] if in_parameters else []
    if not ports:
        return tuple(hosts)
    port_of_each = ports.split(",")
    if not all(is_port(port) for port in port_of_each):
        raise ValueError(BAD_PORT)
    if any(port for _, port in hosts):
        raise ValueError("names ports twice: after the hosts, and as a parameter")
    hosts = hosts or [("localhost", "")]
    if len(port_of_each) not in {1, len(hosts)}:
        raise ValueError(
            f"names {len(hosts)} hosts and {len(port_of_each)} ports; there must be one port for all, or one for each"
        )
    return tuple((host, port_of_each[number % len(port_of_each)]) for number, (host, _) in enumerate(hosts))


def _host(text: str) -> tuple[str, str]:
    """Return a host and its port or ""."""
    if text.startswith("/"):
        folder, _, port = text.partition(":")
        host, port = (folder, port) if is_port(port) else (text, "")
    elif text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not (bracket and is_ipv6(host)) or (rest and not rest.startswith(":")):
            raise ValueError("has a malformed IPv6 address; it must look like [::1] or [::1]:5432")
        port = rest[1:]
    elif text.count(":") > 1:
        raise ValueError(f"must have an IPv6 address in brackets, as in [::1]:5432; if it is not an address, {ENCODE}")
    else:
        host, _, port = text.partition(":")
        if not is_host_name(host):
            raise ValueError("has a host that is neither a name nor an address, such as db.example or 192.0.2.1")
    if port and not is_port(port):
        raise ValueError(BAD_PORT)
    return host, port


def _parameters(query: str) -> list[tuple[str, str]]:
    if not query:
        return []
    try:
        parameters = parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:  # its message quotes the query
        raise ValueError(f"has parameters that are not name=value, separated by &; {ENCODE}") from None
    if any("\0" in value or not PARAMETER.fullmatch(name) for name, value in parameters):
        raise ValueError(f"has a parameter with a malformed name, or with a zero byte in its value; {ENCODE}")
    return [("sslmode" if name == "ssl" else name, value) for name, value in parameters]


def _check_postgresql(url: PostgresqlUrl) -> None:
    if find_spec("asyncpg") is None:
        raise ValueError("needs the driver for PostgreSQL: install the extra `postgres` of cinema-grpc, or asyncpg")
    if not url.database:
        raise ValueError(f"must name a database, such as {POSTGRESQL}cinema@localhost/cinema")
    parameters = dict(url.parameters)
    if url.user is None and not (parameters.get("user") or os.environ.get("PGUSER")):
        _check_own_name()
    for name, value in parameters.items():
        if name in CHOICES and value not in CHOICES[name]:
            raise ValueError(f"has a {name} other than {', '.join(CHOICES[name])}")
        if name in FILES:
            _check_file(name, value)
    connect_timeout = parameters.get("connect_timeout", "5")
    if not (connect_timeout.isascii() and connect_timeout.isdigit() and int(connect_timeout[:9]) > 0):
        raise ValueError("has a connect_timeout that is not a whole number of seconds, such as 5")


def _check_own_name() -> None:
    """Check that the user of this process has a name, which PostgreSQL gets if the URL names no user."""
    try:
        getpass.getuser()
    except (KeyError, OSError, ImportError) as error:
        raise ValueError(
            f"must name a user, as in {POSTGRESQL}cinema@localhost/cinema: this program runs as user {os.getuid()}, "
            "who has no name on this system"
        ) from error


def _check_file(name: str, path: str) -> None:
    try:
        read_regular(Path(path), private=name in {"sslkey", "passfile"})
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it has a malformed path"
        raise ValueError(f"names a file as {name} that can't be read: {why}") from error
