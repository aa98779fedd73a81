"""Starts the page and all that it needs on loopback: the server with demo data, Envoy, and the page's files.

Run by `make demo-web`, which builds first what this needs. The data are gone when it ends.
"""

import argparse
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).parent
ENVOY_SETTINGS = HERE.parents[1] / "deploy" / "compose" / "envoy.yaml"
PROGRAMS = Path(sys.executable).parent
SECONDS_TO_START = 300
NO_LIMITS_BY_ADDRESS = {  # all browsers have Envoy's address
    "CINEMA_SIGN_IN_FAILURES_OF_ADDRESS": "0",
    "CINEMA_REGISTRATIONS_OF_ADDRESS": "0",
    "CINEMA_LATE_REQUESTS_PER_CONNECTION": "0",
}


class Files(SimpleHTTPRequestHandler):
    """Serves the built page, without a log line for each file."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
        """Log nothing."""


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def envoy_settings(port: int, server_port: int) -> str:
    """Return the settings of deploy/ for one server on this machine."""
    settings = ENVOY_SETTINGS.read_text()
    for before, after in (
        ("{address: 0.0.0.0, port_value: 50051}", f"{{address: 127.0.0.1, port_value: {port}}}"),
        ("{address: replica, port_value: 50051}", f"{{address: 127.0.0.1, port_value: {server_port}}}"),
    ):
        if settings.count(before) != 1:
            raise SystemExit(f"{ENVOY_SETTINGS} should have {before!r} once")
        settings = settings.replace(before, after)
    return settings


class Program:
    """A program that runs in a folder, and writes into a log file there."""

    def __init__(self, folder: Path, *command: str | Path, **settings: str) -> None:
        self._folder = folder
        self._command = command
        self._settings = settings
        self.log = folder / f"{Path(command[0]).name}.log"
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        """Start it, also after it was stopped."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603 (programs of the environment)
                self._command,
                cwd=self._folder,
                env={**os.environ, **self._settings},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        return self.process

    def stop(self) -> None:
        """Stop it."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


Programs = dict[str, Program]


def start_all(folder: Path, port: int) -> Programs:
    """Start the server, and Envoy at a port; return them by their names."""
    server_port = free_port()
    (folder / "envoy.yaml").write_text(envoy_settings(port, server_port))
    settings = {
        **NO_LIMITS_BY_ADDRESS,
        "CINEMA_LISTEN_ADDRESS": f"127.0.0.1:{server_port}",
        "CINEMA_DATABASE_URL": f"sqlite+aiosqlite:///{folder / 'cinema.db'}",
        "CINEMA_JWT_SECRET": secrets.token_hex(32),
    }
    envoy = ("--config-path", "envoy.yaml", "--concurrency", "1", "--disable-hot-restart", "--log-level", "error")
    return {
        "cinema": Program(folder, PROGRAMS / "cinema", "serve", "--demo", **settings),
        "envoy": Program(folder, PROGRAMS / "envoy", *envoy),
    }


def answers(api: str) -> bool:
    """Return whether a call by gRPC-Web gets through."""
    request = urllib.request.Request(  # noqa: S310 (an address of ours)
        f"{api}/cinema.v1.ShowtimeService/ListShowtimes",
        data=bytes(5),  # a frame with an empty message
        headers={"content-type": "application/grpc-web+proto"},
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def check(programs: Programs) -> None:
    """Raise SystemExit with the end of its log if a program has ended."""
    for name, program in programs.items():
        if program.process.poll() is not None:
            lines = program.log.read_text(errors="replace").splitlines()
            raise SystemExit("\n".join([f"{name} ended with code {program.process.returncode}", *lines[-5:]]))


def watch(programs: Programs) -> None:
    """Wait until a program ends, or Ctrl-C."""
    while True:
        check(programs)
        time.sleep(0.5)


def run(page: ThreadingHTTPServer, folder: Path, stack: ExitStack, go_on: Callable[[Programs], None]) -> None:
    """Build the page, start everything, and go on until `go_on` returns or Ctrl-C."""
    port = free_port()
    api = f"http://127.0.0.1:{port}"
    subprocess.run(["npm", "run", "--silent", "build"], cwd=HERE, env={**os.environ, "CINEMA_API": api}, check=True)  # noqa: S607
    programs = start_all(folder, port)
    for program in programs.values():
        stack.callback(program.stop)
    until = time.monotonic() + SECONDS_TO_START
    while not answers(api):
        check(programs)
        if time.monotonic() > until:
            raise SystemExit(f"The server does not answer after {SECONDS_TO_START} s")
        time.sleep(0.2)
    threading.Thread(target=page.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{page.server_port}/ is the page, with demo data. Ctrl-C ends it.", flush=True)
    go_on(programs)


def main(go_on: Callable[[Programs], None] = watch) -> None:
    """Start everything, print the page's address, and end everything on Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8080, help="of the page; 0: any free one (default: 8080)")
    wanted = parser.parse_args().port
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), ExitStack() as stack:
        try:
            page = ThreadingHTTPServer(("127.0.0.1", wanted), partial(Files, directory=HERE / "dist"))
        except OSError as error:
            raise SystemExit(f"Port {wanted}: {error.strerror}. Choose another: make demo-web PORT=8081") from None
        stack.callback(page.server_close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cinema-web-")))
        run(page, folder, stack, go_on)


if __name__ == "__main__":
    main()
