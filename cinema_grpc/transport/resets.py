"""Ends what grpc.aio has no way to end: a stream whose response is not read, and a whole connection."""

import asyncio
import gc
import os
import socket
from collections.abc import Collection, Iterator
from contextlib import closing, suppress
from typing import Any
from urllib.parse import unquote

WAITS_FOR_END = "_schedule_rpc_coro"
"""gRPC's coroutine that waits for the end of a call."""
OPEN_FILES = "/dev/fd"
"""Lists the open files of this process, on Linux, macOS and the BSDs."""


def reset_streams(handlers: Collection["asyncio.Task[Any]"]) -> None:
    """Reset the streams of calls, and free what gRPC keeps for them.

    gRPC runs each call in two tasks. One runs the handler and then sends the response. The other waits for the end of
    the call, and nothing refers to it. gRPC resets the stream when neither task holds it, so both are cancelled. The
    second is found by its coroutine, which refers to the first.

    gRPC also holds the latest call of a server until the next one arrives.

    Args:
        handlers: The tasks that run the handlers or send the responses.
    """
    doomed = set(handlers)
    for task in asyncio.all_tasks() - doomed:
        coroutine = task.get_coro()
        scopes = gc.get_referents(coroutine)
        if getattr(coroutine, "__qualname__", "") == WAITS_FOR_END and any(
            isinstance(each, asyncio.Task) and each in doomed for each in gc.get_referents(*scopes)
        ):
            task.cancel()
    for task in doomed:
        task.cancel()


def close_connections(peers: Collection[str]) -> None:
    """Shut down TCP connections; gRPC then ends all of their calls.

    Args:
        peers: Their clients as gRPC writes them, such as "ipv4:192.0.2.1:50412". Unix sockets have no such name and
            stay open.
    """
    wanted = {unquote(peer).partition(":")[2] for peer in peers}
    for connection in _open_connections():
        with closing(connection), suppress(OSError):  # it listens, or is closed already
            host, port = connection.getpeername()[:2]
            host = host.removeprefix("::ffff:")  # gRPC accepts IPv4 on IPv6 sockets
            if (f"[{host}]:{port}" if ":" in host else f"{host}:{port}") in wanted:
                connection.shutdown(socket.SHUT_RDWR)


def _open_connections() -> Iterator[socket.socket]:
    """Return a duplicate of each internet socket that the process has open."""
    for entry in os.listdir(OPEN_FILES):  # noqa: PTH208 (numbers, not paths)
        with suppress(OSError):  # closed meanwhile
            duplicate = os.dup(int(entry))
            try:
                found = socket.socket(fileno=duplicate)
            except OSError:  # not a socket
                os.close(duplicate)
                continue
            if found.family in {socket.AF_INET, socket.AF_INET6}:
                yield found
            else:
                found.close()
