"""`cinema` as the staff call it: the counter, the door, events and the report."""

import json
import re
import time
import uuid
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from cinema_grpc.cli.client import report
from cinema_grpc.cli.client.exit_codes import ExitCode
from tests.e2e.client.shop import ROWS, Person, Shop


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
            ("--username", "clerk", "--limit", "1"),
            ("--showtime", showtime, "--seat", "a2"),
            ("--showtime", showtime, "--status", "confirmed"),
        ):
            assert [each["booking"]["bookingId"] for each in clerk.json("find", *option)["bookings"]] == [
                sale["bookingId"]
            ]
        assert clerk.text("find", "--showtime", showtime, "--seat", "B1") == "No bookings.\n"
        assert clerk.text("find", "--showtime", showtime, "--status", "reserved") == "No bookings.\n"
        assert clerk.text("find", "--email", "clerk@example.com") == "No bookings.\n"
        assert "clerk, Carl Clerk" in clerk.text("find", "--booking", sale["bookingId"])

        door = ("redeem", showtime, "--gate", "north")
        assert clerk.text(*door, ticket["code"], "--check") == "VALID, not redeemed seat A1, adult\n"
        assert clerk.text(*door, stdin=f"{ticket['code']}\n") == "ADMIT seat A1, adult\n"
        assert clerk.fails(ExitCode.REFUSED, *door, ticket["code"]).startswith("cinema: TICKET_ALREADY_REDEEMED: ")
        assert clerk.json(*door, "--ticket", other["ticketId"])["redemption"]["gate"] == "north"

    def test_times_in_errors(self, shop: Shop, clerk: Person, monkeypatch: pytest.MonkeyPatch) -> None:
        """They are in the time zone of this machine, but for those in JSON."""
        showtime = shop.new_showtime(ROWS)
        sale = clerk.json("sell", showtime.showtime_id, "A1", "--tender", "cash")["booking"]
        door = ("redeem", showtime.showtime_id, "--gate", "north", "--ticket", sale["tickets"][0]["ticketId"])
        opens = showtime.start_time.ToDatetime(UTC) - timedelta(hours=2)
        try:
            monkeypatch.setenv("TZ", "JST-9")  # Tokyo, without a database of time zones
            time.tzset()
            line = clerk.fails(ExitCode.REFUSED, *door)
            message = json.loads(clerk.fails(ExitCode.REFUSED, *door, "-o", "json"))["message"]
        finally:
            monkeypatch.undo()
            time.tzset()
        assert opens.astimezone(ZoneInfo("Asia/Tokyo")).isoformat(" ", "seconds") in line
        assert f"{opens:%Y-%m-%dT%H:%M:%S}" in message

    def test_voiding_and_settling(self, shop: Shop, clerk: Person, customer: Person) -> None:
        """A part, then the rest, each with a share of its price; refunds at the counter are paid by hand."""
        showtime = shop.new_showtime(ROWS).showtime_id
        sale = clerk.json("sell", showtime, "A1", "A2", "--tender", "card-terminal")["booking"]["bookingId"]
        void = ("void", sale, "--reason", "ill")
        asked = clerk.run(*void, "a1", "--refund", "30", stdin="n\n")
        assert (asked.returncode, asked.stdout) == (ExitCode.FAULT, "")
        assert "Cancel A1 of this booking, and refund 30%?" in asked.stderr
        part = clerk.json(*void, "a1", "--refund", "30", "--yes")["booking"]
        assert (part["status"], part["cancelReason"]) == ("BOOKING_STATUS_CONFIRMED", "")
        (refund,) = part["refunds"]
        assert (refund["seats"], refund["percent"], refund["amount"]["minorUnits"]) == (["A1"], 30, "375")
        request_id = ("--request-id", str(uuid.uuid4()))
        rest = clerk.run(*void, "--refund", "100", *request_id, stdin="y\n")
        assert "Cancel all seats" in rest.stderr
        assert " is cancelled\n" in rest.stdout
        assert clerk.text(*void, "--refund", "100", "-y", *request_id) == rest.stdout
        assert "BOOKING_NOT_CANCELLABLE" in clerk.fails(ExitCode.REFUSED, *void, "--refund", "100", "-y")
        assert "ROLE_REQUIRED" in customer.fails(ExitCode.NOT_ALLOWED, *void, "--refund", "100", "-y")

        of_showtime = ("refunds", "--showtime", showtime)
        assert [each["refund"]["seats"] for each in clerk.json(*of_showtime)["refunds"]] == [["A2"], ["A1"]]
        assert len(clerk.json(*of_showtime, "--limit", "1")["refunds"]) == 1
        assert clerk.text(*of_showtime, "--status", "completed") == "No refunds.\n"
        owed = clerk.text(*of_showtime, "--status", "pending").splitlines()
        assert [line.split() for line in owed[-3:]] == [
            [refund["refundId"], "pending", "A1", "3.75", "EUR"],
            ["booking", sale],
            ["card", "terminal"],
        ]
        settle = ("settle", refund["refundId"], "--note", "in cash")
        assert "note" in clerk.fails(ExitCode.USAGE, *settle[:-1], "\N{ESCAPE}")
        settled = clerk.json(*settle, *request_id)["refund"]
        assert (settled["refund"]["status"], settled["note"]) == ("REFUND_STATUS_COMPLETED", "in cash")
        assert clerk.json(*settle, *request_id)["refund"] == settled
        assert "REFUND_NOT_OPEN" in clerk.fails(ExitCode.REFUSED, *settle)
        paid = clerk.text(*of_showtime, "--status", "completed")
        assert re.search("^card terminal, settled .*: in cash *$", paid, re.MULTILINE)

    def test_reversing(self, shop: Shop, clerk: Person) -> None:
        """By the code, as an argument or from a scanner, or by the ticket's identifier."""
        showtime = shop.new_showtime(ROWS, ahead=timedelta(minutes=30)).showtime_id
        ticket, _ = clerk.json("sell", showtime, "A1", "A2", "--tender", "cash")["booking"]["tickets"]
        door = ("redeem", showtime, "--gate", "north", "--ticket", ticket["ticketId"])
        reverse = ("reverse", "--reason", "wrong gate")
        by_id = (*reverse, "--ticket", ticket["ticketId"])
        assert "TICKET_NOT_REDEEMED" in clerk.fails(ExitCode.REFUSED, *by_id)
        reversed_ = "Reversed. The ticket of seat A1 is valid.\n"
        clerk.text(*door)
        assert clerk.text(*reverse, ticket["code"]) == reversed_
        clerk.text(*door)
        assert clerk.text(*reverse, stdin=f"{ticket['code']}\r\n") == reversed_
        clerk.text(*door)
        request_id = ("--request-id", str(uuid.uuid4()))
        assert clerk.json(*by_id, *request_id)["ticket"]["status"] == "TICKET_STATUS_VALID"
        assert clerk.text(*by_id, *request_id) == reversed_
        line = clerk.fails(ExitCode.NOT_FOUND, *reverse, "no such code")
        assert line == "cinema: TICKET_NOT_FOUND: no ticket has this code"

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
        assert clerk.text("events", "--limit", "1").count("\n") == 1

    def test_a_report_of_more_than_is_looked_up(
        self, shop: Shop, clerk: Person, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Lines without a title have the identifier."""
        showtime = shop.new_showtime(ROWS)
        clerk.text("sell", showtime.showtime_id, "A1", "--tender", "cash")
        first, last = (f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%d}" for days in (-2, 2))
        by = ("report", showtime.cinema.cinema_id, "--from", first, "--until", last, "--by")
        monkeypatch.setattr(report, "MAX_SHOWTIMES", 0)
        monkeypatch.setattr(report, "MAX_MOVIES", 0)
        assert clerk.text(*by, "showtime").splitlines()[3].split()[:2] == [showtime.showtime_id, "EUR"]
        assert clerk.text(*by, "movie").splitlines()[3].split()[:2] == [showtime.movie.movie_id, "EUR"]

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
        shown = clerk.text("report", cinema, *period, "--by", "showtime").splitlines()[3]
        start = f"{showtime.start_time.ToDatetime(UTC).astimezone(ZoneInfo('Europe/Berlin')):%Y-%m-%d %H:%M}"
        assert shown.startswith(f"{start} {showtime.auditorium_name}: The [bold]Long[/] Wait  EUR  ")
        assert clerk.text("report", cinema, *period, "--by", "movie").splitlines()[3].startswith("The [bold]Long[/] W")
        csv = clerk.text("report", cinema, *period, "--by", "day", "--csv")
        assert csv.splitlines()[1].split(",")[1:5] == ["EUR", "2", "0", "2500"]
        assert clerk.text("report", cinema, *period, "--movie", "another", "--csv").count("\n") == 1
        assert clerk.text("report", cinema).startswith("Sales of 2")  # the latest day that is over
        line = anyone.fails(ExitCode.SIGN_IN, "report", cinema)
        assert line.startswith("cinema: TOKEN_MISSING: ")
