"""Server processes: starting ours and the yardsticks, and reading what they cost from /proc."""

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from benchmarks.sample import SECRET

ROOT = Path(__file__).parent.parent
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
BYTES_A_PAGE = os.sysconf("SC_PAGE_SIZE")
SECONDS_TO_START = 60.0
YARDSTICK = (sys.executable, "-m", "benchmarks.yardsticks")


class ServerFailed(Exception):
    """A server did not start, or did not live on; the message is the end of its log."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server process that takes calls at `address`."""

    address: str
    process_id: int

    def cpu_seconds(self) -> float:
        """Tell how long it has kept processors busy, in user and system mode, all threads together."""
        fields = Path(f"/proc/{self.process_id}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND

    def memory_mib(self) -> float:
        """Tell how much memory it has resident."""
        return int(Path(f"/proc/{self.process_id}/statm").read_text().split()[1]) * BYTES_A_PAGE / 2**20

    def keep_to(self, processor: int) -> None:
        """Have all its threads, and those that they begin, run on the processor of that number, counted round."""
        processors = sorted(os.sched_getaffinity(0))
        for thread in Path(f"/proc/{self.process_id}/task").iterdir():
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.sched_setaffinity(int(thread.name), {processors[processor % len(processors)]})


@dataclass(frozen=True, slots=True)
class Replicas(Server):
    """Several servers at one database, over which a client spreads its connections; `address` has commas between."""

    others: Sequence[Server]

    def cpu_seconds(self) -> float:
        """Add up what they cost."""
        return Server.cpu_seconds(self) + sum(each.cpu_seconds() for each in self.others)

    def memory_mib(self) -> float:
        """Add up what they have resident."""
        return Server.memory_mib(self) + sum(each.memory_mib() for each in self.others)


def of_kind(kind: str, database_url: str, answers: Mapping[str, bytes]) -> AbstractContextManager[Server]:
    """Run "ours", "empty" or "textbook"."""
    if kind == "ours":
        return ours(database_url)
    return empty(answers) if kind == "empty" else textbook(database_url)


@contextmanager
def ours(database_url: str, **settings: object) -> Iterator[Server]:
    """Run the program on a database, with its default settings but for those given, such as hold_seconds=5.

    Customers here never rest, and each stands for many, so the limits on what one may hold and change are off.
    """
    environment = {
        "CINEMA_DATABASE_URL": database_url,
        "CINEMA_LISTEN_ADDRESS": "127.0.0.1:0",
        "CINEMA_JWT_SECRET": SECRET,
        "CINEMA_LOG_FORMAT": "json",
        "CINEMA_CHANGES_PER_MINUTE": "0",
        "CINEMA_SEATS_ON_HOLD_LIMIT": "0",
        "CINEMA_UNPAID_HOLDS_PER_SHOWTIME": "0",
        **{f"CINEMA_{name.upper()}": str(value) for name, value in settings.items()},
    }
    with running([sys.executable, "-m", "cinema_grpc", "serve"], environment) as server:
        yield server


@contextmanager
def replicas(number: int, database_url: str) -> Iterator[Replicas]:
    """Run the program several times on one database, each on a processor of its own."""
    with ExitStack() as stack:
        first, *others = servers = [stack.enter_context(ours(database_url)) for _ in range(number)]
        for processor, server in enumerate(servers):
            server.keep_to(processor)
        yield Replicas(",".join(each.address for each in servers), first.process_id, others)


@contextmanager
def empty(answers: Mapping[str, bytes]) -> Iterator[Server]:
    """Run the yardstick that does nothing but give ready-made answers, by method."""
    texts = {method: base64.b64encode(answer).decode() for method, answer in answers.items()}
    with running([*YARDSTICK, "empty"], {}, json.dumps(texts)) as server:
        yield server


@contextmanager
def textbook(database_url: str) -> Iterator[Server]:
    """Run the yardstick that books as people usually write it."""
    with running([*YARDSTICK, "textbook"], {}, json.dumps(database_url)) as server:
        yield server


@contextmanager
def running(command: Sequence[str | Path], settings: Mapping[str, str], said: str = "") -> Iterator[Server]:
    """Run a server until the body is done; `said` goes to its standard input."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CINEMA_")}
    with TemporaryFile("w+") as log, TemporaryFile("w+") as standard_input:
        standard_input.write(said)
        standard_input.seek(0)
        with subprocess.Popen(
            command,
            env={**inherited, **settings},
            cwd=ROOT,
            stdin=standard_input,
            stdout=log,
            stderr=log,
        ) as process:
            try:
                yield Server(_address(log, process), process.pid)
                if process.poll() is not None:
                    raise ServerFailed(f"a server ended by itself: {_tail(log)}")
            finally:
                process.kill()


def _address(log: IO[str], process: "subprocess.Popen[bytes]") -> str:
    deadline = time.monotonic() + SECONDS_TO_START
    while process.poll() is None and time.monotonic() < deadline:
        log.seek(0)
        for line in log:
            if line.startswith("{") and line.endswith("}\n") and "address" in (entry := json.loads(line)):
                return str(entry["address"])
        time.sleep(0.05)
    raise ServerFailed(f"a server did not start: {_tail(log)}")


def _tail(log: IO[str]) -> str:
    log.seek(0)
    return log.read()[-2_000:]
