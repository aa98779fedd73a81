"""Puts known bugs back, one at a time, into a copy of the project, and checks that its tests notice each."""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click

from tests.mutations.catalogue import MUTATIONS
from tests.mutations.mutation import Mutation
from tests.postgresql import PostgresServer

ROOT = Path(__file__).parents[2]
SECONDS = 240
"""How long the tests of one bug may take."""
SECONDS_OF_ALL = 1_800
"""How long the tests of all bugs may take together."""
PASSED, FAILED = 0, 1
"""pytest's exit codes for tests that ran; any other means that something else went wrong."""


class NotApplicable(Exception):
    """The code has changed, so a mutation no longer puts its bug back."""


def apply(mutation: Mutation, folder: Path) -> None:
    """Put a bug into a copy of the project.

    Raises:
        NotApplicable: The text to be replaced is not there exactly once, or the result is no valid Python.
    """
    for edit in mutation.edits:
        file = folder / edit.path
        text = file.read_text() if file.exists() else ""
        if text.count(edit.old) != 1:
            raise NotApplicable(f"{mutation.name}: {text.count(edit.old)} times in {edit.path}, not once:\n{edit.old}")
        changed = text.replace(edit.old, edit.new)
        if file.suffix == ".py":
            try:
                compile(changed, edit.path, "exec")
            except SyntaxError as error:
                raise NotApplicable(f"{mutation.name}: {edit.path} is not valid Python then: {error}") from error
        file.write_text(changed)


def copy_project(folder: Path) -> None:
    """Copy the files that git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def environment(folder: Path, database_url: str) -> dict[str, str]:
    """Return an environment in which Python imports the copy, also in servers of tests, and caches no bytecode.

    Random tests get a fixed seed, so a bug that was noticed once is always noticed.
    """
    return {
        **os.environ,
        "PYTHONPATH": f"{folder}{os.pathsep}{folder / 'generated'}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "CINEMA_TEST_DATABASE_URL": database_url,
        "CINEMA_TEST_SEED": "1",
    }


def run_tests(folder: Path, tests: Sequence[str], database_url: str, seconds: int = SECONDS) -> tuple[int | None, str]:
    """Run tests up to the first that fails; return pytest's exit code, None if they never end, and the output."""
    options = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--no-header", "--tb=line", "--show-capture=no"]
    process = subprocess.Popen(  # noqa: S603 (our own tests)
        [sys.executable, "-m", "pytest", *options, *tests],
        cwd=folder,
        env=environment(folder, database_url),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        printed, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # with the servers that the tests have started
        return None, process.communicate()[0]
    return process.returncode, printed


def check_sound(folder: Path, mutations: Sequence[Mutation], database_url: str) -> None:
    """Check that the tests use the copy, and that they pass as long as there is no bug in it."""
    where = subprocess.run(
        [sys.executable, "-c", "import cinema_grpc; print(cinema_grpc.__file__)"],
        cwd=folder.parent,
        env=environment(folder, database_url),
        capture_output=True,
        text=True,
        check=True,
    )
    if not where.stdout.startswith(str(folder)):
        sys.exit(f"the tests would not use the copy in {folder}, but {where.stdout}")
    tests = sorted({test for each in mutations for test in each.tests})
    code, printed = run_tests(folder, tests, database_url, SECONDS_OF_ALL)
    if code != PASSED:
        sys.exit(f"without any bug the tests should pass:\n{printed}")


def judge(mutation: Mutation, folder: Path, database_url: str) -> tuple[bool, str]:
    """Put a bug in, run its tests, and take it out again; return whether a test noticed, and which."""
    try:
        apply(mutation, folder)
        code, printed = run_tests(folder, mutation.tests, database_url)
    except NotApplicable as error:
        return False, f"NOT APPLICABLE  {error}"
    finally:
        for edit in mutation.edits:
            shutil.copy2(ROOT / edit.path, folder / edit.path)
    noticed = re.search(r"^FAILED (\S+)", printed, re.MULTILINE)
    if code == FAILED and noticed:
        return True, noticed[1]
    return False, f"{'NOT NOTICED' if code == PASSED else 'BROKEN TESTS'}\n{printed[-2_000:]}"


def main() -> int:
    """Try all bugs, or those whose name contains a text; exit with 0 if each was noticed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("text", nargs="?", default="", help="only bugs with this text in their name")
    wanted = [each for each in MUTATIONS if parser.parse_args().text in each.name]
    missed = 0
    server = PostgresServer()
    server.start()
    try:
        with tempfile.TemporaryDirectory(prefix="mutations") as name:
            folder = Path(name).resolve() / "copy"
            copy_project(folder)
            check_sound(folder, wanted, server.url())
            for mutation in wanted:
                start = time.monotonic()
                noticed, detail = judge(mutation, folder, server.url())
                missed += not noticed
                click.echo(f"{mutation.name}: {detail} ({time.monotonic() - start:.0f} s)")
    finally:
        server.close()
    click.echo(f"{len(wanted) - missed} of {len(wanted)} known bugs were noticed")
    return bool(missed) or not wanted


if __name__ == "__main__":
    sys.exit(main())
