"""A catalog with one cinema, its screen and a movie, to make a programme for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from cinema_grpc.adapters.database.catalog_store import SqlCatalogStore
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.programme_reader import SqlProgrammeReader
from cinema_grpc.application.catalog import Catalog
from cinema_grpc.application.once import Once
from cinema_grpc.application.ports import ShowtimeFilter
from cinema_grpc.application.programme import Programme
from cinema_grpc.domain.catalog import Auditorium, Cinema, ListedShowtime, Movie
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.seating import SeatRow
from cinema_grpc.domain.showtime import SeatGapPolicy
from tests.builders import NOW, FakeClock

MICROSECOND = timedelta(microseconds=1)
ROWS = [SeatRow("A", (2, 3)), SeatRow("B", (4,))]
PRICE = Money("EUR", 1250)
RUNTIME = timedelta(hours=2, microseconds=7)
TOMORROW = NOW + timedelta(days=1, microseconds=3)
EVERYTHING = ShowtimeFilter("", "", "", NOW, None)


@dataclass
class House:
    """A catalog with a movie and an auditorium."""

    database: Database
    catalog: Catalog
    programme: Programme
    clock: FakeClock
    movie: Movie
    cinema: Cinema
    auditorium: Auditorium

    async def show(
        self,
        start_time: datetime = TOMORROW,
        price: Money = PRICE,
        movie_id: str = "",
        auditorium_id: str = "",
        once: Once[ListedShowtime] | None = None,
    ) -> ListedShowtime:
        return await self.catalog.create_showtime(
            movie_id or self.movie.movie_id,
            auditorium_id or self.auditorium.auditorium_id,
            start_time,
            price,
            SeatGapPolicy.ALLOW,
            once,
        )

    async def shown(self) -> list[ListedShowtime]:
        return (await self.programme.list_showtimes(EVERYTHING, None, 100))[1]


@asynccontextmanager
async def open_house(database_url: str) -> AsyncIterator[House]:
    """Enter into an empty database the cinema, its screen and the movie."""
    clock = FakeClock()
    database = Database(database_url, clock)
    catalog = Catalog(SqlCatalogStore(database))
    programme = Programme(SqlProgrammeReader(database))
    movie = await catalog.create_movie("Metropolis", RUNTIME, "PG-13", "A city and its machine.", None)
    cinema = await catalog.create_cinema("Odeon", "Europe/Berlin", None)
    auditorium = await catalog.create_auditorium(cinema.cinema_id, "Screen 1", ROWS, None)
    yield House(database, catalog, programme, clock, movie, cinema, auditorium)
    await database.close()
