"""Demo data: two cinemas with three weeks of showtimes, two accounts, and calls to paste that buy and sell seats."""

import asyncio
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from pathlib import Path
from zoneinfo import ZoneInfo

from cinema_grpc.application.catalog import Catalog, unencoded
from cinema_grpc.application.ports import ShowtimeFilter
from cinema_grpc.cli.demo_data import AUDITORIUMS, CINEMAS, DAYS, DAYS_WITH_ALL_STARTS, MOVIES, STARTS, DemoAuditorium
from cinema_grpc.cli.demo_evening import Seller, take_seats
from cinema_grpc.domain.account import Role
from cinema_grpc.domain.catalog import Auditorium, Cinema, ListedShowtime, Movie
from cinema_grpc.domain.errors import Archived, InvalidRequest, ShowtimeOverlap
from cinema_grpc.domain.terms import SeatGapPolicy
from cinema_grpc.server import CinemaServer

CUSTOMER = "demo-customer"
STAFF = "demo-staff"
AHEAD = timedelta(days=2)
"""How far ahead the showtime of the printed calls starts at least, as in the README: cancelling refunds everything."""
ONE_DAY = timedelta(days=1)
Planned = tuple[ListedShowtime, DemoAuditorium]


@dataclass(frozen=True, slots=True)
class Demo:
    """What the printed calls use.

    Attributes:
        customer_password: Of the demo's customer. Each start makes new passwords.
        staff_password: Of the demo's staff.
        showtime: The first one that starts two days from now or later; seats C1 and C2 are free.
        today: The date in its cinema.
    """

    customer_password: str
    staff_password: str
    showtime: ListedShowtime
    today: date


async def fill(server: CinemaServer) -> Demo | None:
    """Fill an empty database, or bring the demo data of an earlier start up to date.

    Returns:
        What the printed calls use; None if the database holds other data, which stays as it is.
    """
    catalog, accounts, store = server.catalog, server.accounts, server.account_store
    staff = await store.find_by_username(STAFF)
    customer = await store.find_by_username(CUSTOMER)
    cinemas = {cinema.name: cinema for cinema in await catalog.list_cinemas("", len(CINEMAS) + 1, archived=True)}
    movies = {movie.title: movie for movie in await catalog.list_movies("", len(MOVIES) + 1, archived=True)}
    is_empty = not (staff or customer or cinemas or movies)
    is_demo = staff is not None and staff[0].role is Role.STAFF
    is_only_demo = set(cinemas) <= {name for name, _ in CINEMAS} and set(movies) <= {title for title, *_ in MOVIES}
    if not (is_empty or (is_demo and is_only_demo)):
        return None

    customer_password, staff_password = secrets.token_urlsafe(12), secrets.token_urlsafe(12)
    if staff is None:
        staff_id = (await accounts.create_staff(STAFF, staff_password, "Demo Staff")).user_id
    else:
        staff_id = staff[0].user_id
        await accounts.set_password(STAFF, staff_password)
    if customer is None:
        await accounts.register(CUSTOMER, customer_password, "Demo Customer", "demo-customer@example.com")
    else:
        await accounts.set_password(CUSTOMER, customer_password)
    for title, minutes, rating, synopsis in MOVIES:
        if title not in movies:
            movies[title] = await catalog.create_movie(
                title, timedelta(minutes=minutes), rating, synopsis, None, unencoded
            )
    for name, time_zone in CINEMAS:
        if name not in cinemas:
            cinemas[name] = await catalog.create_cinema(name, time_zone, None, unencoded)
    programme = list(movies.values())
    filled = await asyncio.gather(
        *(
            _fill_auditorium(
                server, wanted, cinemas[CINEMAS[wanted.cinema][0]], programme[number:] + programme[:number]
            )
            for number, wanted in enumerate(AUDITORIUMS)
        )
    )
    planned = sorted(chain.from_iterable(filled), key=lambda each: each[0].start_time)
    now = await catalog.now()
    shown = next(showtime for showtime, _ in planned if showtime.start_time >= now + AHEAD)
    seller = Seller(server.scheduling, server.counter, server.bookings, staff_id)
    await take_seats(seller, planned, now + AHEAD, now)
    return Demo(customer_password, staff_password, shown, now.astimezone(ZoneInfo(shown.cinema.time_zone)).date())


async def _fill_auditorium(
    server: CinemaServer, wanted: DemoAuditorium, cinema: Cinema, movies: list[Movie]
) -> list[Planned]:
    """Create an auditorium if it is missing, schedule three weeks of showtimes in it, and return them."""
    now = await server.catalog.now()
    listed = await server.catalog.list_auditoriums(cinema.cinema_id, "", len(AUDITORIUMS), archived=True)
    auditorium = {each.name: each for each in listed}.get(wanted.name)
    if auditorium is None:
        auditorium = await server.catalog.create_auditorium(
            cinema.cinema_id, wanted.name, wanted.rows, None, unencoded, wanted.areas, wanted.wheelchair_spaces
        )
    here = ShowtimeFilter("", "", auditorium.auditorium_id, now, None)
    _, showtimes = await server.listings.list_showtimes(here, None, DAYS * len(STARTS))
    starts = set(_starts(cinema, now)) - {showtime.start_time for showtime in showtimes}
    showtimes += await _schedule(server.catalog, auditorium, movies, wanted, sorted(starts))
    return [(showtime, wanted) for showtime in showtimes]


async def _schedule(
    catalog: Catalog, auditorium: Auditorium, movies: list[Movie], wanted: DemoAuditorium, starts: list[datetime]
) -> list[ListedShowtime]:
    scheduled = []
    for number, start in enumerate(starts):
        movie_id = movies[number % len(movies)].movie_id
        try:
            showtime = await catalog.create_showtime(
                movie_id,
                auditorium.auditorium_id,
                start,
                None,
                SeatGapPolicy.REFUSE,
                None,
                unencoded,
                wanted.price_lines,
            )
        except (ShowtimeOverlap, Archived, InvalidRequest):
            continue  # staff scheduled another showtime then, or archived something, or it has other categories
        scheduled.append(showtime)
    return scheduled


def _starts(cinema: Cinema, now: datetime) -> Iterator[datetime]:
    zone = ZoneInfo(cinema.time_zone)
    today = now.astimezone(zone).date()
    for day in range(DAYS):
        for start in STARTS if day < DAYS_WITH_ALL_STARTS else STARTS[-1:]:
            moment = datetime.combine(today + timedelta(days=day), start, zone).astimezone(UTC)
            if moment > now:
                yield moment


def describe(address: str, certificate: Path | None, demo: Demo, payment_token: str) -> str:
    """Return text with the demo accounts and with calls to paste: a customer's, and some of the staff's.

    Args:
        address: The address of the server.
        certificate: The server's certificate, if it speaks TLS.
        demo: What the calls use.
        payment_token: A token that the payment provider takes.
    """
    plain = certificate is None
    url = f"{'http' if plain else 'https'}://{address}"
    buf_options = "--http2-prior-knowledge" if plain else f"--cacert {certificate}"
    grpcurl_options = "-plaintext" if plain else f"-cacert {certificate}"
    customer = f'{{"username": "{CUSTOMER}", "password": "{demo.customer_password}"}}'
    staff = f'{{"username": "{STAFF}", "password": "{demo.staff_password}"}}'
    showtime_id, cinema_id = demo.showtime.showtime_id, demo.showtime.cinema.cinema_id
    days = f'"fromDate": "{demo.today - ONE_DAY}", "untilDate": "{demo.today + ONE_DAY}"'
    return rf"""
Demo accounts (each start makes new passwords)
  customer  {CUSTOMER}  {demo.customer_password}
  staff     {STAFF}  {demo.staff_password}

Paste this into another terminal in this folder. It calls the server with buf from the project's environment...

call() {{
  method=$1 data=$2; shift 2
  .venv/bin/buf curl --protocol grpc {buf_options} "$@" -d "$data" "{url}/cinema.v1.$method"
}}
value() {{ sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" | head -n 1; }}

...or with grpcurl, if it is installed:

call() {{ method=$1 data=$2; shift 2; grpcurl {grpcurl_options} "$@" -d "$data" {address} "cinema.v1.$method"; }}

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
"""
