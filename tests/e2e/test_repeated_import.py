"""`cinema import` of the same files again, after something was cancelled, moved or archived."""

import re
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.e2e.importing import DAY, FILES, counts, database_in, edit, import_, write_files


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
    with closing(sqlite3.connect(folder / "cinema.db")) as connection, connection:
        set_to = change.format(hour=3_600_000_000)
        connection.execute(f"UPDATE showtime SET {set_to} WHERE currency_code = 'JPY'")  # noqa: S608
    ended = import_(folder)
    first, last = ended.stdout.splitlines()
    assert re.fullmatch(rf"showtimes\.csv row 4: showtime [0-9a-f-]{{36}} {note}.*", first)
    assert last.endswith(f" 0 showtimes in {database_in(folder)}; 9 rows were there already.")
    assert (ended.returncode, counts(folder)) == (0, (2, 2, 2, 3, 3, 3))


@pytest.mark.parametrize(
    ("starts", "moves", "cancelled", "later", "created"),
    [
        ((10, 13), {10: 7}, (), (7, 10, 13), {10}),
        ((10, 13, 16), {10: 13, 13: 16, 16: 19}, (), (10, 13, 16), set()),
        ((10, 13, 16), {10: 13, 13: 16, 16: 19}, (), (13, 16, 19), set()),
        ((10, 13, 16), {10: 13, 13: 16, 16: 19}, (), (10, 13, 16, 19), {10}),
        ((10, 13), {10: 13}, (13,), (10, 13), set()),
        ((10, 13), {13: 16}, (10,), (10, 16), set()),
    ],
    ids=["one more", "as before", "as after", "one more, after", "into a cancelled one's", "beside a cancelled one"],
)
def test_a_file_whose_starts_were_left(
    folder: Path,
    starts: tuple[int, ...],
    moves: dict[int, int],
    cancelled: tuple[int, ...],
    later: tuple[int, ...],
    created: set[int],
) -> None:
    """A start that a showtime has left is free for a new one once the file names that showtime at its present start."""
    header, *_ = FILES["showtimes.csv"].splitlines()

    def import_starts(hours: Iterable[int]) -> set[int]:
        rows = [f"Paper Kingdoms,Harbor,Room,{DAY} {hour:02}:00,1000 JPY,," for hour in hours]
        (folder / "showtimes.csv").write_text("\n".join([header, *rows]) + "\n")
        before = ids()
        assert import_(folder).returncode == 0
        return {hour for showtime_id, hour in ids().items() if showtime_id not in before}

    def ids() -> dict[str, int]:
        if not (folder / "cinema.db").exists():
            return {}
        with closing(sqlite3.connect(folder / "cinema.db")) as connection:
            found = connection.execute("SELECT showtime_id, start_time FROM showtime").fetchall()
        zone = ZoneInfo("America/New_York")
        return {name: datetime.fromtimestamp(start / 1_000_000, zone).hour for name, start in found}

    assert import_starts(starts) == {*starts}
    by_start = {hour: showtime_id for showtime_id, hour in ids().items()}
    with closing(sqlite3.connect(folder / "cinema.db")) as connection, connection:
        for hour in cancelled:
            connection.execute("UPDATE showtime SET status = 'CANCELLED' WHERE showtime_id = ?", (by_start[hour],))
        for old, new in moves.items():
            connection.execute(
                "UPDATE showtime SET start_time = start_time + :time, end_time = end_time + :time,"
                " moves = json_array(json_array(0, start_time)) WHERE showtime_id = :showtime_id",
                {"time": (new - old) * 3_600_000_000, "showtime_id": by_start[old]},
            )
    assert import_starts(later) == created
    assert import_starts(later) == set()


def test_another_movie_may_take_the_place_of_a_cancelled_showtime(folder: Path) -> None:
    assert import_(folder).returncode == 0
    with closing(sqlite3.connect(folder / "cinema.db")) as connection, connection:
        connection.execute("UPDATE showtime SET status = 'CANCELLED' WHERE currency_code = 'JPY'")
    edit(folder, "showtimes.csv", " Paper  Kingdoms,Harbor", "Orbit of Two,Harbor")
    assert " 1 showtimes in " in import_(folder).stdout
    assert counts(folder) == (2, 2, 2, 4, 4, 4)


@pytest.mark.parametrize("table", ["movie", "cinema", "auditorium"])
def test_what_is_archived_is_not_created_again(folder: Path, table: str) -> None:
    """Nor does it take new showtimes."""
    assert import_(folder).returncode == 0
    with closing(sqlite3.connect(folder / "cinema.db")) as connection, connection:
        connection.execute(f"UPDATE {table} SET archived = 1")  # noqa: S608
    assert import_(folder).stdout.endswith(f" 0 showtimes in {database_in(folder)}; 9 rows were there already.\n")
    with (folder / "showtimes.csv").open("a") as file:
        file.write(f"Orbit of Two,Harbor,Room,{DAY} 10:00,1200 JPY,,\n")
    problem = f"showtimes.csv row 5: {table}: is archived; choose another, or set archived to false\n"
    assert import_(folder).stderr.startswith(problem)
    assert counts(folder) == (2, 2, 2, 3, 3, 3)
