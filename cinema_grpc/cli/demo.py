"""Demo data: two cinemas with three weeks of showtimes, two accounts, and calls to paste that buy seats."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from cinema_grpc.application.account_ports import AccountStore
from cinema_grpc.application.accounts import Accounts
from cinema_grpc.application.catalog import Catalog, unencoded
from cinema_grpc.application.listings import Listings
from cinema_grpc.application.ports import ShowtimeFilter
from cinema_grpc.domain.account import Role
from cinema_grpc.domain.catalog import Auditorium, Cinema, Movie
from cinema_grpc.domain.errors import ShowtimeOverlap
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.seating import SeatRow
from cinema_grpc.domain.showtime import SeatGapPolicy

CUSTOMER = "demo-customer"
STAFF = "demo-staff"

MOVIES = (
    (
        "The Lighthouse Keeper's Daughter",
        118,
        "PG-13",
        "She keeps the lamp burning; somebody else keeps putting it out.",
    ),
    ("Orbit of Two", 134, "PG", "Two engineers, one capsule, and ninety minutes of air for each of them."),
    ("Nine Lives in Lisbon", 97, "PG", "A cat changes owners nine times in one summer, and each of them for good."),
    (
        "The Long Intermission",
        152,
        "R",
        "A projectionist is locked in over the holidays with the only print of a lost film.",
    ),
    ("Salt and Thunder", 109, "PG-13", "The last ferry of the season leaves with one passenger too many."),
    ("Paper Kingdoms", 88, "G", "A boy folds a city, and the city asks for a king."),
)
CINEMAS = (
    ("Filmpalast am Kanal", "Europe/Berlin", "EUR", 1_250),
    ("Harbor Picture House", "America/New_York", "USD", 1_400),
)
# Cinema, name, rows: 300 seats with two aisles, a small room with rows of growing length, and a club without aisles.
AUDITORIUMS = (
    (0, "Grand Hall", tuple(SeatRow(label, (5, 10, 5)) for label in "ABCDEFGHIJKLMNO")),
    (0, "Studio", tuple(SeatRow(label, (4 + number, 4 + number)) for number, label in enumerate("ABCDEFGH"))),
    (1, "Screening Room", tuple(SeatRow(label, (8,)) for label in "ABCDE")),
)
STARTS = (time(10), time(13, 30), time(17), time(20, 30))
"""Start times in the cinema's time zone. With two time zones, a showtime always starts within twelve hours."""
DAYS = 22


@dataclass(frozen=True, slots=True)
class DemoAccess:
    """The passwords of the demo accounts. Each start makes new ones."""

    customer_password: str
    staff_password: str


async def fill(catalog: Catalog, listings: Listings, accounts: Accounts, store: AccountStore) -> DemoAccess | None:
    """Fill an empty database, or bring the demo data of an earlier start up to date.

    Returns:
        The demo accounts; None if the database holds other data, which stays as it is.
    """
    staff = await store.find_by_username(STAFF)
    customer = await store.find_by_username(CUSTOMER)
    cinemas = {cinema.name: cinema for cinema in await catalog.list_cinemas("", len(CINEMAS) + 1)}
    movies = {movie.title: movie for movie in await catalog.list_movies("", len(MOVIES) + 1)}
    is_empty = not (staff or customer or cinemas or movies)
    is_demo = staff is not None and staff[0].role is Role.STAFF
    is_only_demo = set(cinemas) <= {name for name, *_ in CINEMAS} and set(movies) <= {title for title, *_ in MOVIES}
    if not (is_empty or (is_demo and is_only_demo)):
        return None

    access = DemoAccess(secrets.token_urlsafe(12), secrets.token_urlsafe(12))
    if staff is None:
        await accounts.create_staff(STAFF, access.staff_password, "Demo Staff")
    else:
        await accounts.set_password(STAFF, access.staff_password)
    if customer is None:
        await accounts.register(CUSTOMER, access.customer_password, "Demo Customer", "demo-customer@example.com")
    else:
        await accounts.set_password(CUSTOMER, access.customer_password)
    for title, minutes, rating, synopsis in MOVIES:
        if title not in movies:
            movies[title] = await catalog.create_movie(
                title, timedelta(minutes=minutes), rating, synopsis, None, unencoded
            )
    for name, time_zone, *_ in CINEMAS:
        if name not in cinemas:
            cinemas[name] = await catalog.create_cinema(name, time_zone, None, unencoded)
    await _fill_auditoriums(catalog, listings, cinemas, list(movies.values()))
    return access


async def _fill_auditoriums(
    catalog: Catalog, listings: Listings, cinemas: dict[str, Cinema], movies: list[Movie]
) -> None:
    """Create the auditoriums that are missing, and schedule three weeks of showtimes in each."""
    now = await catalog.now()
    for number, (cinema_number, name, rows) in enumerate(AUDITORIUMS):
        cinema_name, _, currency_code, minor_units = CINEMAS[cinema_number]
        cinema = cinemas[cinema_name]
        known = {each.name: each for each in await catalog.list_auditoriums(cinema.cinema_id, "", len(AUDITORIUMS))}
        auditorium = known.get(name)
        if auditorium is None:
            auditorium = await catalog.create_auditorium(cinema.cinema_id, name, rows, None, unencoded)
        shown = movies[number:] + movies[:number]
        here = ShowtimeFilter("", "", auditorium.auditorium_id, now, None)
        _, planned = await listings.list_showtimes(here, None, DAYS * len(STARTS))
        starts = set(_starts(cinema, now)) - {showtime.start_time for showtime in planned}
        await _schedule(catalog, auditorium, shown, Money(currency_code, minor_units), sorted(starts))


async def _schedule(
    catalog: Catalog, auditorium: Auditorium, movies: list[Movie], price: Money, starts: list[datetime]
) -> None:
    for number, start in enumerate(starts):
        movie_id = movies[number % len(movies)].movie_id
        try:
            await catalog.create_showtime(
                movie_id, auditorium.auditorium_id, start, price, SeatGapPolicy.REFUSE, None, unencoded
            )
        except ShowtimeOverlap:
            continue  # staff scheduled another showtime then


def _starts(cinema: Cinema, now: datetime) -> Iterator[datetime]:
    zone = ZoneInfo(cinema.time_zone)
    today = now.astimezone(zone).date()
    for day in range(DAYS):
        for start in STARTS:
            moment = datetime.combine(today + timedelta(days=day), start, zone).astimezone(UTC)
            if moment > now:
                yield moment


def describe(address: str, certificate: Path | None, access: DemoAccess, showtime_id: str) -> str:
    """Return text with the demo accounts and with calls to paste that buy two seats and cancel them.

    Args:
        address: The address of the server.
        certificate: The server's certificate, if it speaks TLS.
        access: The demo accounts.
        showtime_id: The showtime of the seats.
    """
    plain = certificate is None
    url = f"{'http' if plain else 'https'}://{address}"
    buf_options = "--http2-prior-knowledge" if plain else f"--cacert {certificate}"
    grpcurl_options = "-plaintext" if plain else f"-cacert {certificate}"
    login = f'{{"username": "{CUSTOMER}", "password": "{access.customer_password}"}}'
    return rf"""
Demo accounts (each start makes new passwords)
  customer  {CUSTOMER}  {access.customer_password}
  staff     {STAFF}  {access.staff_password}

Paste this into another terminal in this folder. It calls the server with buf from the project's environment...

call() {{
  method=$1 data=$2; shift 2
  .venv/bin/buf curl --protocol grpc {buf_options} "$@" -d "$data" "{url}/cinema.v1.$method"
}}
value() {{ sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" | head -n 1; }}

...or with grpcurl, if it is installed:

call() {{ method=$1 data=$2; shift 2; grpcurl {grpcurl_options} "$@" -d "$data" {address} "cinema.v1.$method"; }}

Then buy two seats, and cancel them:

AUTHORIZATION="authorization: Bearer $(call AuthService/Login '{login}' | value 'access_*[tT]oken')"
SHOWTIME='"showtimeId": "{showtime_id}"'
call ShowtimeService/ListShowtimes '{{"pageSize": 3}}'
call ShowtimeService/GetShowtime "{{$SHOWTIME}}"
call BookingService/CreateBooking "{{$SHOWTIME, \"seats\": [\"C1\", \"C2\"]}}" -H "$AUTHORIZATION" | tee booking.json
BOOKING="\"bookingId\": \"$(value 'booking_*[iI]d' <booking.json)\""
call BookingService/ConfirmPayment "{{$BOOKING, \"paymentToken\": \"tok_visa\"}}" -H "$AUTHORIZATION"
call BookingService/CancelBooking "{{$BOOKING}}" -H "$AUTHORIZATION"
"""
