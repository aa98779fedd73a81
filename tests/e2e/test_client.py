"""`cinema` as a client of a running server: customers and staff, text and JSON, errors and their exit codes."""

import json
import shutil
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cinema_client import Client, errors
from cinema_client.cinema.v1 import booking_pb2, box_office_service_pb2, event_pb2, showtime_pb2
from cinema_client.cinema.v1.auth_service_pb2 import RefreshTokensRequest
from cinema_client.cinema.v1.catalog_pb2 import SeatRow
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

from cinema_grpc.cli.client import arguments, events, staff
from cinema_grpc.cli.client.exit_codes import ExitCode
from cinema_grpc.cli.client.servers import parse_server
from cinema_grpc.cli.client.session import Session
from cinema_grpc.cli.client.token_store import SignIn, TokenStore
from cinema_grpc.cli.commands import SALES_GROUPS
from tests.e2e.shop import TWO_THOUSAND, Person, Shop, open_shop

ROWS = [SeatRow(label="A", sections=(4, 6)), SeatRow(label="B", sections=(10,))]


@pytest.fixture(scope="module")
def shop(demo_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A running server."""
    folder = tmp_path_factory.mktemp("shop")
    shutil.copy(demo_database, folder)
    with open_shop(folder) as shop:
        yield shop


@pytest.fixture
def anyone(shop: Shop, tmp_path: Path) -> Person:
    """Someone who is not signed in."""
    (tmp_path / "anyone").mkdir()
    return Person(shop, tmp_path / "anyone")


@pytest.fixture
def customer(shop: Shop, tmp_path: Path) -> Person:
    """A new customer, who is signed in."""
    (tmp_path / "customer").mkdir()
    person = Person(shop, tmp_path / "customer")
    name = f"ada-{uuid.uuid4().hex[:12]}"
    ended = person.run(
        "register", name, "--email", f"{name}@example.com", "--full-name", "Ada", CINEMA_PASSWORD="a long private one"
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"signed in to http://{shop.address} as {name} (customer)\n"
    return person


@pytest.fixture
def clerk(shop: Shop, tmp_path: Path) -> Person:
    """A member of staff, who is signed in."""
    (tmp_path / "clerk").mkdir()
    return Person(shop, tmp_path / "clerk").sign_in("demo-staff")


class TestSigningIn:
    def test_tokens_are_kept_for_their_owner_alone(self, anyone: Person) -> None:
        """In a file of mode 0600, without being written anywhere else; Logout deletes it and ends the session."""
        password = anyone.shop.passwords["demo-customer"]
        user = anyone.run("login", "DEMO-customer", "-o", "json", CINEMA_PASSWORD=password)
        assert json.loads(user.stdout)["username"] == "demo-customer"
        (file,) = (path for path in anyone.folder.rglob("*") if path.is_file())
        assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        kept = json.loads(file.read_text())
        assert kept["refresh_token"] not in user.stdout + user.stderr
        assert anyone.text("bookings") == "No bookings.\n"

        assert anyone.text("logout") == f"signed out of http://{anyone.shop.address}\n"
        assert not file.exists()
        assert anyone.text("logout") == f"you were not signed in to http://{anyone.shop.address}\n"
        with Client(anyone.shop.address) as client, pytest.raises(errors.RefreshTokenInvalid):
            client.auth.RefreshTokens(RefreshTokensRequest(refresh_token=kept["refresh_token"]))

    def test_tokens_that_a_call_renews_are_kept(self, customer: Person) -> None:
        """The client renews expired ones; the next command has the new ones."""
        (file,) = (path for path in customer.folder.rglob("*") if path.is_file())
        sign_in = SignIn(**json.loads(file.read_text()))
        store = TokenStore(file.parent)
        session = Session(parse_server(customer.shop.address, None), store, "text")
        with session.client() as client:
            renewed = client.auth.RefreshTokens(RefreshTokensRequest(refresh_token=sign_in.refresh_token)).tokens
        kept = store.load(session.server.url)
        assert kept == SignIn(sign_in.username, renewed.access_token, renewed.refresh_token)
        assert customer.text("bookings") == "No bookings.\n"

    def test_a_prompt_for_the_password(self, anyone: Person) -> None:
        """On standard error, so that JSON stays JSON."""
        password = anyone.shop.passwords["demo-customer"]
        ended = anyone.run("login", "demo-customer", "-o", "json", stdin=f"{password}\n")
        assert json.loads(ended.stdout)["role"] == "ROLE_CUSTOMER"
        assert ended.stderr.startswith("Password: ")

    def test_another_server_gets_no_tokens(self, customer: Person) -> None:
        """They are kept by the address as it is given."""
        port = customer.shop.address.rpartition(":")[2]
        line = customer.fails(ExitCode.SIGN_IN, "bookings", "--server", f"localhost:{port}")
        assert line.startswith("cinema: TOKEN_MISSING: ")

    def test_a_file_that_others_can_read(self, customer: Person) -> None:
        (file,) = (path for path in customer.folder.rglob("*") if path.is_file())
        file.chmod(0o640)
        assert "chmod 600" in customer.fails(ExitCode.USAGE, "bookings")


class TestBuying:
    def test_from_the_list_to_the_refund(self, shop: Shop, anyone: Person, customer: Person) -> None:
        """Each step in text, as people read it."""
        showtime = shop.new_showtime(ROWS).showtime_id
        day = f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%d}"
        listed = anyone.text("showtimes", "--from", day, "--limit", "100000")
        assert showtime in listed
        assert "The [bold]Long[/] Wait" in listed  # a title is no markup
        assert "A   1  2  3  4    5  6  7  8  9 10 A" in anyone.text("seats", showtime)
        assert anyone.text("suggest", showtime, "3").splitlines()[1].split()[:5] == ["B4", "B5", "B6", "37.50", "EUR"]

        booked = customer.text("book", showtime, "a1=adult", "A2=child")
        booking = booked.split()[1]
        assert f"Booking {booking} is reserved\n" in booked
        assert "total      20.50 EUR" in booked
        assert " ~~ ~~  3  4 " in anyone.text("seats", showtime)
        assert "is confirmed\n" in customer.text("pay", booking, "--token", "tok_visa")
        shown = customer.text("bookings", booking)
        assert [line[:7] for line in shown.splitlines()[-2:]] == ["A1: HB0", "A2: HB0"]  # the codes of the tickets
        assert customer.text("bookings").splitlines()[1].split() == [booking, "confirmed", "A1", "A2", "20.50", "EUR"]

        quote = customer.text("cancel", booking, "A2", "--quote")
        assert quote.startswith("8.00 EUR are refunded (100%), until ")
        asked = customer.run("cancel", booking, "A2", stdin="n\n")
        assert (asked.returncode, "Cancel A2? [y/N]" in asked.stderr) == (ExitCode.FAULT, True)
        assert "Refund of 8.00 EUR for A2" in customer.text("cancel", booking, "a2", stdin="y\n")
        assert "is cancelled\n" in customer.text("cancel", booking, "--yes")

    def test_json(self, shop: Shop, anyone: Person, customer: Person) -> None:
        """It is that of the messages, with each field."""
        showtime = shop.new_showtime(ROWS).showtime_id
        assert anyone.json("seats", showtime)["seats"][0] == {"seat": "A1", "status": "SEAT_STATUS_AVAILABLE"}
        assert len(anyone.json("suggest", showtime, "2", "--options", "3")["options"]) == 3
        assert len(anyone.json("showtimes", "--limit", "2")["showtimes"]) == 2
        booking = customer.json("book", showtime, "B1")["booking"]
        assert (booking["status"], booking["cancelReason"]) == ("BOOKING_STATUS_RESERVED", "")
        assert customer.json("bookings", booking["bookingId"])["booking"] == booking
        assert [each["bookingId"] for each in customer.json("bookings", "--status", "reserved")["bookings"]] == [
            booking["bookingId"]
        ]
        assert customer.json("bookings", "--status", "expired")["bookings"] == []
        assert customer.json("bookings", "--showtime", "another")["bookings"] == []
        assert customer.json("cancel", booking["bookingId"], "--quote")["refundPercent"] == 0
        cancelled = customer.json("cancel", booking["bookingId"], "--yes")["booking"]
        assert cancelled["status"] == "BOOKING_STATUS_CANCELLED"

    def test_the_best_seats(self, shop: Shop, customer: Person) -> None:
        """For a number of people at the default ticket type, or for ticket types; none of another category."""
        showtime = shop.new_showtime(ROWS).showtime_id
        for best, types in (("2", ["adult", "adult"]), ("adult,child", ["adult", "child"])):
            seats = customer.json("book", showtime, "--best", best)["booking"]["seats"]
            assert [seat["ticketType"] for seat in seats] == types
        line = customer.fails(ExitCode.REFUSED, "book", showtime, "--best", "2", "--category", "vip")
        assert line.startswith("cinema: NO_SEATS_TOGETHER: ")
        customer.fails(ExitCode.USAGE, "book", showtime, "--best", "11")

    def test_a_request_id_counts_once(self, shop: Shop, customer: Person) -> None:
        showtime, request_id = shop.new_showtime(ROWS).showtime_id, str(uuid.uuid4())
        first, second = (customer.text("book", showtime, "A1", "--request-id", request_id) for _ in range(2))
        assert first == second
        line = customer.fails(ExitCode.REFUSED, "book", showtime, "A2", "--request-id", request_id)
        assert line.startswith("cinema: REQUEST_ID_REUSED: ")

    def test_filters_of_showtimes(self, shop: Shop, anyone: Person) -> None:
        """Each of them leaves something out."""
        showtime = shop.new_showtime(ROWS)
        identifiers = {
            "--movie": showtime.movie.movie_id,
            "--cinema": showtime.cinema.cinema_id,
            "--auditorium": showtime.auditorium_id,
        }
        for option, identifier in identifiers.items():
            found = anyone.json("showtimes", option, identifier)["showtimes"]
            assert [each["showtimeId"] for each in found] == [showtime.showtime_id]
        of_cinema = ("showtimes", "--cinema", showtime.cinema.cinema_id)
        later, sooner = (f"{showtime.start_time.ToDatetime() + timedelta(days=days):%Y-%m-%d}" for days in (2, -2))
        assert anyone.text(*of_cinema, "--from", later) == "No showtimes.\n"
        assert anyone.text(*of_cinema, "--until", sooner) == "No showtimes.\n"
        assert showtime.showtime_id in anyone.text(*of_cinema, "--from", sooner, "--until", later)

    def test_two_thousand_seats(self, shop: Shop, anyone: Person, customer: Person) -> None:
        """In 80 columns, without colours, since the output is no terminal."""
        showtime = shop.new_showtime(TWO_THOUSAND).showtime_id
        customer.text("book", showtime, "T21", "T22")
        drawn = anyone.text("seats", showtime)
        assert max(map(len, drawn.splitlines())) <= 80
        assert "  21 ~~.......3.........4.........5.........6.........7.........8 80 " in drawn
        assert "1998 of 2000 seats are free" in drawn
        assert "\x1b" not in drawn


class TestStaff:
    def test_selling_finding_and_the_door(self, shop: Shop, clerk: Person) -> None:
        showtime = shop.new_showtime(ROWS, ahead=timedelta(minutes=30)).showtime_id
        options = ("--tender", "complimentary")
        assert "reason" in clerk.fails(ExitCode.USAGE, "sell", showtime, "A1", *options)
        sale = clerk.json("sell", showtime, "a1", "a2", *options, "--reason", "press")["booking"]
        assert sale["sale"]["tender"] == "TENDER_COMPLIMENTARY"
        ticket, other = sale["tickets"]

        for option in (
            ("--booking", sale["bookingId"]),
            ("--ticket-code", ticket["code"]),
            ("--username", "demo-staff", "--limit", "1"),
            ("--showtime", showtime, "--seat", "a2"),
            ("--showtime", showtime, "--status", "confirmed"),
        ):
            assert [each["booking"]["bookingId"] for each in clerk.json("find", *option)["bookings"]] == [
                sale["bookingId"]
            ]
        assert clerk.text("find", "--showtime", showtime, "--seat", "B1") == "No bookings.\n"
        assert clerk.text("find", "--showtime", showtime, "--status", "reserved") == "No bookings.\n"
        assert clerk.text("find", "--email", "demo-staff@example.com") == "No bookings.\n"
        assert "demo-staff, Demo Staff" in clerk.text("find", "--booking", sale["bookingId"])

        door = ("redeem", showtime, "--gate", "north")
        assert clerk.text(*door, ticket["code"], "--check") == "VALID, not redeemed seat A1, adult\n"
        assert clerk.text(*door, stdin=f"{ticket['code']}\n") == "ADMIT seat A1, adult\n"
        assert clerk.fails(ExitCode.REFUSED, *door, ticket["code"]).startswith("cinema: TICKET_ALREADY_REDEEMED: ")
        assert clerk.json(*door, "--ticket", other["ticketId"])["redemption"]["gate"] == "north"

    def test_blocks(self, shop: Shop, clerk: Person) -> None:
        """They are listed, made, released, and sold with --house."""
        showtime = shop.new_showtime(ROWS).showtime_id
        assert clerk.text("block", showtime) == "No seats are blocked.\n"
        guests = ("--kind", "house", "--reason", "guests")
        assert "A1" in clerk.text("block", showtime, "a1", *guests, "--dry-run")
        assert clerk.text("block", showtime) == "No seats are blocked.\n"
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        clerk.text("block", showtime, "a1", "a2", "a3", *guests, "--until", tomorrow)
        (block,) = clerk.json("block", showtime)["blocks"]
        assert (block["seats"], block["reason"]) == (["A1", "A2", "A3"], "guests")
        assert block["releaseTime"][:19] == tomorrow[:19]
        assert clerk.text("block", showtime, "A3", "--release").splitlines()[1].split()[:3] == ["A1", "A2", "house"]
        sell = ("sell", showtime, "A1", "--tender", "cash", "--reason", "guest")
        assert clerk.fails(ExitCode.REFUSED, *sell).startswith("cinema: SEATS_UNAVAILABLE: ")
        assert clerk.json(*sell, "--house")["booking"]["status"] == "BOOKING_STATUS_CONFIRMED"

    def test_events(self, shop: Shop, clerk: Person) -> None:
        """One a line, in text and in JSON, by each filter."""
        showtime = shop.new_showtime(ROWS)
        sale = clerk.json("sell", showtime.showtime_id, "A1", "--tender", "cash")["booking"]["bookingId"]
        of_showtime = ("events", "--showtime", showtime.showtime_id)
        created, sold = (json.loads(line) for line in clerk.text(*of_showtime, "-o", "json").splitlines())
        assert (created["type"], sold["type"]) == ("EVENT_TYPE_SHOWTIME_CREATED", "EVENT_TYPE_BOOKING_CONFIRMED")
        line = clerk.text(*of_showtime, "--type", "booking-confirmed").rstrip()
        assert line.startswith(f"{sold['position']}  ")
        assert line.endswith(f"  BOOKING_CONFIRMED  booking {sale}  A1  12.50 EUR")
        assert clerk.text(*of_showtime, "--after", created["position"]).rstrip() == line
        assert clerk.text("events", "--booking", sale).rstrip() == line
        assert len(clerk.text("events", "--cinema", showtime.cinema.cinema_id).splitlines()) == 2
        assert clerk.text("events", "--limit", "3").count("\n") == 3

    def test_the_report_is_that_of_the_database(self, shop: Shop, clerk: Person, anyone: Person) -> None:
        """By --server or CINEMA_SERVER it is the server's."""
        showtime = shop.new_showtime(ROWS)
        clerk.text("sell", showtime.showtime_id, "A1", "A2", "--tender", "cash")
        cinema = showtime.cinema.cinema_id
        first, last = (f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%d}" for days in (-2, 2))
        period = ("--from", first, "--until", last)
        text = clerk.text("report", cinema, *period, "--by", "tender")
        assert text.splitlines()[3].split() == ["CASH", "EUR", "2", "0", "25.00", "0.00", "0.00", "0", "0"]
        (line,) = clerk.json("report", cinema, *period, "--by", "showtime")["lines"]
        assert (line["key"], line["seatsOnOffer"], line["gross"]["minorUnits"]) == (showtime.showtime_id, 20, "2500")
        csv = clerk.text("report", cinema, *period, "--by", "day", "--csv")
        assert csv.splitlines()[1].split(",")[1:5] == ["EUR", "2", "0", "2500"]
        assert clerk.text("report", cinema, *period, "--movie", "another", "--csv").count("\n") == 1
        assert clerk.text("report", cinema).startswith("Sales of 2")  # the latest day that is over
        line = anyone.fails(ExitCode.SIGN_IN, "report", cinema)
        assert line.startswith("cinema: TOKEN_MISSING: ")


class TestErrors:
    """The exit code says what kind of error it is, and one line on standard error says which."""

    def test_by_kind(self, shop: Shop, anyone: Person, customer: Person, clerk: Person) -> None:
        showtime = shop.new_showtime([SeatRow(label="A", sections=(20,))]).showtime_id
        sale = clerk.json("sell", showtime, "A1", "--tender", "cash")["booking"]["bookingId"]
        assert "seats" in customer.fails(ExitCode.USAGE, "book", showtime, "??")
        assert "TOKEN_MISSING" in anyone.fails(ExitCode.SIGN_IN, "book", showtime, "A2")
        assert "BAD_CREDENTIALS" in anyone.fails(ExitCode.SIGN_IN, "login", "demo-staff", CINEMA_PASSWORD="wrong")
        assert "NOT_BOOKING_OWNER" in customer.fails(ExitCode.NOT_ALLOWED, "bookings", sale)
        assert "ROLE_REQUIRED" in customer.fails(ExitCode.NOT_ALLOWED, "sell", showtime, "A2", "--tender", "cash")
        assert "SHOWTIME_NOT_FOUND" in anyone.fails(ExitCode.NOT_FOUND, "seats", "none")
        assert "SEATS_UNAVAILABLE" in customer.fails(ExitCode.REFUSED, "book", showtime, "A1")
        customer.text("book", showtime, *(f"A{number}" for number in range(2, 12)))
        assert "HOLD_LIMIT" in customer.fails(ExitCode.TOO_MANY, "book", showtime, "A12")

    def test_a_payment_that_is_declined(self, shop: Shop, customer: Person) -> None:
        booking = customer.text("book", shop.new_showtime(ROWS).showtime_id, "A1").split()[1]
        assert "PAYMENT_DECLINED" in customer.fails(ExitCode.REFUSED, "pay", booking, "--token", "tok_declined")

    def test_no_server(self, customer: Person) -> None:
        """A change says how to repeat it."""
        assert "UNAVAILABLE" in customer.fails(ExitCode.UNAVAILABLE, "showtimes", "--server", "127.0.0.1:9")
        line = customer.fails(ExitCode.UNAVAILABLE, "book", "s", "A1", CINEMA_SERVER="127.0.0.1:9")
        assert "--request-id " in line

    def test_as_json(self, anyone: Person) -> None:
        line = json.loads(anyone.fails(ExitCode.NOT_FOUND, "seats", "none", "-o", "json"))
        assert (line["exitCode"], line["reason"], line["metadata"]) == (
            ExitCode.NOT_FOUND,
            "SHOWTIME_NOT_FOUND",
            {"showtime_id": "none"},
        )

    @pytest.mark.parametrize(
        ("options", "hint"),
        [
            (("book", "s"), "name SEATS"),
            (("book", "s", "A1", "--best", "2"), "name SEATS"),
            (("book", "s", "A1", "--split"), "need --best"),
            (("book", "s", "A1=child", "A2"), "to each seat"),
            (("block", "s", "--release"), "name the SEATS"),
            (("block", "s", "A1"), "--kind"),
            (("block", "s", "A1", "--release", "--kind", "house"), "--kind"),
            (("showtimes", "--from", "tomorrow"), "must be a date or a time"),
            (("showtimes", "--server", "here"), "must be HOST:PORT"),
            (("seats", "\udce9"), "must be UTF-8"),
        ],
    )
    def test_usage(self, anyone: Person, options: tuple[str, ...], hint: str) -> None:
        ended = anyone.run(*options)
        assert (ended.returncode, hint in ended.stderr) == (ExitCode.USAGE, True), ended.stderr


@pytest.mark.parametrize(
    ("enum", "choices"),
    [
        (booking_pb2.BookingStatus, arguments.BOOKING_STATUSES),
        (booking_pb2.Tender, staff.TENDERS),
        (showtime_pb2.SeatBlockKind, staff.BLOCK_KINDS),
        (event_pb2.EventType, events.EVENT_TYPES),
        (box_office_service_pb2.SalesGroup, SALES_GROUPS),
    ],
)
def test_choices_are_the_contract_s(enum: EnumTypeWrapper, choices: tuple[str, ...]) -> None:
    """An option that names values of an enum has all of them."""
    zero, *names = enum.keys()
    prefix = zero.removesuffix("UNSPECIFIED")
    assert [name.removeprefix(prefix).lower().replace("_", "-") for name in names] == list(choices)
