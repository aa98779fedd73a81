"""`cinema import` of the same files again, after something was cancelled, moved or archived."""

import re
import sqlite3
from pathlib import Path

import pytest

from tests.e2e.importing import DAY, counts, database_in, edit, import_, write_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files."""
    write_files(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ("status = 'CANCELLED', cancel_time = 0, cancel_reason = 'projector'", "was cancelled, and stays so"),
        ("start_time = start_time + {hour}, moves = json_array(json_array(0, start_time))", "was moved to "),
        ("start_time = start_time - 30 * 24 * {hour}, moves = json_array(json_array(0, start_time))", "was moved to "),
    ],
)
def test_a_showtime_that_was_cancelled_or_moved_is_not_created_again(folder: Path, change: str, note: str) -> None:
    assert import_(folder).returncode == 0
    with sqlite3.connect(folder / "cinema.db") as connection:
        set_to = change.format(hour=3_600_000_000)
        connection.execute(f"UPDATE showtime SET {set_to} WHERE currency_code = 'JPY'")  # noqa: S608
    connection.close()
    ended = import_(folder)
    first, last = ended.stdout.splitlines()
    assert re.fullmatch(rf"showtimes\.csv row 4: showtime [0-9a-f-]{{36}} {note}.*", first)
    assert last.endswith(f" 0 showtimes in {database_in(folder)}; 9 rows were there already.")
    assert (ended.returncode, counts(folder)) == (0, (2, 2, 2, 3, 3, 3))


def test_another_movie_may_take_the_place_of_a_cancelled_showtime(folder: Path) -> None:
    assert import_(folder).returncode == 0
    with sqlite3.connect(folder / "cinema.db") as connection:
        connection.execute("UPDATE showtime SET status = 'CANCELLED' WHERE currency_code = 'JPY'")
    connection.close()
    edit(folder, "showtimes.csv", " Paper  Kingdoms,Harbor", "Orbit of Two,Harbor")
    assert " 1 showtimes in " in import_(folder).stdout
    assert counts(folder) == (2, 2, 2, 4, 4, 4)


@pytest.mark.parametrize("table", ["movie", "cinema", "auditorium"])
def test_what_is_archived_is_not_created_again(folder: Path, table: str) -> None:
    """Nor does it take new showtimes."""
    assert import_(folder).returncode == 0
    with sqlite3.connect(folder / "cinema.db") as connection:
        connection.execute(f"UPDATE {table} SET archived = 1")  # noqa: S608
    connection.close()
    assert import_(folder).stdout.endswith(f" 0 showtimes in {database_in(folder)}; 9 rows were there already.\n")
    with (folder / "showtimes.csv").open("a") as file:
        file.write(f"Orbit of Two,Harbor,Room,{DAY} 10:00,1200 JPY,,\n")
    problem = f"showtimes.csv row 5: {table}: is archived; choose another, or set archived to false\n"
    assert import_(folder).stderr.startswith(problem)
    assert counts(folder) == (2, 2, 2, 3, 3, 3)
