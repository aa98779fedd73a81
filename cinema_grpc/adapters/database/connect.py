"""Connecting to one PostgreSQL server with asyncpg, even if this process can't read its home folder."""

import os
import socket
import ssl
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

SECONDS_UNTIL_DEAD = 10
"""How long a server may leave TCP packets unacknowledged before the connection counts as lost."""
REJECTED = "rejected SSL upgrade"
"""What asyncpg says of a server that speaks no TLS."""
REFUSED_PARAMETERS = ("0A", "22", "42")
"""Classes of errors that would be a fault of our own statements, were they not raised while connecting."""


async def connect(url: str, *, timeout: float, **options: Any) -> Connection:  # noqa: ASYNC109 (asyncpg's)
    """Connect.

    Args:
        url: A libpq URL that names at most one host.
        timeout: Seconds that the connection may take to be made.
        options: Others of `asyncpg.connect`.

    Raises:
        OSError: The server can't be reached, it refuses a parameter, or what the environment says is malformed.
        asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError: As the driver raises them.
    """
    try:
        if "ssl" not in options and not _asks_for_tls(url) and not _may_read_default_files():
            return await _preferring_tls(url, timeout=timeout, **options)
        connection: Connection = await asyncpg.connect(url, timeout=timeout, **options)
    except TimeoutError as error:
        raise TimeoutError(f"{_server(url)} did not answer within {timeout:g} s") from error
    except OSError as error:
        raise ConnectionError(f"can't connect to {_server(url)}: {error}") from error
    except asyncpg.PostgresError as error:
        if error.sqlstate.startswith(REFUSED_PARAMETERS):
            raise ConnectionError(str(error)) from error
        raise
    except asyncpg.InterfaceError:
        raise
    except (ValueError, LookupError) as error:  # of a PG* variable or of a file in the home folder
        raise ConnectionError(f"can't connect with what the URL and the environment say: {error}") from error
    _detect_dead_server(connection)
    return connection


async def _preferring_tls(url: str, **options: Any) -> Connection:
    """Connect with TLS if the server has it, else without, like sslmode=prefer; without a client certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        return await asyncpg.connect(url, ssl=context, **options)
    except ConnectionError as error:
        if REJECTED not in str(error):
            raise
    return await asyncpg.connect(url, ssl=False, **options)


def _server(url: str) -> str:
    """Return which server a URL names, for a message: no part of the login, which ends at the one @ there is."""
    return unquote(urlsplit(url).netloc.rpartition("@")[2]) or "the default server"


def _asks_for_tls(url: str) -> bool:
    """Return whether the URL or the environment says anything of TLS."""
    parameters = {*parse_qs(urlsplit(url).query)}
    return any(name.startswith("ssl") for name in parameters) or any(name.startswith("PGSSL") for name in os.environ)


def _may_read_default_files() -> bool:
    """Return whether the files that libpq looks for without being asked are readable or not there.

    A home folder that belongs to another user, as under `su` or in a container with a uid of its own, is neither.
    """
    try:
        folder = Path.home() / ".postgresql"
    except (RuntimeError, KeyError):
        return True  # no home folder, in which nothing is looked for
    try:
        files = [folder / "postgresql.key", folder / "postgresql.crt"]
        return all(os.access(file, os.R_OK) for file in files if file.exists())
    except OSError:
        return False


def _detect_dead_server(connection: Connection) -> None:
    """Have the kernel close the connection when the server's machine is gone.

    A timeout for statements could cut short a COMMIT that is only slow.
    """
    # asyncpg has no public way to its socket.
    link: socket.socket = connection._transport.get_extra_info("socket")  # type: ignore[attr-defined] # noqa: SLF001
    if link.family == socket.AF_UNIX or not hasattr(socket, "TCP_USER_TIMEOUT"):
        return
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, SECONDS_UNTIL_DEAD // 2)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, SECONDS_UNTIL_DEAD // 2)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SECONDS_UNTIL_DEAD * 1000)
