"""The program as a process: started, called, and stopped with a signal; and its commands without one."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import grpc
import pytest
from cinema.v1 import (
    auth_service_pb2,
    auth_service_pb2_grpc,
    booking_pb2,
    booking_service_pb2,
    booking_service_pb2_grpc,
    showtime_service_pb2,
    showtime_service_pb2_grpc,
)
from click.testing import CliRunner

from cinema_grpc.cli import main
from cinema_grpc.observability import log

CINEMA = Path(sys.executable).parent / "cinema"
SECRET = "0123456789abcdef0123456789abcdef"
SECONDS = 60


def environment(**settings: str) -> dict[str, str]:
    """Return the environment of a process: ours and `settings`, without our variables of the program and of coverage.

    The limits on holds are off unless `settings` has them, since each customer of the load tests stands for many.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CINEMA_", "COVERAGE_"))}
    return {
        **inherited,
        "CINEMA_LISTEN_ADDRESS": "127.0.0.1:0",
        "CINEMA_LOG_FORMAT": "json",
        "CINEMA_SEATS_ON_HOLD_LIMIT": "0",
        "CINEMA_UNPAID_HOLDS_PER_SHOWTIME": "0",
        **settings,
    }


def measured() -> dict[str, str]:
    """Return the settings by which a process counts in the coverage; it then takes half as long again."""
    return {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}


def run(
    folder: Path, *arguments: str, program: Sequence[str] = (str(CINEMA),), **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run `cinema` to its end, or a `program` that does so."""
    return subprocess.run(  # noqa: S603 (our own program)
        [*program, *arguments],
        cwd=folder,
        env=environment(**settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def run_here(
    folder: Path, *arguments: str, stdin: str | IO[bytes] = "", **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run `cinema` to its end without a process of its own, whose start would take longer than all the rest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(log, "set_up_logging", lambda *_: None)  # which is for as long as a process lives
        unset = {name: None for name in os.environ if name.startswith("CINEMA_")}
        ended = CliRunner(env={**unset, **environment(**settings)}).invoke(main, arguments, input=stdin)
    if ended.exception is not None and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    return subprocess.CompletedProcess(arguments, ended.exit_code, ended.stdout, ended.stderr)


@dataclass
class Serving:
    """A server process, and what it has written so far."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    arrival: threading.Condition = field(default_factory=threading.Condition)

    def read(self, stream: Iterator[str]) -> None:
        """Take in what the process writes."""
        for line in stream:
            with self.arrival:
                self.lines.append(line.rstrip("\n"))
                self.arrival.notify_all()

    def wait_for(self, text: str, seconds: float = SECONDS) -> str:
        """Wait for a line with a text in it."""

        def found() -> str | None:
            return next((line for line in self.lines if text in line), None)

        with self.arrival:
            line = self.arrival.wait_for(found, timeout=seconds)
        assert line, f"no line with {text!r} in {self.lines}"
        return line

    @property
    def address(self) -> str:
        """Where it listens."""
        return self.wait_for('"serving"').split('"address":"')[1].split('"')[0]

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(with_signal)
        return self.process.wait(timeout=SECONDS)


@contextmanager
def serving(
    folder: Path, *arguments: str, limits: str = "", program: Sequence[str] = (str(CINEMA),), **settings: str
) -> Iterator[Serving]:
    """Run `cinema serve` in a folder, under limits that a shell sets, such as "ulimit -Sn 200".

    `program` is run in place of `cinema`.
    """
    settings.setdefault("CINEMA_JWT_SECRET", SECRET)
    settings.setdefault("CINEMA_CHANGES_PER_MINUTE", "0")  # tests ask for more than a person does
    settings.setdefault("CINEMA_LONGEST_WAIT_SECONDS", "60")  # the disk of a busy machine may be slow
    process = subprocess.Popen(  # noqa: S603 (our own program)
        ["/bin/sh", "-c", f'{limits}\nexec "$@"', "sh", *program, "serve", *arguments],
        cwd=folder,
        env=environment(**settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    server = Serving(process)
    assert process.stdout is not None
    reader = threading.Thread(target=server.read, args=(process.stdout,), daemon=True)
    reader.start()
    try:
        yield server
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(timeout=SECONDS)
        reader.join(timeout=SECONDS)
        process.stdout.close()


@pytest.fixture(scope="session")
def demo_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that `cinema serve --demo` has filled."""
    folder = tmp_path_factory.mktemp("demo")
    with serving(folder, "--demo") as server:
        server.wait_for("cancel them")
        assert server.stop() == 0
    return folder / "cinema.db"


@pytest.fixture
def demo_folder(demo_database: Path, tmp_path: Path) -> Path:
    """A folder with the demo's database in it, which `cinema serve --demo` goes on with."""
    for file in (demo_database, demo_database.with_name("cinema.db-demo")):
        shutil.copy(file, tmp_path)
    return tmp_path


async def book(server: Serving) -> tuple[str, booking_pb2.Booking]:
    """Register, hold two seats, and return the access token and the booking."""
    async with grpc.aio.insecure_channel(server.address) as channel:
        registered = await auth_service_pb2_grpc.AuthServiceStub(channel).Register(
            auth_service_pb2.RegisterRequest(
                username="ada", password="a long and private one", full_name="Ada", email="ada@example.com"
            ),
            timeout=SECONDS,
        )
        showtimes = showtime_service_pb2_grpc.ShowtimeServiceStub(channel)
        listed = await showtimes.ListShowtimes(showtime_service_pb2.ListShowtimesRequest(page_size=1), timeout=SECONDS)
        booked = await booking_service_pb2_grpc.BookingServiceStub(channel).CreateBooking(
            booking_service_pb2.CreateBookingRequest(showtime_id=listed.showtimes[0].showtime_id, seats=["A1", "A2"]),
            metadata=(("authorization", f"Bearer {registered.tokens.access_token}"),),
            timeout=SECONDS,
        )
        return registered.tokens.access_token, booked.booking
