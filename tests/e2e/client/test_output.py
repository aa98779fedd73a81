"""`cinema` as a client where its output can't be written, such as to a full disk or a broken pipe."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cinema_grpc.cli.client.exit_codes import ExitCode
from tests.e2e.client.shop import ROWS, Person, Shop
from tests.e2e.conftest import CINEMA, SECONDS, environment


@pytest.fixture
def unread() -> Iterator[int]:
    """An output that can't be written."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


def run_into(output: int, person: Person, *command: str, errors: int = subprocess.PIPE) -> tuple[int, str]:
    """Run a command with this output; return its exit code and what it writes to standard error."""
    ended = subprocess.run(  # noqa: S603 (our own program)
        [CINEMA, *command],
        env=environment(CINEMA_SERVER=person.shop.address, XDG_CONFIG_HOME=str(person.folder)),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return ended.returncode, ended.stderr


@pytest.mark.parametrize("output", ["text", "json"])
def test_a_change(shop: Shop, clerk: Person, unread: int, output: str) -> None:
    """Was carried out: the line says so, and how to get its output, and it is done once."""
    sell = ("sell", shop.new_showtime(ROWS).showtime_id, "A1", "--tender", "cash", "-o", output)
    code, line = run_into(unread, clerk, *sell)
    assert code == ExitCode.FAULT, line
    done = "the command was carried out; the same command with --request-id ([-0-9a-f]+) writes it again"
    found = re.search(rf"the output can't be written: Broken pipe \({done}\)", line)
    assert (bool(found), line.count("\n")) == (True, 1), line
    assert found
    assert "A1" in clerk.text(*sell, "--request-id", found[1])


def test_a_change_without_a_request_id(shop: Shop, clerk: Person, unread: int) -> None:
    cancel = ("cancel-showtime", shop.new_showtime(ROWS).showtime_id, "--reason", "no lamp", "-y")
    line = "cinema: the output can't be written: Broken pipe (the command was carried out)\n"
    assert run_into(unread, clerk, *cancel) == (ExitCode.FAULT, line)
    assert run_into(unread, clerk, "logout") == (ExitCode.FAULT, line)


def test_a_list(shop: Shop, clerk: Person, unread: int) -> None:
    """Has changed nothing: it ends without a word, as behind `head`, but says that a disk is full."""
    shop.new_showtime(ROWS)
    for command in (("showtimes",), ("showtimes", "-o", "json"), ("events",)):
        assert run_into(unread, clerk, *command) == (ExitCode.FAULT, "")
    with Path("/dev/full").open("w") as full:
        line = "cinema: the output can't be written: No space left on device\n"
        assert run_into(full.fileno(), clerk, "showtimes") == (ExitCode.FAULT, line)


def test_neither_output_nor_errors(shop: Shop, clerk: Person, unread: int) -> None:
    """The exit code is the same."""
    sell = ("sell", shop.new_showtime(ROWS).showtime_id, "A1", "--tender", "cash")
    assert run_into(unread, clerk, *sell, errors=unread)[0] == ExitCode.FAULT
    assert run_into(unread, clerk, *sell, errors=unread)[0] == ExitCode.REFUSED
