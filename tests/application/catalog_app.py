"""A catalog and its listings on a database, with a movie, a cinema and an auditorium to show it in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from cinema_grpc.adapters.database.box_office_store import SqlBoxOfficeStore
from cinema_grpc.adapters.database.catalog_store import SqlCatalogStore
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.listings_reader import SqlListingsReader
from cinema_grpc.application.box_office.cache import ShowtimeCache
from cinema_grpc.application.catalog import Catalog, unencoded
from cinema_grpc.application.idempotency import IdempotentCall
from cinema_grpc.application.listings import Listings
from cinema_grpc.application.ports import ShowtimeFilter
from cinema_grpc.domain.catalog import Auditorium, Cinema, ListedShowtime, Movie
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.seating import SeatRow
from cinema_grpc.domain.terms import SeatGapPolicy
from tests.builders import NOW, FakeClock
from tests.faults import Faults, make_breakable

MICROSECOND = timedelta(microseconds=1)
ROWS = [SeatRow("A", (2, 3)), SeatRow("B", (4,))]
PRICE = Money("EUR", 1250)
RUNTIME = timedelta(hours=2, microseconds=7)
TOMORROW = NOW + timedelta(days=1, microseconds=3)
EVERYTHING = ShowtimeFilter("", "", "", NOW, None)


def encoded(entry: object) -> bytes:
    """Return a response that says all of an entry."""
    return repr(entry).encode()


@dataclass
class CatalogApp:
    """A catalog with a movie and an auditorium."""

    database: Database
    clock: FakeClock
    movie: Movie
    cinema: Cinema
    auditorium: Auditorium
    faults: Faults

    def __post_init__(self) -> None:
        self.listings = Listings(
            SqlListingsReader(self.database), SqlBoxOfficeStore(self.database), ShowtimeCache(), self.clock
        )
        self.catalog = Catalog(SqlCatalogStore(self.database, self.listings.forget_catalog_revision))

    async def show(
        self,
        start_time: datetime = TOMORROW,
        price: Money = PRICE,
        movie_id: str = "",
        auditorium_id: str = "",
    ) -> ListedShowtime:
        """Put a movie on the programme."""
        return await self.catalog.create_showtime(
            movie_id or self.movie.movie_id,
            auditorium_id or self.auditorium.auditorium_id,
            start_time,
            price,
            SeatGapPolicy.ALLOW,
            None,
            unencoded,
        )

    async def show_once(self, call: IdempotentCall, start_time: datetime = TOMORROW) -> bytes:
        """Put the movie on the programme by an idempotent call, and return its response."""
        movie_id, auditorium_id = self.movie.movie_id, self.auditorium.auditorium_id
        return await self.catalog.create_showtime(
            movie_id, auditorium_id, start_time, PRICE, SeatGapPolicy.ALLOW, call, encoded
        )

    async def shown(self) -> list[ListedShowtime]:
        """List the programme."""
        return (await self.listings.list_showtimes(EVERYTHING, None, 100))[1]


@asynccontextmanager
async def open_app(database_url: str) -> AsyncIterator[CatalogApp]:
    """Enter a movie, a cinema and its auditorium into an empty database."""
    clock = FakeClock()
    database = Database(database_url, clock)
    faults = make_breakable(database)
    catalog = Catalog(SqlCatalogStore(database))
    movie = await catalog.create_movie("Metropolis", RUNTIME, "PG-13", "A city and its machine.", None, unencoded)
    cinema = await catalog.create_cinema("Odeon", "Europe/Berlin", None, unencoded)
    auditorium = await catalog.create_auditorium(cinema.cinema_id, "Screen 1", ROWS, None, unencoded)
    yield CatalogApp(database, clock, movie, cinema, auditorium, faults)
    await database.close()
