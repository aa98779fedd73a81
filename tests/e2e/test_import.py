"""`cinema import`: files of movies, cinemas, auditoriums and showtimes, all of them or nothing."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import pytest
from cinema.v1 import showtime_service_pb2, showtime_service_pb2_grpc

from cinema_grpc.cli import import_catalog
from tests.e2e.client.watching import WITH_CTRL_C
from tests.e2e.conftest import CINEMA, SECONDS, environment, run, run_here, serving
from tests.e2e.importing import DAY, FILES, counts, database_in, edit, import_, write_files

PROJECT = Path(__file__).parents[2]
SHOWTIME = {"movie": "M", "cinema": "C", "auditorium": "A", "start_time": "2026-05-01 20:30"}
LINE = {"category": "standard", "ticket_type": "adult", "price": {"currency_code": "EUR", "minor_units": 1250}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files."""
    write_files(tmp_path)
    return tmp_path


class TestImport:
    def test_what_is_missing_is_created_once(self, folder: Path) -> None:
        """A repetition changes nothing; a further row is added. The audit finds nothing wrong."""
        ended = import_(folder)
        counted = "Created 2 movies, 2 cinemas, 2 auditoriums, 3 showtimes in"
        created = f"{counted} {database_in(folder)}; 0 rows were there already.\n"
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, created, "")
        assert counts(folder) == (2, 2, 2, 3, 3, 3)
        assert import_(folder).stdout.endswith(f" 0 showtimes in {database_in(folder)}; 9 rows were there already.\n")
        with (folder / "showtimes.csv").open("a") as file:
            file.write(f"Orbit of Two,Harbor,Room,{DAY} 10:00,1200 JPY,,\n")
        assert import_(folder).stdout.endswith(f" 1 showtimes in {database_in(folder)}; 9 rows were there already.\n")
        assert counts(folder) == (2, 2, 2, 4, 4, 4)
        assert run_here(folder, "audit").returncode == 0

    def test_a_dry_run_writes_nothing(self, folder: Path) -> None:
        assert run_here(folder, "migrate").returncode == 0
        ended = import_(folder, "--dry-run")
        assert (ended.returncode, ended.stdout[:21]) == (0, "Would create 2 movies")
        assert counts(folder) == (0,) * 6

    async def test_beside_a_running_server(self, folder: Path) -> None:
        """The showtimes can be listed at once, with local times and offsets as moments."""
        with serving(folder) as server:
            address = server.address
            assert run(folder, "import", *FILES).returncode == 0
            async with grpc.aio.insecure_channel(address) as channel:
                stub = showtime_service_pb2_grpc.ShowtimeServiceStub(channel)
                listed = await stub.ListShowtimes(showtime_service_pb2.ListShowtimesRequest(), timeout=SECONDS)
        titles = [(each.movie.title, each.start_time.ToDatetime().hour) for each in listed.showtimes]
        assert len(titles) == 3
        assert ("Paper Kingdoms", 13) in titles

    def test_json(self, folder: Path) -> None:
        """As in docs/operations.md, whose examples are these."""
        page = (PROJECT / "docs/operations.md").read_text().partition("## Import\n")[2].partition("\n## ")[0]
        (example,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
        (folder / "programme.json").write_text(example)
        assert " 1 auditoriums, 1 showtimes in " in import_(folder, str(folder / "programme.json")).stdout
        auditoriums, showtimes = re.findall(r"```csv\n(.*?)```", page, re.DOTALL)
        (folder / "auditoriums.csv").write_text(auditoriums)
        (folder / "showtimes.csv").write_text(showtimes)
        names = [str(folder / each) for each in ("auditoriums.csv", "showtimes.csv")]
        ended = import_(folder, *names)
        assert " 1 auditoriums, 1 showtimes in " in ended.stdout, ended.stderr


BAD: tuple[tuple[str, str, str, str], ...] = (
    ("movies.csv", "134", "two hours", "movies.csv row 2: runtime_minutes: must be a whole number of minutes"),
    ("movies.csv", "134", "0", "movies.csv row 2: runtime: "),
    (
        "movies.csv",
        "Paper Kingdoms",
        "Orbit of Two",
        "movies.csv row 3: title: must differ from that of movies.csv row 2",
    ),
    ("cinemas.csv", "Europe/Berlin", "Europe/Atlantis", "cinemas.csv row 2: time_zone: must be an IANA time zone"),
    ("auditoriums.csv", "A: 5+5", "A 5+5", "auditoriums.csv row 2: rows: must be rows with the seats between aisles"),
    ("auditoriums.csv", "A: 5+5", "A: 5+x", "auditoriums.csv row 2: rows: must be rows"),
    ("auditoriums.csv", "front: A", "front: Z", "auditoriums.csv row 2: areas[0].rows"),
    (
        "auditoriums.csv",
        "Harbor",
        "Port",
        "auditoriums.csv row 3: cinema: there is no cinema 'Port', neither in the files",
    ),
    ("showtimes.csv", "Orbit of Two", "Orbit", "showtimes.csv row 2: movie: there is no movie 'Orbit', neither in"),
    ("showtimes.csv", ",Hall,", ",Cellar,", "showtimes.csv row 2: auditorium: there is no auditorium 'Cellar'"),
    ("showtimes.csv", ",Room,", ",,", "showtimes.csv row 4: auditorium: must be the name of a auditorium"),
    ("showtimes.csv", "12.50 EUR", "12.505 EUR", "showtimes.csv row 2: prices: must be prices by category"),
    ("showtimes.csv", "12.50 EUR", "12.50 EUROS", "showtimes.csv row 2: prices: must be prices by category"),
    ("showtimes.csv", "12.50 EUR", "", "showtimes.csv row 2: prices: must be prices by category"),
    ("showtimes.csv", "12.50 EUR", "12.50", "showtimes.csv row 2: prices: must be prices by category"),
    ("showtimes.csv", "10.00 EUR", "9e9999999 EUR", "showtimes.csv row 3: price: must be an amount"),
    ("showtimes.csv", "sofa adult: 18 EUR", "front child: 1 EUR", "showtimes.csv row 2: prices: "),
    ("showtimes.csv", "10.00 EUR,,", ",,", "showtimes.csv row 3: price: exactly one of price and prices must be set"),
    (
        "showtimes.csv",
        "10.00 EUR,,",
        "10.00 EUR,,SOME",
        "showtimes.csv row 3: seat_gap_policy: must be REFUSE or ALLOW",
    ),
    (
        "showtimes.csv",
        "1000 JPY",
        "1000 JPY cash",
        "showtimes.csv row 4: price: must be an amount and its currency alone",
    ),
    ("showtimes.csv", f"{DAY} 20:30,,", f"{DAY},,", "showtimes.csv row 2: start_time: must be a date and a time"),
    (
        "showtimes.csv",
        f"{DAY} 20:30,,",
        "0001-01-01 20:30,,",
        "showtimes.csv row 2: start_time: must be a date and a time",
    ),
    ("showtimes.csv", "Orbit of Two", "Orbit\0", "showtimes.csv row 2: movie: must be 1 to 200 characters"),
    ("showtimes.csv", f"{DAY} 20:30,,", "2026-01-01 20:30,,", "showtimes.csv row 2: start_time: must be in the future"),
    (
        "showtimes.csv",
        f"{DAY} 20:30,,",
        "2030-03-31 02:30,,",
        "row 2: start_time: is no single moment in Europe/Berlin",
    ),
    (
        "showtimes.csv",
        f"{DAY} 20:30,,",
        f"{DAY}T15:30+02:00,,",
        "row 2: start_time: the auditorium shows showtimes.csv row 3",
    ),
    ("showtimes.csv", ",ALLOW", "", "showtimes.csv row 2: must have 7 cells, as the header, not 6"),
)


@pytest.mark.parametrize(("name", "before", "after", "problem"), BAD, ids=range(len(BAD)))
def test_errors_in_rows(folder: Path, name: str, before: str, after: str, problem: str) -> None:
    """Each is a line with the row and the field, and nothing is written."""
    assert run_here(folder, "migrate").returncode == 0
    edit(folder, name, before, after)
    ended = import_(folder)
    assert (ended.returncode, ended.stdout) == (1, "")
    *lines, last = ended.stderr.splitlines()
    assert any(problem in line for line in lines), lines
    assert last == f"Nothing was imported: {len(lines)} {'error' if len(lines) == 1 else 'errors'}."
    assert counts(folder) == (0,) * 6


@pytest.mark.parametrize(
    ("name", "before", "after", "problem"),
    [
        ("movies.csv", "134", "135", "movies.csv row 2: runtime: differs from what is there"),
        ("cinemas.csv", "Europe/Berlin", "Europe/Paris", "cinemas.csv row 2: time_zone: differs from what is there"),
        ("auditoriums.csv", "A: 8", "A: 9", "auditoriums.csv row 3: rows: differs from what is there"),
        ("showtimes.csv", "10.00 EUR", "11.00 EUR", "showtimes.csv row 3: price: differs from that of showtime "),
        ("showtimes.csv", ",ALLOW", ",", "showtimes.csv row 2: seat_gap_policy: differs from that of showtime "),
        ("showtimes.csv", "T15:00", "T15:10", "showtimes.csv row 3: start_time: the auditorium shows showtime "),
    ],
)
def test_what_is_there_and_differs(folder: Path, name: str, before: str, after: str, problem: str) -> None:
    assert import_(folder).returncode == 0
    edit(folder, name, before, after)
    ended = import_(folder)
    assert (ended.returncode, problem in ended.stderr) == (1, True), ended.stderr
    assert counts(folder) == (2, 2, 2, 3, 3, 3)


def test_archived_entries_and_names_that_two_have(folder: Path) -> None:
    assert import_(folder).returncode == 0
    with closing(sqlite3.connect(folder / "cinema.db")) as connection, connection:
        connection.execute("UPDATE auditorium SET archived = 1 WHERE name = 'Room'")
        connection.execute("INSERT INTO movie SELECT movie_id || 'x', title, runtime, '', '', 0, 0 FROM movie")
    with (folder / "showtimes.csv").open("w") as file:
        file.write("movie,cinema,auditorium,start_time,price\n")
        file.write(f"Orbit of Two,Harbor,Hall,{DAY} 10:00,12 EUR\n")
    ended = import_(folder, str(folder / "showtimes.csv"))
    assert "row 2: movie: 2 of them are called 'Orbit of Two'; rename or archive the others" in ended.stderr


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("movies.txt", "title", "must be a .csv or a .json file"),
        (
            "movies.csv",
            "titel,runtime_minutes\n",
            ": for movies runtime_minutes, title, if wanted rating",
        ),
        ("cinemas.csv", "name;time_zone\n", "; or for cinemas name, time_zone; or for auditoriums"),
        ("movies.csv", 'title,runtime_minutes\n"a,1\n', "is no CSV"),
        ("movies.csv", b"title,runtime_minutes\n\xff,1\n", "must be UTF-8"),
        ("x.json", "{", "is no JSON"),
        ("x.json", "[]", "must be an object with the lists movies, cinemas, auditoriums, showtimes"),
        ("x.json", '{"movies": {}}', "movies must be a list"),
        ("x.json", '{"movies": [], "movies": []}', "an object has 'movies' more than once"),
        ("x.json", '{"movies": [{"title": "A", "title": "B"}]}', "an object has 'title' more than once"),
        ("missing.csv", None, "No such file"),
        ("zeros", None, "must be a .csv or a .json file"),  # before it is read: /dev/zero has no end
    ],
)
def test_files_that_can_not_be_used(tmp_path: Path, name: str, content: str | bytes | None, problem: str) -> None:
    """One line, exit code 2, and no database."""
    if content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    ended = run_here(tmp_path, "import", str(tmp_path / name))
    assert (ended.returncode, problem in ended.stderr) == (2, True), ended.stderr
    assert not (tmp_path / "cinema.db").exists()


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ({"movies": [5]}, "x.json movies row 1: must be an object"),
        ({"movies": [{"titel": "X"}]}, "x.json movies row 1: titel: is no field of movies, which have rating, runtime"),
        ({"movies": [{"title": 5, "runtime": "100s"}]}, "x.json movies row 1: title: "),
        ({"movies": [{"title": "X"}]}, "x.json movies row 1: runtime: "),
        (
            {"showtimes": [SHOWTIME | {"price": {"currency_code": "XAU", "minor_units": 5}}]},
            "x.json showtimes row 1: price.currency_code: must be the ISO 4217 code of a currency",
        ),
        (
            {"showtimes": [SHOWTIME | {"prices": [LINE, LINE]}]},
            "x.json showtimes row 1: prices[1]: must be unique: prices[0] has the same category and ticket type",
        ),
        (
            {"showtimes": [SHOWTIME | {"movie": "\ud800"}]},
            "x.json showtimes row 1: movie: must be 1 to 200 characters, not blank, without control characters",
        ),
        *(
            (
                {"showtimes": [SHOWTIME | {field: value}]},
                f"x.json showtimes row 1: {field}: must not have an infinite number",
            )
            for field, value in (
                ("seat_gap_policy", float("inf")),
                ("seat_gap_policy", "\ud800"),
                ("price", {"\udc00": "EUR"}),
            )
        ),
    ],
)
def test_rows_of_json(tmp_path: Path, rows: dict[str, Any], problem: str) -> None:
    (tmp_path / "x.json").write_text(json.dumps(rows))
    ended = run_here(tmp_path, "import", str(tmp_path / "x.json"))
    assert (ended.returncode, problem in ended.stderr) == (1, True), ended.stderr


def test_more_rows_than_one_import_may_have(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_catalog, "MAX_ROWS", 8)
    ended = import_(folder)
    said = "cinema: one import has at most 8 rows, and showtimes.csv row 4 is one more; split the files\n"
    assert (ended.returncode, ended.stderr, (folder / "cinema.db").exists()) == (2, said, False)
    monkeypatch.setattr(import_catalog, "MAX_ROWS", 9)
    assert import_(folder).returncode == 0


def test_ctrl_c(tmp_path: Path) -> None:
    """The exit code is not that of wrong rows, after which nothing was imported."""
    pipe = tmp_path / "movies.csv"
    os.mkfifo(pipe)
    command: list[str | Path] = [sys.executable, "-c", WITH_CTRL_C, CINEMA, "import", pipe]
    with subprocess.Popen(command, env=environment(), cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603 (our own program)
        with pipe.open("w") as movies:  # it waits for the command to read
            process.send_signal(signal.SIGINT)
            movies.write(FILES["movies.csv"])
        _, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, errors) == (130, "cinema: interrupted; what it had begun may have been carried out\n")
