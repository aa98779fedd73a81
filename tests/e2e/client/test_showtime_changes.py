"""`cinema cancel-showtime` and `move-showtime`: a preview, a question, and just the change that the preview showed."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from cinema_grpc.cli.client.exit_codes import ExitCode
from tests.e2e.client.shop import ROWS, Answer, Person, Shop

REASON = ("--reason", "the projector is broken")


@pytest.fixture
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another time zone of this machine, without a database of time zones."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


in_berlin = pytest.mark.parametrize("zone", ["CET-1CEST,M3.5.0,M10.5.0/3"], ids=["Berlin"], indirect=True)
in_tokyo = pytest.mark.parametrize("zone", ["JST-9"], ids=["Tokyo"], indirect=True)


class TestCancelling:
    def test_it_says_what_that_affects_and_asks(self, shop: Shop, clerk: Person, customer: Person) -> None:
        showtime = shop.new_showtime(ROWS)
        held = customer.json("book", showtime.showtime_id, "A1", "A2")["booking"]["bookingId"]
        customer.text("pay", held, "--token", "tok_visa")
        clerk.text("book", showtime.showtime_id, "B1", "B2")
        asked = clerk.run("cancel-showtime", showtime.showtime_id, *REASON, stdin="n\n")
        assert asked.returncode == ExitCode.FAULT
        affected = "Paid bookings: 1, unpaid: 1, seats: 4, to refund: 25.00 EUR"
        assert f"? {affected}. [y/N]" in asked.stderr
        assert customer.json("bookings", held)["booking"]["status"] == "BOOKING_STATUS_CONFIRMED"
        done = clerk.run("cancel-showtime", showtime.showtime_id, *REASON, stdin="y\n")
        assert done.stdout.startswith(
            f"Cancelled: {showtime.movie.title} ({showtime.cinema.name}, {showtime.auditorium_name}), "
        )
        assert done.stdout.endswith(f"\n{affected}\n")
        assert customer.json("bookings", held)["booking"]["status"] == "BOOKING_STATUS_CANCELLED"
        again = clerk.fails(ExitCode.REFUSED, "cancel-showtime", showtime.showtime_id, *REASON, "-y")
        assert again.startswith("cinema: SHOWTIME_CANCELLED: ")

    def test_a_change_before_the_answer(self, shop: Shop, clerk: Person) -> None:
        """Nothing is cancelled that the question did not name."""
        showtime_id = shop.new_showtime(ROWS).showtime_id
        answer = Answer(lambda: clerk.text("sell", showtime_id, "A1", "A2", "--tender", "cash"))
        ended = clerk.run("cancel-showtime", showtime_id, *REASON, stdin=answer)
        assert ended.returncode == ExitCode.REFUSED
        assert "cinema: SHOWTIME_CHANGED: " in ended.stderr
        assert clerk.json("seats", showtime_id)["showtime"]["status"] == "SHOWTIME_STATUS_SCHEDULED"

    def test_without_a_server(self, clerk: Person) -> None:
        """It does not say that it may have been carried out."""
        line = clerk.fails(ExitCode.UNAVAILABLE, "cancel-showtime", "x", *REASON, "--server", "127.0.0.1:9")
        assert "request-id" not in line

    def test_customers_can_not(self, shop: Shop, customer: Person) -> None:
        showtime_id = shop.new_showtime(ROWS).showtime_id
        line = customer.fails(ExitCode.NOT_ALLOWED, "cancel-showtime", showtime_id, *REASON, "-y")
        assert line.startswith("cinema: ROLE_REQUIRED: ")


class TestMoving:
    def test_a_showtime(self, shop: Shop, clerk: Person) -> None:
        showtime = shop.new_showtime(ROWS)
        clerk.text("sell", showtime.showtime_id, "A1", "A2", "--tender", "cash")
        start = showtime.start_time.ToDatetime(UTC) + timedelta(minutes=30)
        moved = clerk.json("move-showtime", showtime.showtime_id, start.isoformat(), "-y")
        assert datetime.fromisoformat(moved["showtime"]["startTime"]) == start
        assert moved["impact"]["confirmedBookings"] == 1
        text = clerk.text("move-showtime", showtime.showtime_id, start.isoformat(), "--reason", "again", "-y")
        assert text.endswith("\nPaid bookings: 1, seats: 2\n")

    @in_tokyo
    @pytest.mark.usefixtures("zone")
    def test_it_asks_in_the_time_zone_of_the_cinema(self, shop: Shop, clerk: Person) -> None:
        """As the list has the start; whatever the time zone of this machine."""
        showtime = shop.new_showtime(ROWS)
        before = showtime.start_time.ToDatetime(UTC)
        after = before + timedelta(minutes=30)
        asked = clerk.run("move-showtime", showtime.showtime_id, after.isoformat(), stdin="y\n", COLUMNS="200")
        old, new = (f"{each.astimezone(ZoneInfo('Europe/Berlin')):%a %Y-%m-%d %H:%M}" for each in (before, after))
        place = f"{showtime.movie.title} ({showtime.cinema.name}, {showtime.auditorium_name})"
        shown = f"{place}, {old} to {new} (Europe/Berlin)"
        assert f"Move {shown}? " in asked.stderr
        assert asked.stdout.startswith(f"Moved: {shown}\n")
        asked = clerk.run("cancel-showtime", showtime.showtime_id, *REASON, stdin="n\n")
        assert f"Cancel {place}, {new} (Europe/Berlin)? " in asked.stderr

    @pytest.mark.parametrize(
        ("start", "problem"),
        [
            ("tomorrow", "must be a date and a time, such as 2026-05-01T19:00"),
            ("2026-05-01", "must be a date and a time"),
            ("2026-W18-5", "must be a date and a time"),
            ("2026-05-01T19", "must be a date and a time"),
            ("2026-05-01T19:60", "must be a date and a time"),
            ("2030-03-31T02:30", "write 2030-03-31T02:30:00+01:00 or 2030-03-31T02:30:00+02:00"),  # does not exist
            ("2030-10-27 02:30", "write 2030-10-27T02:30:00+01:00 or 2030-10-27T02:30:00+02:00"),  # exists twice
        ],
    )
    @in_berlin
    @pytest.mark.usefixtures("zone")
    def test_a_start_that_is_no_single_moment(self, clerk: Person, start: str, problem: str) -> None:
        """Is refused: a showtime must not be moved to midnight, or by an hour, by mistake."""
        ended = clerk.run("move-showtime", "a showtime", start, "-y")
        assert (ended.returncode, problem in ended.stderr) == (ExitCode.USAGE, True), ended.stderr

    @in_berlin
    @pytest.mark.usefixtures("zone")
    def test_a_start_that_is_a_single_moment(self, clerk: Person) -> None:
        for start in ("2030-03-31T03:30", "2030-10-27T02:30+01:00", "2030-10-27 03:30:15Z"):
            assert "SHOWTIME_NOT_FOUND" in clerk.fails(ExitCode.NOT_FOUND, "move-showtime", "a showtime", start, "-y")
