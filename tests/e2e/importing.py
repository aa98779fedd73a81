"""Files to import, and what an import has made of a database."""

import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.e2e.conftest import run_here

DAY = datetime.now(UTC).date() + timedelta(days=30)
FILES = {
    "movies.csv": (
        "title,runtime_minutes,rating,synopsis\nOrbit of Two,134,PG,\nPaper Kingdoms,88,,A boy folds a city.\n"
    ),
    "cinemas.csv": "name,time_zone\nFilmpalast,Europe/Berlin\nHarbor,America/New_York\n",
    "auditoriums.csv": (
        "cinema,name,rows,areas,wheelchair_spaces\n"
        "Filmpalast,Hall,A: 5+5; B: 4+6; C: 10,front: A; sofa: C1 C2,B1: B2\n"
        "Harbor,Room,A: 8,,\n"
    ),
    "showtimes.csv": (
        "movie,cinema,auditorium,start_time,price,prices,seat_gap_policy\n"
        f"Orbit of Two,Filmpalast,Hall,{DAY} 20:30,,"
        "standard adult: 12.50 EUR; standard child: 8 EUR child pass; front adult: 9 EUR; sofa adult: 18 EUR,ALLOW\n"
        f"Paper Kingdoms,Filmpalast,Hall,{DAY}T15:00+02:00,10.00 EUR,,\n"
        f" Paper  Kingdoms,Harbor,Room,{DAY} 20:30,1000 JPY,,\n"
    ),
}


def write_files(folder: Path) -> None:
    """Write the files."""
    for name, text in FILES.items():
        (folder / name).write_text(text)


def import_(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command, by default with all files."""
    names = [] if any(each.endswith((".csv", ".json")) for each in arguments) else [*FILES]
    return run_here(folder, "import", *(str(folder / each) for each in names), *arguments)


def counts(folder: Path) -> tuple[int, ...]:
    """Return how many movies, cinemas, auditoriums, showtimes, commits and events there are."""
    tables = ("movie", "cinema", "auditorium", "showtime", "commit_log", "event")
    with closing(sqlite3.connect(folder / "cinema.db")) as connection, connection:
        return tuple(connection.execute(f"SELECT count(*) FROM {each}").fetchone()[0] for each in tables)  # noqa: S608


def edit(folder: Path, name: str, before: str, after: str) -> None:
    """Replace a text in a file."""
    text = (folder / name).read_text()
    assert before in text
    (folder / name).write_text(text.replace(before, after))


def database_in(folder: Path) -> str:
    """Return what commands call the database in a folder."""
    return f"sqlite+aiosqlite:///{folder}/cinema.db"
