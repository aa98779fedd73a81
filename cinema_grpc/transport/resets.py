"""Ending what grpc.aio has no way to end: a stream whose answer is not read, and a whole connection."""

import asyncio
import gc
import os
import socket
from collections.abc import Collection, Iterator
from contextlib import closing, suppress
from typing import Any
from urllib.parse import unquote

WAITS_FOR_END = "_schedule_rpc_coro"
"""The coroutine of gRPC's that waits for the end of a call."""
OPEN_FILES = "/dev/fd"
"""Lists the open files of this process, on Linux, macOS and the BSDs."""


def reset_streams(handlers: Collection["asyncio.Task[Any]"]) -> None:
    """Reset the streams of calls, and free what gRPC keeps for them.

    gRPC runs each call in two tasks: one runs the handler and then sends the answer. The other one waits for the end
    of the call, and nothing leads to it. The stream is reset when neither holds it any more, so both are cancelled.
    The second one is found by its coroutine, which refers to the first.

    gRPC also holds the latest call of a server until the next one comes.

    Args:
        handlers: The tasks that ran the handlers, which have returned.
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
        peers: Their far ends as gRPC names them, such as "ipv4:192.0.2.1:50412". A Unix socket has no such name, and
            is left alone.
    """
    wanted = {unquote(peer).partition(":")[2] for peer in peers}
    for connection in _open_connections():
        with closing(connection), suppress(OSError):  # it has no far end, or not any more
            host, port = connection.getpeername()[:2]
            host = host.removeprefix("::ffff:")  # gRPC takes IPv4 on sockets of IPv6
            if (f"[{host}]:{port}" if ":" in host else f"{host}:{port}") in wanted:
                connection.shutdown(socket.SHUT_RDWR)


def _open_connections() -> Iterator[socket.socket]:
    """Return each internet socket that the process has open, as a duplicate."""
    for entry in os.listdir(OPEN_FILES):  # noqa: PTH208 (numbers, not paths)
        with suppress(OSError):  # closed meanwhile
            duplicate = os.dup(int(entry))
            try:
                found = socket.socket(fileno=duplicate)
            except OSError:  # no socket
                os.close(duplicate)
                continue
            if found.family in {socket.AF_INET, socket.AF_INET6}:
                yield found
            else:
                found.close()
