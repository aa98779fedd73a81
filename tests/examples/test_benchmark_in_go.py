"""The programs of benchmarks/go, on a real database: what `make bench SCENARIO=go` compares with."""

import base64
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import pytest
from cinema.v1 import booking_service_pb2

from benchmarks import __main__, golang, sample
from benchmarks.calls import CREATE_BOOKING
from benchmarks.databases import PostgresqlDatabase
from benchmarks.load import Load, codes
from benchmarks.sample import SEAT_PRICE, SampleData
from benchmarks.scenarios import SCENARIOS
from benchmarks.scenarios.create_booking import bookings
from benchmarks.scenarios.replicas import audit
from benchmarks.servers import ROOT, Server

pytestmark = pytest.mark.examples
SHOWTIMES, PAIRS = 3, 150


@pytest.fixture(scope="module")
def built() -> None:
    """Both programs, made from the sources."""
    if not shutil.which("go"):
        pytest.skip("benchmarks/go was not tested: go is not installed")
    golang.build()


@pytest.fixture
def data(postgresql_url: str) -> SampleData:
    """Three showtimes of 150 pairs."""
    database = PostgresqlDatabase(postgresql_url, urlsplit(postgresql_url).path.removeprefix("/"))
    return sample.furnish(database, SHOWTIMES, customers=2)


@pytest.fixture
def textbook(built: None, data: SampleData) -> Iterator[Server]:  # noqa: ARG001 (needs the programs)
    """The server in Go."""
    with golang.textbook(data.database.url) as server:
        yield server


def test_the_textbook_sells_each_seat_once(data: SampleData, textbook: Server) -> None:
    """However many want it at once, and all seats that were acknowledged are in the database."""
    every = bookings(data, 0, SHOWTIMES * PAIRS)
    again = bookings(data, 0, SHOWTIMES * PAIRS)  # with other request_ids
    both = [call for pair in zip(every, again, strict=True) for call in pair]
    samples = golang.drive(Load(textbook.address, both, in_flight=32))
    assert codes(samples) == {"OK": len(every), "FAILED_PRECONDITION": len(every)}
    audit(data.database, len(every))


def test_the_textbook_keeps_a_response_for_each_request_id(data: SampleData, textbook: Server) -> None:
    """As the textbook in Python does."""
    request = booking_service_pb2.CreateBookingRequest(
        showtime_id=data.showtime_ids[0], seats=data.pairs[0], request_id="once"
    )
    with grpc.insecure_channel(textbook.address) as channel:
        create = channel.unary_unary(
            CREATE_BOOKING,
            booking_service_pb2.CreateBookingRequest.SerializeToString,
            booking_service_pb2.CreateBookingResponse.FromString,
        )
        made = create(request).booking
    ((request_id, response),) = data.database.ask("SELECT request_id, response FROM stored_response")
    assert request_id == "once"
    stored = booking_service_pb2.CreateBookingResponse.FromString(base64.b64decode(response)).booking
    assert stored == made
    assert data.database.ask("SELECT booking_id, total_price FROM booking") == [(made.booking_id, 2 * SEAT_PRICE)]
    assert [each.seat for each in made.seats] == list(data.pairs[0])


def test_the_client_keeps_no_more_calls_in_flight_than_told(data: SampleData, textbook: Server) -> None:
    """And makes each call once, with its number, start and time."""
    for in_flight in (1, 3):
        calls = bookings(data, 10 * in_flight, 10 * in_flight)
        samples = golang.drive(Load(textbook.address, calls, in_flight=in_flight, connections=2))
        assert [each.number for each in samples] == list(range(10 * in_flight))
        moments = [(each.start, 1) for each in samples] + [(each.start + each.seconds, -1) for each in samples]
        running = [sum(change for moment, change in moments if moment <= at) for at, _ in moments]
        assert max(running) == in_flight


@pytest.mark.usefixtures("built")
def test_the_sources_are_formatted_and_vetted() -> None:
    """As gofmt and go vet have it."""
    for command in (["gofmt", "-l", "textbook", "load"], ["go", "vet", "./textbook", "./load"]):
        ended = subprocess.run(command, cwd=golang.FOLDER, capture_output=True, text=True, check=False)  # noqa: S603
        assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr


def test_the_scenario_says_that_go_is_missing(tmp_path: Path) -> None:
    """On one line, and runs nothing."""
    ended = subprocess.run(  # noqa: S603 (a command of ours)
        [sys.executable, "-m", "benchmarks", "--scenario", "go", "--report", tmp_path / "report"],
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "The scenario go needs what is not installed: go.\n"
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(
    ("arguments", "database"),
    [
        ([], "sqlite"),
        (["--scenario", "create-booking"], "sqlite"),
        (["--scenario", "go"], "postgresql"),
        (["--scenario", "go", "--scenario", "create-booking"], "postgresql"),
        (["--scenario", "create-booking", "--database", "postgresql"], "postgresql"),
    ],
)
def test_the_database_is_one_that_all_scenarios_are_for(
    arguments: list[str], database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that `make bench SCENARIO=go` needs no DATABASE."""
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
    assert __main__._options().database == database


@pytest.mark.usefixtures("built")
def test_a_run_of_everything_leaves_out_what_lacks_a_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And says so at the end."""
    scenario = SCENARIOS["go"]
    assert __main__._runs_by_default(scenario, quick=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not __main__._runs_by_default(scenario, quick=False)
    __main__._show_left_out(["go", "memory"])
    assert capsys.readouterr().out == "Left out: go, which needs go\nLeft out: memory, which takes long\n"
