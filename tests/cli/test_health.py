"""How `cinema health` finds out whether a server speaks TLS, and by which name."""

import socket
import ssl
import threading
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from cinema_grpc.cli.command import run
from cinema_grpc.cli.health import _speaks_tls, name_in
from tests.certificates import Authority, write


@pytest.fixture
def silent_server(tmp_path: Path) -> Iterator[str]:
    """The address of a server that completes one handshake, and then neither reads nor ends the connection."""
    files = write(tmp_path, *Authority().issue())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files["tls_certificate"], files["tls_key"])
    over = threading.Event()

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with suppress(OSError), context.wrap_socket(connection, server_side=True):  # the client may be gone
            over.wait()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=(listener,), daemon=True)
        server.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        over.set()
        server.join()


def test_its_connection_is_closed_before_the_event_loop(silent_server: str) -> None:
    """Though the server does not answer its end: uvloop warns of a socket that is open, with a traceback here."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert run(_speaks_tls(silent_server))
    assert [str(each.message) for each in caught] == []


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("cinema.example", "other.example"), "cinema.example"),
        (("*.example",), "any.example"),
        (("ops@cinema.example", "cinema.example"), "cinema.example"),
        (("ops@cinema.example", "127.0.0.1"), "127.0.0.1"),
        (("ops@cinema.example",), ""),
    ],
)
def test_a_certificate_s_name(tmp_path: Path, names: tuple[str, ...], expected: str) -> None:
    """Is one that a server can have, wherever it stands: the handshake with another fails, and a probe restarts it."""
    files = write(tmp_path, *Authority().issue(*names))
    assert name_in(files["tls_certificate"]) == expected
