"""Demo data: two cinemas with three weeks of showtimes, and two accounts."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from zoneinfo import ZoneInfo

import structlog

from cinema_grpc.application.accounts import Accounts
from cinema_grpc.application.catalog import Catalog, unencoded
from cinema_grpc.application.ports import ShowtimeFilter
from cinema_grpc.cli.demo_calls import CUSTOMER, STAFF, Demo
from cinema_grpc.cli.demo_data import AUDITORIUMS, CINEMAS, DAYS, DAYS_WITH_ALL_STARTS, MOVIES, STARTS, DemoAuditorium
from cinema_grpc.cli.demo_evening import Seller, take_seats
from cinema_grpc.cli.demo_secrets import DemoSecrets
from cinema_grpc.config import BadSettings
from cinema_grpc.domain.account import Role, User
from cinema_grpc.domain.catalog import Auditorium, Cinema, ListedShowtime, Movie
from cinema_grpc.domain.errors import Archived, InvalidRequest, ShowtimeOverlap
from cinema_grpc.domain.terms import SeatGapPolicy
from cinema_grpc.server import CinemaServer

logger = structlog.get_logger()

AHEAD = timedelta(days=2)
"""How far ahead the showtime of the printed calls starts at least, as in the README: cancelling refunds everything."""
Planned = tuple[ListedShowtime, DemoAuditorium]


async def fill(server: CinemaServer, secrets: DemoSecrets) -> Demo | None:
    """Fill an empty database, or bring the demo data of an earlier start up to date.

    Args:
        server: The server, whose database is open.
        secrets: The passwords that the accounts get, unless they have them.

    Returns:
        What the printed calls use; None if the database holds other data, which stays as it is.

    Raises:
        BadSettings: No showtime is left for the printed calls, and none can be scheduled.
    """
    catalog, accounts, store = server.catalog, server.accounts, server.account_store
    staff = await store.find_by_username(STAFF)
    customer = await store.find_by_username(CUSTOMER)
    cinemas = {cinema.name: cinema for cinema in await catalog.page(Cinema, "", len(CINEMAS) + 1, archived=True)}
    movies = {movie.title: movie for movie in await catalog.page(Movie, "", len(MOVIES) + 1, archived=True)}
    is_empty = not (staff or customer or cinemas or movies)
    is_demo = staff is not None and staff[0].role is Role.STAFF
    is_only_demo = set(cinemas) <= {name for name, _ in CINEMAS} and set(movies) <= {title for title, *_ in MOVIES}
    if not (is_empty or (is_demo and is_only_demo)):
        return None

    if is_empty:
        logger.info("filling the database with demo data, which takes a few seconds")
    staff_id = await _add_accounts(accounts, secrets, staff and staff[0], has_customer=customer is not None)
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
    shown = next((showtime for showtime, _ in planned if showtime.start_time >= now + AHEAD), None)
    if shown is None:
        raise BadSettings(
            "--demo: the database has no showtime two days from now, and its demo cinemas or movies are archived; use "
            "another database"
        )
    seller = Seller(server.scheduling, server.counter, server.bookings, staff_id)
    await take_seats(seller, planned, now + AHEAD, now)
    today = now.astimezone(ZoneInfo(shown.cinema.time_zone)).date()
    return Demo(secrets.customer_password, secrets.staff_password, shown, today)


async def _add_accounts(accounts: Accounts, secrets: DemoSecrets, staff: User | None, *, has_customer: bool) -> str:
    """Add the accounts that are missing, give the others their passwords, and return the user_id of the staff."""
    if staff is None:
        staff = await accounts.create_staff(STAFF, secrets.staff_password, "Demo Staff")
    else:
        await _set_password(accounts, STAFF, secrets.staff_password)
    if has_customer:
        await _set_password(accounts, CUSTOMER, secrets.customer_password)
    else:
        await accounts.register(CUSTOMER, secrets.customer_password, "Demo Customer", "demo-customer@example.com")
    return staff.user_id


async def _set_password(accounts: Accounts, username: str, password: str) -> None:
    """Set the password of an account unless it has it: that would end its sessions."""
    if not await accounts.has_password(username, password):
        await accounts.set_password(username, password)


async def _fill_auditorium(
    server: CinemaServer, wanted: DemoAuditorium, cinema: Cinema, movies: list[Movie]
) -> list[Planned]:
    """Create an auditorium if it is missing, schedule three weeks of showtimes in it, and return them."""
    now = await server.catalog.now()
    listed = await server.catalog.auditoriums(cinema.cinema_id, "", len(AUDITORIUMS), archived=True)
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
