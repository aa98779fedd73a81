"""The file of an SQLite database: whose it is, who may read it, and that one server has it, under any name."""

import os
import signal
import sqlite3
import subprocess
import threading
from contextlib import closing
from pathlib import Path

import pytest

from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.sole_server import FileInUse, lock_file
from tests.e2e.conftest import CINEMA, SECONDS, SECRET, environment, run, run_here, serving

COMMANDS = (("serve",), ("serve", "--no-migrate"), ("migrate",), ("audit",), ("create-staff", "ada"))
PASSWORD = "a long and private one"
SECONDS_TO_REFUSE = 20


def refused(folder: Path, *arguments: str, url: str = "sqlite+aiosqlite:///cinema.db") -> str:
    """Run a command that can't do its work; return the one line that says why."""
    settings = {"CINEMA_JWT_SECRET": SECRET, "CINEMA_STAFF_PASSWORD": PASSWORD, "CINEMA_DATABASE_URL": url}
    settings["CINEMA_LISTEN_ADDRESS"] = "127.0.0.1:0"
    # Ends a server that is not refused. Anything else ignores the signal, which would end the tests.
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    stop = threading.Timer(SECONDS_TO_REFUSE, os.kill, (os.getpid(), signal.SIGTERM))
    stop.start()
    try:
        ended = run_here(folder, *arguments, **settings)
    finally:
        stop.cancel()
        signal.signal(signal.SIGTERM, before)
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("cinema: CINEMA_DATABASE_URL: ")
    return line


def shell(*command: str | Path) -> int:
    """Run a program; return its exit code."""
    return subprocess.run(command, capture_output=True, check=False, timeout=SECONDS).returncode  # noqa: S603 (ours)


def test_one_server_by_whatever_name(tmp_path: Path) -> None:
    """A second one is refused: by a link of either kind, a mount, without the lock file, and after a rename.

    Other commands go on beside it. All files are their owner's alone.
    """
    folder = tmp_path / "data"
    folder.mkdir()
    with serving(folder) as server:
        server.wait_for('"serving"')
        (tmp_path / "hard.db").hardlink_to(folder / "cinema.db")
        (tmp_path / "soft.db").symlink_to(folder / "cinema.db")
        (tmp_path / "mounted.db").touch()
        mounted = os.geteuid() == 0 and shell("mount", "--bind", folder / "cinema.db", tmp_path / "mounted.db") == 0
        try:
            names = ["hard.db", "soft.db", "data/cinema.db", *(["mounted.db"] if mounted else [])]
            for name in names:
                assert "another server uses" in refused(tmp_path, "serve", url=f"sqlite+aiosqlite:///{name}")
            (folder / "cinema.db-server").unlink()
            for name in names:
                assert "another server uses" in refused(tmp_path, "serve", url=f"sqlite+aiosqlite:///{name}")
            made = run(folder, "create-staff", "ada", CINEMA_STAFF_PASSWORD=PASSWORD)
            assert made.returncode == 0, made.stderr
            assert run_here(folder, "audit").returncode == 0
        finally:
            if mounted:
                assert shell("umount", tmp_path / "mounted.db") == 0
        assert {each.name: oct(each.stat().st_mode & 0o777) for each in folder.iterdir()} == {
            "cinema.db": "0o600",
            "cinema.db-journal": "0o600",
            "cinema.db-server": "0o600",
        }
        (folder / "cinema.db").rename(folder / "renamed.db")
        assert "another server uses" in refused(folder, "serve", url="sqlite+aiosqlite:///renamed.db")
        assert server.stop() == 0


def test_a_new_file_in_the_place_of_one_that_is_served(tmp_path: Path, postgresql_url: str) -> None:
    """A second server is refused there too, as it would sell the same seats."""
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/cinema.db")
    with lock_file(database):
        (tmp_path / "cinema.db").rename(tmp_path / "away.db")
        with pytest.raises(FileInUse, match="another server uses"):
            lock_file(database)
    with lock_file(database), lock_file(Database(postgresql_url)), lock_file(Database(postgresql_url)):
        pass


def test_a_file_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "cinema.db").touch(0o640)
    assert run_here(tmp_path, "migrate").returncode == 0
    assert (tmp_path / "cinema.db").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("arguments", COMMANDS)
@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_another_programs_file_is_left_as_it_is(tmp_path: Path, journal: str, arguments: tuple[str, ...]) -> None:
    """To the byte: its journal mode is part of the file."""
    file = tmp_path / "cinema.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute("CREATE TABLE holidays (day TEXT)")
    before = file.read_bytes()
    assert "another program: it holds holidays" in refused(tmp_path, *arguments)
    assert file.read_bytes() == before


@pytest.mark.parametrize("arguments", COMMANDS)
@pytest.mark.parametrize("content", [b"x", b"\0" * 4096, b"SQLite format 3\0" + b"\xff" * 500])
def test_a_file_that_is_no_database(tmp_path: Path, content: bytes, arguments: tuple[str, ...]) -> None:
    file = tmp_path / "cinema.db"
    file.write_bytes(content)
    assert "database" in refused(tmp_path, *arguments)
    assert file.read_bytes() == content


@pytest.mark.parametrize("arguments", COMMANDS)
def test_a_file_that_can_not_be_opened(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """As it can't where its folder is read-only, which would not keep root from it."""
    assert run_here(tmp_path, "migrate").returncode == 0
    (tmp_path / "cinema.db-journal").unlink()
    (tmp_path / "cinema.db-journal").mkdir()
    assert "disk I/O error" in refused(tmp_path, *arguments)


def test_a_path_that_is_too_long_for_sqlite(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["x" * 200] * 3)
    folder.mkdir(parents=True)
    assert "Can't open the file" in refused(folder, "migrate", url=f"sqlite+aiosqlite:///{folder}/cinema.db")


@pytest.mark.parametrize("limit", ["ulimit -f 8", "exec >/dev/full"])
def test_an_audit_without_room(tmp_path: Path, limit: str) -> None:
    """For the copy that it looks over, or for what it has found: 2, since 1 would mean that something is wrong."""
    if "/dev/full" in limit and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    assert run_here(tmp_path, "migrate").returncode == 0
    ended = subprocess.run(  # noqa: S603 (our own program)
        ["/bin/sh", "-c", f'{limit}; exec "$0" audit', CINEMA],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("cinema: TMPDIR: can't copy the database" if "ulimit" in limit else "cinema: [Errno 28]")
