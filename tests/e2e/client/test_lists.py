"""Lists of `cinema` as a client: whole in JSON, and cut by --limit, never without a word."""

import json
from typing import Any

from cinema_client import Client
from cinema_client.cinema.v1.booking_pb2 import TENDER_CASH
from cinema_client.cinema.v1.box_office_service_pb2 import FindBookingsRequest, SellSeatsRequest
from cinema_client.cinema.v1.catalog_pb2 import SeatRow
from cinema_client.cinema.v1.catalog_service_pb2 import CreateCinemaRequest, ListCinemasRequest
from cinema_client.cinema.v1.showtime_service_pb2 import CancelShowtimeRequest

from cinema_grpc.cli.client.lists import read_list
from tests.e2e.client.shop import ROWS, Person, Shop

MORE = "cinema: more follow; use --limit\n"


def test_what_is_left_out(shop: Shop, clerk: Person) -> None:
    """The text says so, and JSON without --limit leaves nothing out; else it has the token of what follows."""
    showtime_id = shop.new_showtime([SeatRow(label="A", sections=(21,))]).showtime_id
    with Client(shop.address) as client:
        client.login("clerk", shop.passwords["clerk"])
        for number in range(1, 22):
            client.box_office.SellSeats(
                SellSeatsRequest(showtime_id=showtime_id, seats=[f"A{number}"], tender=TENDER_CASH)
            )
        find = ("find", "--showtime", showtime_id)
        whole = clerk.json(*find)
        assert (len(whole["bookings"]), whole["nextPageToken"]) == (21, "")
        part = clerk.json(*find, "--limit", "20")
        assert part["bookings"] == whole["bookings"][:20]
        rest = client.box_office.FindBookings(
            FindBookingsRequest(showtime_id=showtime_id, page_token=part["nextPageToken"])
        )
        assert [each.booking.booking_id for each in rest.bookings] == [whole["bookings"][20]["booking"]["bookingId"]]
        assert clerk.run(*find).stderr == MORE
        assert clerk.run(*find, "--limit", "21").stderr == ""

        client.showtimes.CancelShowtime(CancelShowtimeRequest(showtime_id=showtime_id, reason="no lamp"))
    refunds = ("refunds", "--showtime", showtime_id)
    assert len(clerk.json(*refunds)["refunds"]) == 21
    assert clerk.run(*refunds).stderr == MORE


def test_each_list(shop: Shop, clerk: Person) -> None:
    """Of two entries, --limit 1 shows one and says that more follow."""
    for _ in range(2):
        showtime = shop.new_showtime(ROWS)
        clerk.text("book", showtime.showtime_id, "A1")
    for command in ("cinemas", "showtimes", "bookings"):
        ended = clerk.run(command, "--limit", "1")
        assert (ended.returncode, ended.stderr) == (0, MORE)
        assert clerk.json(command, "--limit", "1")["nextPageToken"]


def test_events(shop: Shop, clerk: Person) -> None:
    """A line of JSON has no token, so standard error says it too; without --limit, JSON has all events."""
    showtime_id = shop.new_showtime(ROWS).showtime_id
    for _ in range(51):
        booking = clerk.json("book", showtime_id, "A1")["booking"]["bookingId"]
        clerk.text("cancel", booking, "--yes")
    events = ("events", "--showtime", showtime_id)
    for options, number, said in (
        ((), 100, MORE),
        (("--limit", "102", "-o", "json"), 102, MORE),
        (("--limit", "103"), 103, ""),
        (("-o", "json"), 103, ""),
    ):
        ended = clerk.run(*events, *options)
        assert (ended.returncode, ended.stdout.count("\n"), ended.stderr) == (0, number, said)
    lines = clerk.text(*events, "-o", "json").splitlines()
    assert json.loads(lines[0])["type"] == "EVENT_TYPE_SHOWTIME_CREATED"


def test_several_pages(shop: Shop) -> None:
    """They are read as one, of which no more is read than is asked for."""
    with Client(shop.address) as client:
        client.login("clerk", shop.passwords["clerk"])
        for number in range(5):
            client.catalog.CreateCinema(CreateCinemaRequest(name=f"Kino {number}", time_zone="Europe/Berlin"))

        def list_two_a_page(request: ListCinemasRequest) -> Any:
            request.page_size = min(request.page_size, 2)
            return client.catalog.ListCinemas(request)

        whole = list(client.pages(client.catalog.ListCinemas, ListCinemasRequest()))
        for limit in (3, 4, len(whole), len(whole) + 1):
            listed = read_list(list_two_a_page, ListCinemasRequest(), limit)
            assert list(listed.cinemas) == whole[:limit]
            assert bool(listed.next_page_token) == (limit < len(whole))
