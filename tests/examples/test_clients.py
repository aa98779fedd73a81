"""The programs of examples/, generated, built and run against a real server with demo data."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.examples
EXAMPLES = Path(__file__).parents[2] / "examples"
LONGEST_COMMAND_SECONDS = 3600
PLUGINS = "target/plugins"
GENERATE = ("buf", "generate")
EXPECTED = """\
registered {name}-[0-9a-f]{{8}}
listed 3 showtimes
suggested (?P<first>[A-Z]+[0-9]+),(?P<middle>[A-Z]+[0-9]+),(?P<last>[A-Z]+[0-9]+)
refused SINGLE_SEAT_GAP stranded_seats (?P=middle)
booked 3 seats for [1-9][0-9]{{3}} [A-Z]{{3}}
repeated, same booking: true
paid, 3 tickets
watched (?P=first),(?P=middle),(?P=last) (SEAT_STATUS_)?SOLD
cancelled, 100% refunded
watched (?P=first),(?P=middle),(?P=last) (SEAT_STATUS_)?AVAILABLE
"""
"""What each program prints. Without the seat in the middle, a booking would strand it."""


@dataclass(frozen=True, slots=True)
class Example:
    """A program of a folder of examples/.

    Attributes:
        name: Of the folder.
        tools: Programs that it needs.
        build: Commands that generate, check and build it.
        run: The command that runs it, without the server's address.
    """

    name: str
    tools: tuple[str, ...]
    build: tuple[tuple[str, ...], ...]
    run: tuple[str, ...]


CLIENTS = (
    Example(
        "go", ("go",), (GENERATE, ("go", "vet", "./..."), ("go", "build", "-o", "gen/buyseats", ".")), ("gen/buyseats",)
    ),
    Example(
        "typescript",
        ("node", "npm"),
        (("npm", "ci", "--no-audit", "--no-fund"), ("npm", "run", "generate"), ("npm", "run", "build")),
        ("npm", "--silent", "start"),
    ),
    Example(
        "java",
        ("mvn", "java"),
        (("mvn", "--batch-mode", "--quiet", "compile"),),
        ("mvn", "--batch-mode", "--quiet", "exec:java"),
    ),
    Example(
        "rust",
        ("cargo",),
        (
            (
                *("cargo", "install", "--quiet", "--locked", "--root", PLUGINS),
                *("protoc-gen-prost@0.5.0", "protoc-gen-tonic@0.5.0"),
            ),
            GENERATE,
            ("cargo", "build", "--quiet"),
        ),
        ("target/debug/buyseats",),
    ),
)
DOORS = (
    Example("tickets/go", ("go",), (("go", "vet", "."),), ("go", "test", "-count=1", ".")),
    Example("tickets/node", ("node",), (), ("node", "--test")),
)


def run(example: Example, command: tuple[str, ...], **variables: str) -> str:
    """Run a command in the folder of an example, with buf and the example's own plugins on the PATH."""
    folder = EXAMPLES / example.name
    path = os.pathsep.join((str(folder / PLUGINS / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]))
    ended = subprocess.run(  # noqa: S603 (a command of ours)
        command,
        cwd=folder,
        env={**os.environ, "PATH": path, "GOTOOLCHAIN": "local", **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONGEST_COMMAND_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, f"{command} ended with {ended.returncode}:\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def build(example: Example) -> None:
    """Build an example; skip the test if a tool is missing."""
    if missing := [tool for tool in example.tools if not shutil.which(tool)]:
        pytest.skip(f"examples/{example.name} was not tested: {' and '.join(missing)} not installed")
    for command in example.build:
        run(example, command)


@pytest.mark.parametrize("example", CLIENTS, ids=lambda each: each.name)
def test_each_client_buys_seats_and_cancels(example: Example, address: str) -> None:
    """Register, list, suggest, a refusal with its metadata, book, repeat, pay, watch and cancel."""
    build(example)
    command = (*example.run, f"-Dexec.args={address}") if example.name == "java" else (*example.run, address)
    printed = run(example, command).replace("\x1b[0m", "")  # which Maven writes even into a pipe
    assert re.fullmatch(EXPECTED.format(name=example.name), printed), printed


@pytest.mark.parametrize("example", DOORS, ids=lambda each: each.name)
def test_each_door_knows_valid_codes_from_forgeries(example: Example) -> None:
    """On the test vectors."""
    build(example)
    run(example, example.run)


@pytest.mark.parametrize("folder", ["go", "tickets/go"])
def test_go_is_formatted(folder: str) -> None:
    """As gofmt has it."""
    example = Example(folder, ("gofmt",), (), ("gofmt", "-l", "."))
    build(example)
    assert run(example, example.run) == ""
