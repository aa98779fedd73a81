"""`cinema` as a customer calls it: signing in and buying, in text and JSON."""

import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from cinema_client import Client, errors
from cinema_client.cinema.v1.auth_service_pb2 import RefreshTokensRequest

from cinema_grpc.cli.client.exit_codes import ExitCode
from cinema_grpc.cli.client.servers import TlsFiles, parse_server
from cinema_grpc.cli.client.session import Session
from cinema_grpc.cli.client.token_store import SignIn, TokenStore
from tests.e2e.client.shop import ROWS, TWO_THOUSAND, Answer, Person, Shop
from tests.e2e.client.watching import watching


class TestSigningIn:
    def test_tokens_are_kept_for_their_owner_alone(self, anyone: Person) -> None:
        """In a file of mode 0600, without being written anywhere else; Logout deletes it and ends the session."""
        password = anyone.shop.passwords["customer"]
        user = anyone.run("login", "CUSTOMER", "-o", "json", CINEMA_PASSWORD=password)
        assert json.loads(user.stdout)["username"] == "customer"
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
        session = Session(parse_server(customer.shop.address, TlsFiles()), store, "text")
        with session.client() as client:
            renewed = client.auth.RefreshTokens(RefreshTokensRequest(refresh_token=sign_in.refresh_token)).tokens
        kept = store.load(session.server.url)
        assert kept == SignIn(sign_in.username, renewed.access_token, renewed.refresh_token)
        assert customer.text("bookings") == "No bookings.\n"

    def test_a_long_command_uses_what_others_have_renewed(self, customer: Person) -> None:
        """Its own refresh token was used by another command, so it would end the session."""
        (file,) = (path for path in customer.folder.rglob("*") if path.is_file())
        sign_in = SignIn(**json.loads(file.read_text()))
        session = Session(parse_server(customer.shop.address, TlsFiles()), TokenStore(file.parent), "text")
        with session.client() as long, session.client() as short:
            again = short.auth.RefreshTokens(RefreshTokensRequest(refresh_token=sign_in.refresh_token)).tokens
            short.auth.RefreshTokens(RefreshTokensRequest(refresh_token=again.refresh_token))
            held = long.tokens
            assert held is not None
            long._interceptor.refresh(held)  # as after TOKEN_EXPIRED
            assert held != long.tokens == short.tokens

    def test_login_needs_no_good_tokens(self, customer: Person) -> None:
        """Those of another user are not sent, and damaged ones are replaced."""
        (file,) = (path for path in customer.folder.rglob("*") if path.is_file())
        file.write_text(json.dumps({"username": "eve", "access_token": "two\nlines", "refresh_token": "none"}))
        assert "INTERNAL" in customer.fails(ExitCode.FAULT, "bookings")
        customer.sign_in("customer")
        assert customer.text("bookings") == "No bookings.\n"

    def test_a_prompt_for_the_password(self, anyone: Person) -> None:
        """On standard error, so that JSON stays JSON."""
        password = anyone.shop.passwords["customer"]
        ended = anyone.run("login", "customer", "-o", "json", stdin=f"{password}\n")
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

    def test_what_anyone_may_see_needs_no_good_tokens(self, customer: Person) -> None:
        """Such as those of another user, whose files can't be read, or damaged ones."""
        showtime = customer.shop.new_showtime(ROWS).showtime_id
        (file,) = (path for path in customer.folder.rglob("*") if path.is_file())
        file.write_text("{")
        assert "is damaged" in customer.fails(ExitCode.USAGE, "bookings")
        for command in (("cinemas",), ("showtimes",), ("seats", showtime), ("suggest", showtime, "2")):
            customer.text(*command)
        with watching(customer.shop, "watch", showtime, XDG_CONFIG_HOME=str(customer.folder)) as process:
            assert process.stdout is not None
            assert any("prices" in line for line in process.stdout)

    def test_a_folder_that_can_not_be_used(self, anyone: Person) -> None:
        """Before a session is begun that could not be kept, and as JSON if that is asked for."""
        (anyone.folder / "cinema").write_text("this is no folder")
        login = ("login", "customer")
        line = anyone.fails(ExitCode.USAGE, *login)  # without a prompt
        assert line == f"cinema: {anyone.folder / 'cinema' / 'sign-ins'}: can't be used for tokens: Not a directory"
        error = json.loads(anyone.fails(ExitCode.USAGE, "bookings", "-o", "json"))
        assert "can't be used for tokens" in error["message"]


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
        shop.new_showtime(ROWS)
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
        line = customer.fails(ExitCode.USAGE, "book", showtime, "--best", "2", "--category", "vip")
        assert "best.categories: must be categories that the showtime has: standard" in line
        customer.fails(ExitCode.USAGE, "book", showtime, "--best", "11")

    def test_a_request_id_counts_once(self, shop: Shop, customer: Person) -> None:
        showtime, request_id = shop.new_showtime(ROWS).showtime_id, str(uuid.uuid4())
        first, second = (customer.text("book", showtime, "A1", "--request-id", request_id) for _ in range(2))
        assert first == second
        line = customer.fails(ExitCode.REFUSED, "book", showtime, "A2", "--request-id", request_id)
        assert line.startswith("cinema: REQUEST_ID_REUSED: ")

    def test_a_repeated_cancellation(self, shop: Shop, customer: Person) -> None:
        """It does not ask again: nothing is left to cancel, so there is no quote."""
        showtime, request_id = shop.new_showtime(ROWS).showtime_id, ("--request-id", str(uuid.uuid4()))
        booking = customer.json("book", showtime, "A1")["booking"]["bookingId"]
        assert customer.run("cancel", booking, *request_id, stdin="n\n").returncode == ExitCode.FAULT
        first = customer.text("cancel", booking, *request_id, stdin="y\n")
        assert customer.text("cancel", booking, *request_id) == first
        assert "BOOKING_NOT_CANCELLABLE" in customer.fails(ExitCode.REFUSED, "cancel", booking)

    def test_a_quote_that_changes_before_the_answer(self, shop: Shop, clerk: Person, customer: Person) -> None:
        """It is asked about again: a yes to one refund is no yes to another."""
        showtime = shop.new_showtime(ROWS, ahead=timedelta(hours=13))
        booking = customer.json("book", showtime.showtime_id, "A1", "A2")["booking"]["bookingId"]
        customer.text("pay", booking, "--token", "tok_visa")
        start = showtime.start_time.ToDatetime(UTC) + timedelta(minutes=30)  # which means the full refund
        moved = ("move-showtime", showtime.showtime_id, start.isoformat(), "-y")
        for answers, code in ((b"y\nn\n", ExitCode.FAULT), (b"y\n", ExitCode.OK)):
            ended = customer.run("cancel", booking, "A1", stdin=Answer(lambda: clerk.text(*moved), answers))
            assert ended.returncode == code, ended.stderr
            assert ("6.25 EUR are refunded (50%)" in ended.stderr) == (code == ExitCode.FAULT)
            assert ended.stderr.count("12.50 EUR are refunded (100%)") == 1
        refunds = customer.json("bookings", booking)["booking"]["refunds"]
        assert [(each["seats"], each["percent"]) for each in refunds] == [(["A1"], 100)]

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
        assert anyone.run("seats", showtime, COLUMNS="0").stdout == drawn
