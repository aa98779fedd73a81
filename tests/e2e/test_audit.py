"""`cinema audit`, as an operator calls it."""

import json
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from tests.e2e.conftest import CINEMA, SECONDS, environment, run, run_here, serving


def test_beside_a_running_server(demo_folder: Path) -> None:
    """0 and a table while all is well; 1, the rule and its figures as JSON when it is not."""
    with serving(demo_folder, "--demo") as server:
        server.wait_for('"serving"')
        sound = run(demo_folder, "audit")
        assert (sound.returncode, sound.stderr) == (0, "")
        assert "       0  a seat has one owner\n" in sound.stdout
        assert sound.stdout.endswith("No breaches.\n")
        with closing(sqlite3.connect(demo_folder / "cinema.db", isolation_level=None)) as raw:
            raw.execute(
                "UPDATE showtime SET taken_seats = 7 WHERE showtime_id = (SELECT min(showtime_id) FROM showtime)"
            )
        broken = run_here(demo_folder, "audit", "--json")
        assert server.stop() == 0
    assert broken.returncode == 1
    report = json.loads(broken.stdout)
    (finding,) = (each for each in report["findings"] if each["breaches"])
    assert finding["rule"] == "the taken seats of a showtime are counted right"
    assert [each["taken_seats"] for each in finding["examples"]] == [7]
    assert report["breaches"] == 1


def test_without_a_database(tmp_path: Path) -> None:
    """It says so in one line, and makes none."""
    missing = run_here(tmp_path, "audit")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert missing.stderr == "cinema: CINEMA_DATABASE_URL: there is no file cinema.db\n"
    assert list(tmp_path.iterdir()) == []


def test_without_standard_error_and_input(tmp_path: Path) -> None:
    """As with them, but for what it would say there: 1 would mean that an invariant is broken."""
    command = ["/bin/sh", "-c", 'exec "$0" audit 2>&- <&-', str(CINEMA)]
    audit = subprocess.run(  # noqa: S603 (our own program)
        command, cwd=tmp_path, env=environment(), capture_output=True, timeout=SECONDS, check=False
    )
    assert (audit.returncode, audit.stdout) == (2, b"")


def test_of_a_file_that_another_process_has_locked(tmp_path: Path) -> None:
    """It is the database that can't be read, not the folder for the copy that lacks room."""
    assert run_here(tmp_path, "migrate").returncode == 0
    with closing(sqlite3.connect(tmp_path / "cinema.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        ended = run_here(tmp_path, "audit", CINEMA_LONGEST_WAIT_SECONDS="0.2")
        other.execute("ROLLBACK")
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert "TMPDIR" not in line
    assert "locked" in line or "not available" in line
