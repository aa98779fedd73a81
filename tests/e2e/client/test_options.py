"""Options of `cinema` as a client that other tests leave out: each makes a difference."""

import json
from pathlib import Path

from cinema_client import Client
from cinema_client.cinema.v1.catalog_pb2 import SeatArea, SeatRow, WheelchairSpace
from cinema_client.cinema.v1.catalog_service_pb2 import CreateCinemaRequest, UpdateCinemaRequest
from cinema_client.cinema.v1.showtime_pb2 import SEAT_GAP_POLICY_REFUSE
from cinema_client.cinema.v1.showtime_service_pb2 import CancelShowtimeRequest
from google.protobuf.field_mask_pb2 import FieldMask

from cinema_grpc.cli.client.exit_codes import ExitCode
from tests.e2e.client.shop import Person, Shop
from tests.e2e.client.watching import watching

ROWS = [SeatRow(label=label, sections=(4,)) for label in "ABC"]


def labels(booking: dict[str, list[dict[str, str]]]) -> list[str]:
    """Return the labels of a booking's seats."""
    return [seat["seat"] for seat in booking["seats"]]


def test_parties(shop: Shop, clerk: Person) -> None:
    """--category, --wheelchair and --split of suggest and book."""
    showtime = shop.new_showtime(
        ROWS,
        categories=("standard", "vip"),
        areas=[SeatArea(category="vip", rows=["C"])],
        wheelchair_spaces=[WheelchairSpace(seat="A1", companion_seats=["A2"])],
    ).showtime_id
    assert clerk.json("suggest", showtime, "2", "--category", "vip")["options"][0]["seats"] == ["C2", "C3"]
    assert clerk.json("suggest", showtime, "2")["options"][0]["seats"] == ["B2", "B3"]
    assert clerk.json("suggest", showtime, "2", "--wheelchair", "1")["options"][0]["seats"] == ["A1", "A2"]

    assert "ACCESSIBLE_ONLY" in clerk.fails(ExitCode.REFUSED, "book", showtime, "A1", "A2")
    booking = clerk.json("book", showtime, "A1", "A2", "--wheelchair", "1")["booking"]
    clerk.text("cancel", booking["bookingId"], "--yes")
    booking = clerk.json("book", showtime, "--best", "2", "--wheelchair", "1")["booking"]
    assert labels(booking) == ["A1", "A2"]
    clerk.text("cancel", booking["bookingId"], "--yes")

    party = ("book", showtime, "--best", "6")
    assert "NO_SEATS_TOGETHER" in clerk.fails(ExitCode.REFUSED, *party)
    assert len(labels(clerk.json(*party, "--split")["booking"])) == 6


def test_counter_sales(shop: Shop, clerk: Person, tmp_path: Path) -> None:
    """--customer, --wheelchair and --allow-gap of sell."""
    showtime = shop.new_showtime(
        ROWS, policy=SEAT_GAP_POLICY_REFUSE, wheelchair_spaces=[WheelchairSpace(seat="A1")]
    ).showtime_id
    sell = ("--tender", "card-terminal", "--reason", "why not")
    assert "SINGLE_SEAT_GAP" in clerk.fails(ExitCode.REFUSED, "sell", showtime, "B2", *sell)
    clerk.text("sell", showtime, "B2", *sell, "--allow-gap")
    assert "ACCESSIBLE_ONLY" in clerk.fails(ExitCode.REFUSED, "sell", showtime, "A1", *sell)
    clerk.text("sell", showtime, "A1", *sell, "--wheelchair")

    (tmp_path / "ada").mkdir()
    ada = Person(shop, tmp_path / "ada")
    options = ("--email", "ada@example.com", "--full-name", "Ada L", "-o", "json")
    user = json.loads(ada.run("register", "ada", *options, CINEMA_PASSWORD="a long private one").stdout)
    assert user["fullName"] == "Ada L"
    clerk.text("sell", showtime, "C1", "C2", *sell, "--customer", user["userId"])
    assert "confirmed  C1 C2  25.00 EUR" in ada.text("bookings")


def test_cinemas(shop: Shop, clerk: Person) -> None:
    """Archived ones only with --archived; a name is no markup."""
    with Client(shop.address) as client:
        client.login("clerk", shop.passwords["clerk"])
        made = [
            client.catalog.CreateCinema(CreateCinemaRequest(name=name, time_zone="Europe/Berlin")).cinema.cinema_id
            for name in ("[bold]Kino[/]", "Old Kino")
        ]
        client.catalog.UpdateCinema(
            UpdateCinemaRequest(cinema_id=made[1], archived=True, update_mask=FieldMask(paths=["archived"]))
        )
    shown, archived = (
        clerk.text("cinemas", "--limit", "100000"),
        clerk.text("cinemas", "--archived", "--limit", "100000"),
    )
    assert f"{made[0]}  [bold]Kino[/]" in shown
    assert made[1] not in shown
    assert f"{made[1]}  Old Kino (archived)" in archived
    assert len(clerk.json("cinemas", "--limit", "1")["cinemas"]) == 1


def test_cancelled_showtimes(shop: Shop, clerk: Person) -> None:
    """They are listed with --cancelled alone, and drawn with the reason."""
    showtime = shop.new_showtime(ROWS)
    with Client(shop.address) as client:
        client.login("clerk", shop.passwords["clerk"])
        client.showtimes.CancelShowtime(CancelShowtimeRequest(showtime_id=showtime.showtime_id, reason="no lamp"))
    of_cinema = ("showtimes", "--cinema", showtime.cinema.cinema_id)
    assert clerk.text(*of_cinema) == "No showtimes.\n"
    assert "cancelled  12.50 EUR" in clerk.text(*of_cinema, "--cancelled")
    assert "CANCELLED: no lamp" in clerk.text("seats", showtime.showtime_id)
    assert clerk.text("watch", showtime.showtime_id).count("CANCELLED: no lamp") == 1  # and ends


def test_following_events(shop: Shop, clerk: Person) -> None:
    """--follow goes on with events as they happen."""
    showtime = shop.new_showtime(ROWS).showtime_id
    command = ("events", "--showtime", showtime, "--follow")
    with watching(shop, *command, XDG_CONFIG_HOME=str(clerk.folder)) as process:
        assert process.stdout is not None
        assert "SHOWTIME_CREATED" in process.stdout.readline()
        clerk.text("sell", showtime, "A1", "--tender", "cash")
        assert "BOOKING_CONFIRMED" in process.stdout.readline()
