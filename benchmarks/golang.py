"""The programs of benchmarks/go: a server with the textbook transaction, and a client that makes calls."""

import base64
import json
import os
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks.load import Load, Sample
from benchmarks.servers import ROOT, Server, running

FOLDER = ROOT / "benchmarks" / "go"
BUILT = FOLDER / "gen"
COMMANDS = (("buf", "generate"), ("go", "build", "-o", "gen/", "./textbook", "./load"))


def build() -> None:
    """Generate the stubs, and build both programs with the Go that is installed, which fetches modules.

    Raises:
        subprocess.CalledProcessError: A command failed, after its own message.
    """
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))  # buf is in .venv
    for command in COMMANDS:
        subprocess.run(command, cwd=FOLDER, env={**os.environ, "PATH": path, "GOTOOLCHAIN": "local"}, check=True)


def textbook(database_url: str) -> AbstractContextManager[Server]:
    """Run the textbook server on a PostgreSQL database, whose URL is as the settings take it."""
    return running([BUILT / "textbook", database_url.replace("postgresql+asyncpg:", "postgresql:", 1)], {})


def drive(load: Load) -> list[Sample]:
    """Make the calls of a closed loop, each once.

    Raises:
        subprocess.CalledProcessError: The client did not get a connection, after its message.
    """
    calls = [
        {"method": each.method, "request": base64.b64encode(each.request).decode(), "token": each.token}
        for each in load.calls
    ]
    command: list[str | Path] = [BUILT / "load", "-address", load.address, "-in-flight", str(load.in_flight)]
    command += ["-connections", str(load.connections)]
    printed = subprocess.run(command, input=json.dumps(calls), stdout=subprocess.PIPE, text=True, check=True).stdout
    return [
        Sample(number, each["start"], each["seconds"], each["code"], b"")
        for number, each in enumerate(json.loads(printed))
    ]
