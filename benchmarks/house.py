"""A database to sell seats from: showtimes of 300 seats, customers, and a token for each of them."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cinema_grpc.adapters.access_tokens import JwtAccessTokens
from cinema_grpc.adapters.clock import SystemClock
from cinema_grpc.adapters.passwords import Argon2Passwords
from cinema_grpc.config import Settings
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.seating import SeatRow
from cinema_grpc.domain.showtime import SeatGapPolicy
from cinema_grpc.server import CinemaServer

SECRET = "a secret that signs nothing of value"  # noqa: S105 (of a database that is thrown away)
ROWS = tuple(SeatRow(label, (6, 8, 6)) for label in "ABCDEFGHIJKLMNO")
SHOWTIMES_AN_AUDITORIUM = 20


@dataclass(frozen=True, slots=True)
class House:
    """What a client needs to know of a database."""

    showtime_ids: list[str]
    tokens: list[str]


def furnish(path: Path, showtimes: int, customers: int = 64) -> House:
    """Make a database at `path`."""
    return asyncio.run(_furnish(path, showtimes, customers))


async def _furnish(path: Path, showtimes: int, customers: int) -> House:
    settings = Settings(database_url=f"sqlite+aiosqlite:///{path}")
    tokens = JwtAccessTokens(SECRET.encode(), SystemClock())
    passwords = Argon2Passwords(memory_kib=64, rounds=1)
    server = CinemaServer(settings, SECRET.encode(), passwords=passwords)
    await server.migrate()
    catalog = server.catalog
    movie = await catalog.create_movie("A Film", timedelta(minutes=100), "PG", "", None)
    cinema = await catalog.create_cinema("A House", "UTC", None)
    ids: list[str] = []
    tomorrow = datetime.now(UTC) + timedelta(days=2)
    while len(ids) < showtimes:
        name = f"Screen {len(ids)}"
        auditorium = await catalog.create_auditorium(cinema.cinema_id, name, ROWS, None)
        for number in range(min(SHOWTIMES_AN_AUDITORIUM, showtimes - len(ids))):
            start = tomorrow + timedelta(hours=3 * number)
            price = Money("EUR", 1_250)
            showtime = await catalog.create_showtime(
                movie.movie_id, auditorium.auditorium_id, start, price, SeatGapPolicy.REFUSE, None
            )
            ids.append(showtime.showtime_id)
    texts = []
    for number in range(customers):
        name = f"customer{number}"
        user = (await server.accounts.register(name, "a long and private one", name, f"{name}@example.com")).user
        texts.append(tokens.issue(user).text)
    await server.close()
    return House(ids, texts)
