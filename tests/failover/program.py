"""Installed programs, which run for as long as the tests do."""

import os
import signal
import subprocess
from pathlib import Path

SECONDS = 60

# Ends a program when the pipe on its standard input is closed, as it is when the tests end in any way at all.
SUPERVISOR = """
trap '' INT TERM
"$@" >>log 2>&1 &
read -r _
kill -TERM $!
wait $!
"""


class Program:
    """A program that runs in a folder of its own until the tests end, if not before."""

    def __init__(self, as_user: list[str], folder: Path, *arguments: str) -> None:
        self._supervisor = subprocess.Popen(  # noqa: S603 (the system's)
            [*as_user, "/bin/sh", "-c", SUPERVISOR, "sh", *arguments],
            stdin=subprocess.PIPE,
            cwd=folder,
            start_new_session=True,
        )

    def kill(self) -> None:
        """Kill it."""
        supervisor = self._supervisor.pid
        for child in Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
        self.stop()

    def stop(self) -> None:
        """Stop it."""
        assert self._supervisor.stdin is not None
        self._supervisor.stdin.close()
        self._supervisor.wait(SECONDS)
