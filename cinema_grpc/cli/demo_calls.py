"""The calls to paste that `cinema serve --demo` prints: they buy and sell seats."""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from cinema_grpc.cli.health import name_in, on_this_machine
from cinema_grpc.config import Settings
from cinema_grpc.domain.catalog import ListedShowtime

CUSTOMER = "demo-customer"
STAFF = "demo-staff"
ONE_DAY = timedelta(days=1)
SERVICES = ("auth", "booking", "box_office", "showtime")
"""The services that are called."""


@dataclass(frozen=True, slots=True)
class Demo:
    """What the printed calls use.

    Attributes:
        customer_password: Of the demo's customer.
        staff_password: Of the demo's staff.
        showtime: The first one that starts two days from now or later; seats C1 and C2 are free.
        today: The date in its cinema.
    """

    customer_password: str
    staff_password: str
    showtime: ListedShowtime
    today: date


@dataclass(frozen=True, slots=True)
class Tools:
    """How the server is called: its URL, and the options of buf and of grpcurl for it."""

    address: str
    url: str
    buf: str
    grpcurl: str


def tools_for(address: str, settings: Settings) -> Tools:
    """Return how a server with these settings is called from its own machine."""
    address, certificate = on_this_machine(address), settings.tls_certificate
    if certificate is None:
        scheme, buf, grpcurl = "http", ["--http2-prior-knowledge"], ["-plaintext"]
    else:
        scheme = "https"
        buf = [f"--cacert {certificate}", *_server_name("--servername", certificate)]
        grpcurl = [f"-cacert {certificate}", *_server_name("-servername", certificate)]
    if not settings.with_reflection:
        buf.append("--schema .")
        grpcurl.append("-import-path protos -import-path third_party")
        grpcurl += [f"-proto cinema/v1/{each}_service.proto" for each in SERVICES]
    return Tools(address, f"{scheme}://{address}", " ".join(buf), " ".join(grpcurl))


def describe(tools: Tools, demo: Demo, payment_token: str, kept_in: Path | None) -> str:
    """Return text with the demo accounts and with calls to paste: a customer's, and some of the staff's.

    Args:
        tools: How the server is called.
        demo: What the calls use.
        payment_token: A token that the payment provider takes.
        kept_in: The file that keeps the passwords; None if each start makes new ones.
    """
    customer = f'{{"username": "{CUSTOMER}", "password": "{demo.customer_password}"}}'
    staff = f'{{"username": "{STAFF}", "password": "{demo.staff_password}"}}'
    showtime_id, cinema_id = demo.showtime.showtime_id, demo.showtime.cinema.cinema_id
    days = f'"fromDate": "{demo.today - ONE_DAY}", "untilDate": "{demo.today + ONE_DAY}"'
    passwords = f"passwords are kept in {kept_in}" if kept_in else "each start makes new passwords"
    return rf"""
Demo accounts ({passwords})
  customer  {CUSTOMER}  {demo.customer_password}
  staff     {STAFF}  {demo.staff_password}

Paste this into another terminal in this folder. It calls the server with buf from the project's environment...

call() {{
  method=$1 data=$2; shift 2
  .venv/bin/buf curl --protocol grpc {tools.buf} "$@" -d "$data" "{tools.url}/cinema.v1.$method"
}}
value() {{ sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" | head -n 1; }}

...or with grpcurl, if it is installed:

call() {{
  method=$1 data=$2; shift 2
  grpcurl {tools.grpcurl} "$@" -d "$data" {tools.address} "cinema.v1.$method"
}}

Then buy two seats, and cancel them:

AUTHORIZATION="authorization: Bearer $(call AuthService/Login '{customer}' | value 'access_*[tT]oken')"
SHOWTIME='"showtimeId": "{showtime_id}"'
call ShowtimeService/ListShowtimes '{{"pageSize": 3}}'
call ShowtimeService/GetShowtime "{{$SHOWTIME}}"
call BookingService/CreateBooking "{{$SHOWTIME, \"seats\": [\"C1\", \"C2\"]}}" -H "$AUTHORIZATION" | tee booking.json
BOOKING="\"bookingId\": \"$(value 'booking_*[iI]d' <booking.json)\""
call BookingService/ConfirmPayment "{{$BOOKING, \"paymentToken\": \"{payment_token}\"}}" -H "$AUTHORIZATION"
call BookingService/CancelBooking "{{$BOOKING}}" -H "$AUTHORIZATION"

As staff, sell two seats at the counter, take them back, and look at what was sold today:

STAFF="authorization: Bearer $(call AuthService/Login '{staff}' | value 'access_*[tT]oken')"
CASH='"seats": ["C1", "C2"], "tender": "TENDER_CASH"'
call BoxOfficeService/SellSeats "{{$SHOWTIME, $CASH}}" -H "$STAFF" | tee sale.json
SALE="\"bookingId\": \"$(value 'booking_*[iI]d' <sale.json)\""
BACK='"refundPercent": 100, "reason": "They took the wrong film"'
call BoxOfficeService/VoidBooking "{{$SALE, $BACK}}" -H "$STAFF"
REPORT='"cinemaId": "{cinema_id}", {days}, "groupBy": "SALES_GROUP_TICKET_TYPE"'
call BoxOfficeService/GetSalesReport "{{$REPORT}}" -H "$STAFF"

The server is ready at {tools.address}. Ctrl-C stops it.
"""


def _server_name(option: str, certificate: Path) -> list[str]:
    name = name_in(certificate)
    return [f"{option} {name}"] if name else []
