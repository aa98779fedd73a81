"""The program as a process: started, called, and stopped with a signal."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

CINEMA = Path(sys.executable).parent / "cinema"
SECRET = "0123456789abcdef0123456789abcdef"
SECONDS = 60


def environment(**settings: str) -> dict[str, str]:
    """Give the environment of a process: ours, without settings of its own, and these."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CINEMA_")}
    return {**inherited, "CINEMA_LISTEN_ADDRESS": "127.0.0.1:0", "CINEMA_LOG_FORMAT": "json", **settings}


def run(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run `cinema` to its end."""
    return subprocess.run(  # noqa: S603 (our own program)
        [CINEMA, *arguments],
        cwd=folder,
        env=environment(**settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


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

    def wait_for(self, text: str) -> str:
        """Wait for a line with a text in it."""

        def found() -> str | None:
            return next((line for line in self.lines if text in line), None)

        with self.arrival:
            line = self.arrival.wait_for(found, timeout=SECONDS)
        assert line, f"no line with {text!r} in {self.lines}"
        return line

    @property
    def address(self) -> str:
        """Where it listens."""
        return self.wait_for('"serving"').split('"address":"')[1].split('"')[0]

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and give the exit code."""
        self.process.send_signal(with_signal)
        return self.process.wait(timeout=SECONDS)


@contextmanager
def serving(folder: Path, *arguments: str, limits: str = "", **settings: str) -> Iterator[Serving]:
    """Run `cinema serve` in a folder, under limits that a shell sets, such as "ulimit -Sn 200"."""
    settings.setdefault("CINEMA_JWT_SECRET", SECRET)
    settings.setdefault("CINEMA_LONGEST_WAIT_SECONDS", "60")  # the disk of a busy machine may be slow
    process = subprocess.Popen(  # noqa: S603 (our own program)
        ["/bin/sh", "-c", f'{limits}\nexec "$0" serve "$@"', CINEMA, *arguments],
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
