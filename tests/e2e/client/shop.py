"""A server, and `cinema` as its customers and staff call it."""

import io
import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import IO, Any

from cinema_client import Client
from cinema_client.cinema.v1 import catalog_service_pb2, showtime_pb2, showtime_service_pb2
from cinema_client.cinema.v1.catalog_pb2 import SeatRow
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from tests.e2e.conftest import run_here, serving

ROWS = [SeatRow(label="A", sections=(4, 6)), SeatRow(label="B", sections=(10,))]
PASSWORD = "a long and private one"
TWO_THOUSAND = [SeatRow(label=chr(ord("A") + number), sections=(20, 60, 20)) for number in range(20)]


@dataclass
class Shop:
    """A running server.

    Attributes:
        address: Where it listens.
        passwords: Of its accounts, by username.
    """

    address: str
    passwords: dict[str, str]
    _number: int = field(default=0)

    def new_showtime(
        self,
        rows: list[SeatRow],
        ahead: timedelta = timedelta(days=3),
        policy: showtime_pb2.SeatGapPolicy.ValueType = showtime_pb2.SEAT_GAP_POLICY_ALLOW,
        categories: Sequence[str] = ("standard",),
        **auditorium: Any,
    ) -> showtime_pb2.Showtime:
        """Create a showtime in an auditorium of its own. Seats of all categories cost 12.50 EUR, 8.00 for children."""
        self._number += 1
        start = Timestamp()
        start.FromDatetime(datetime.now(UTC) + ahead)
        with Client(self.address) as client:
            client.login("clerk", self.passwords["clerk"])
            movie = client.catalog.CreateMovie(
                catalog_service_pb2.CreateMovieRequest(title="The [bold]Long[/] Wait", runtime=Duration(seconds=7_200))
            ).movie
            cinema = client.catalog.CreateCinema(
                catalog_service_pb2.CreateCinemaRequest(name="Odeon", time_zone="Europe/Berlin")
            ).cinema
            created = client.catalog.CreateAuditorium(
                catalog_service_pb2.CreateAuditoriumRequest(
                    cinema_id=cinema.cinema_id, name=f"Screen {self._number}", rows=rows, **auditorium
                )
            ).auditorium
            request = showtime_service_pb2.CreateShowtimeRequest(
                movie_id=movie.movie_id,
                auditorium_id=created.auditorium_id,
                start_time=start,
                seat_gap_policy=policy,
            )
            for category, (ticket_type, amount) in product(categories, (("adult", 1_250), ("child", 800))):
                line = request.prices.add(category=category, ticket_type=ticket_type)
                line.price.currency_code, line.price.minor_units = "EUR", amount
            return client.showtimes.CreateShowtime(request).showtime


@dataclass
class Person:
    """Someone who calls `cinema` with a configuration folder of their own."""

    shop: Shop
    folder: Path

    def run(self, *arguments: str, stdin: str | IO[bytes] = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command."""
        return run_here(
            self.folder,
            *arguments,
            stdin=stdin,
            **{"CINEMA_SERVER": self.shop.address, "XDG_CONFIG_HOME": str(self.folder), **environment},
        )

    def text(self, *arguments: str, stdin: str = "") -> str:
        """Return what a command writes that succeeds."""
        ended = self.run(*arguments, stdin=stdin)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def json(self, *arguments: str) -> Any:
        """Return what a command writes with -o json."""
        return json.loads(self.text(*arguments, "-o", "json"))

    def fails(self, code: int, *arguments: str, stdin: str | IO[bytes] = "", **environment: str) -> str:
        """Return the one line of a command that fails with an exit code."""
        ended = self.run(*arguments, stdin=stdin, **environment)
        assert (ended.returncode, ended.stdout) == (code, ""), ended.stderr
        (line,) = ended.stderr.splitlines()
        return line

    def sign_in(self, username: str) -> "Person":
        """Sign in to an account of the shop's."""
        ended = self.run("login", username, CINEMA_PASSWORD=self.shop.passwords[username])
        assert ended.returncode == 0, ended.stderr
        return self


class Answer(io.BytesIO):
    """Standard input with answers, by default one y; something happens before they are read."""

    def __init__(self, happens: Callable[[], object], answers: bytes = b"y\n") -> None:
        super().__init__(answers)
        self.happens = happens

    def read1(self, size: int | None = -1) -> bytes:
        self.happens()
        return super().read1(size)


@contextmanager
def open_shop(folder: Path) -> Iterator[Shop]:
    """Run a server on an empty database in a folder, with a customer and a member of staff."""
    made = run_here(folder, "create-staff", "clerk", "--full-name", "Carl Clerk", CINEMA_STAFF_PASSWORD=PASSWORD)
    assert made.returncode == 0, made.stderr
    with serving(folder) as server:
        with Client(server.address) as client:
            client.register("customer", PASSWORD, "Carla Customer", "customer@example.com")
        yield Shop(server.address, {"clerk": PASSWORD, "customer": PASSWORD})
