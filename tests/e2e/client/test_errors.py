"""Errors of `cinema` as a client: one line, and an exit code by their kind."""

import json
import subprocess
from pathlib import Path

import pytest
from cinema_client.cinema.v1 import booking_pb2, box_office_service_pb2, event_pb2, showtime_pb2
from cinema_client.cinema.v1.catalog_pb2 import SeatRow
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

from cinema_grpc.cli.client import arguments, corrections, events, staff
from cinema_grpc.cli.client.exit_codes import ExitCode
from cinema_grpc.cli.commands import SALES_GROUPS
from tests.e2e.client.shop import ROWS, Person, Shop
from tests.e2e.conftest import CINEMA, SECONDS, environment


class TestErrors:
    """The exit code says what kind of error it is, and one line on standard error says which."""

    def test_by_kind(self, shop: Shop, anyone: Person, customer: Person, clerk: Person) -> None:
        showtime = shop.new_showtime([SeatRow(label="A", sections=(20,))]).showtime_id
        sale = clerk.json("sell", showtime, "A1", "--tender", "cash")["booking"]["bookingId"]
        assert "seats" in customer.fails(ExitCode.USAGE, "book", showtime, "??")
        assert "TOKEN_MISSING" in anyone.fails(ExitCode.SIGN_IN, "book", showtime, "A2")
        line = anyone.fails(ExitCode.SIGN_IN, "login", "clerk", CINEMA_PASSWORD="wrong")
        assert line.startswith("cinema: BAD_CREDENTIALS: ")
        assert line.endswith("(the password is that of CINEMA_PASSWORD; unset it to be asked)")
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
        """A change says how to repeat it; other calls, what to look at."""
        line = customer.fails(ExitCode.UNAVAILABLE, "showtimes", "--server", "127.0.0.1:9")
        assert line.startswith("cinema: UNAVAILABLE: ")
        assert line.endswith("(does a server run there? --server or CINEMA_SERVER names another)")
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
            (("block", "s", "A1", "--release", "--until", "2030-05-01T20:00"), "--release takes no --until"),
            (("block", "s", "A1", "--release", "--reason", "mended"), "--release takes no --reason"),
            (("void", "b", "--reason", "ill"), "--refund"),
            (("void", "b", "--refund", "101", "--reason", "ill"), "0<=x<=100"),
            (("reverse", "code", "--ticket", "t", "--reason", "ill"), "not both"),
            (("showtimes", "--from", "tomorrow"), "must be a date or a time"),
            (("showtimes", "--server", "here"), "must be HOST:PORT"),
            (("seats", "\udce9"), "must be UTF-8"),
            (("report", "\udce9"), "must be UTF-8"),
            (("events", "--after", str(2**63)), "--after"),
            (("showtimes", "--limit", str(2**63)), "--limit"),
        ],
    )
    def test_usage(self, anyone: Person, options: tuple[str, ...], hint: str) -> None:
        ended = anyone.run(*options)
        assert (ended.returncode, hint in ended.stderr) == (ExitCode.USAGE, True), ended.stderr


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
@pytest.mark.parametrize(
    ("command", "variables"),
    [
        (("redeem", "s", "--gate", "north"), {}),
        (("reverse", "--reason", "ill"), {}),
        (("login", "ada"), {"CINEMA_PASSWORD": "\udcff"}),
    ],
)
def test_bytes_that_are_not_utf8(
    tmp_path: Path, command: tuple[str, ...], variables: dict[str, str], locale: str
) -> None:
    """Such as what a scanner writes that is set up for another encoding: refused before anything is called."""
    settings = environment(LC_ALL=locale, XDG_CONFIG_HOME=str(tmp_path), CINEMA_SERVER="127.0.0.1:9", **variables)
    ended = subprocess.run(  # noqa: S603 (our own program)
        [CINEMA, *command], env=settings, input=b"\xff\n", capture_output=True, timeout=SECONDS, check=False
    )
    assert (ended.returncode, ended.stderr.count(b"\n")) == (ExitCode.USAGE, 1), ended.stderr
    assert b": must be UTF-8" in ended.stderr


@pytest.mark.parametrize(
    ("enum", "choices"),
    [
        (booking_pb2.BookingStatus, arguments.BOOKING_STATUSES),
        (booking_pb2.RefundStatus, corrections.REFUND_STATUSES),
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
