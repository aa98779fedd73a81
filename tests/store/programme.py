"""A small programme in a database, to put showtimes and bookings on."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import func, insert, select, update

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.box_office_store import SqlBoxOfficeStore
from cinema_grpc.adapters.database.catalog_store import SqlCatalogStore
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.listings_reader import SqlListingsReader
from cinema_grpc.application.box_office.cache import ShowtimeCache
from cinema_grpc.application.idempotency import IdempotencyKey, ResponseSlot, StoredResponse
from cinema_grpc.application.listings import Listings
from cinema_grpc.application.ports import ShowtimeFilter
from cinema_grpc.domain.booking import BookingStatus
from cinema_grpc.domain.catalog import Auditorium, Cinema, ListedShowtime, Movie
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.pricing import STANDARD, PriceLine, PriceList
from cinema_grpc.domain.seating import SeatArea, SeatRow, WheelchairSpace
from cinema_grpc.domain.showtime import SeatStatus
from cinema_grpc.domain.terms import SeatGapPolicy
from tests.builders import NOW, FakeClock
from tests.database import reading, writing

MICROSECOND = timedelta(microseconds=1)
ROWS = (SeatRow("B", (2, 1)), SeatRow("A", (2,)), SeatRow("AA", (1,)))
AREAS = (SeatArea("vip", ("B",), ("A1",)), SeatArea("balcony", (), ("B1", "AA1")))
SPACES = (WheelchairSpace("A1", ("A2",)), WheelchairSpace("B3"))
PRICES = PriceList(
    [PriceLine(STANDARD, "adult", Money("EUR", 1250)), PriceLine("vip", "child", Money("EUR", 0), "Ausweis ü")]
)
LABELS = ["B1", "B2", "B3", "A1", "A2", "AA1"]
EVERYTHING = ShowtimeFilter("", "", "", NOW - timedelta(days=365), None)


def movie(number: int = 1, runtime: timedelta = timedelta(hours=2)) -> Movie:
    return Movie(f"movie-{number:04}", f"Film {number}", runtime, "PG-13", "Two friends meet.", NOW + MICROSECOND)


def cinema(number: int = 1) -> Cinema:
    return Cinema(f"cinema-{number:04}", f"House {number}", "Europe/Berlin", NOW + MICROSECOND)


def auditorium(number: int = 1, of: int = 1) -> Auditorium:
    names = f"auditorium-{number:04}", f"cinema-{of:04}", f"Screen {number}"
    return Auditorium(*names, ROWS, NOW + MICROSECOND, AREAS, SPACES)


def stored_response(request_id: str) -> StoredResponse:
    return StoredResponse(IdempotencyKey("caller", "RPC", request_id), "0123", b"response of " + request_id.encode())


def slot_of(stored: StoredResponse) -> ResponseSlot[Any]:
    """Return where a response is stored that is known before."""
    return ResponseSlot(stored.key, stored.digest, lambda _: stored.response)


@dataclass
class Programme:
    """A store with two movies and two cinemas; the first has two auditoriums, the second one."""

    database: Database
    store: SqlCatalogStore
    reader: SqlListingsReader
    clock: FakeClock
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    async def fill(self) -> None:
        for number in (1, 2):
            await self.store.add(movie(number), None)
            await self.store.add(cinema(number), None)
        for number, of in ((1, 1), (2, 1), (3, 2)):
            await self.store.add(auditorium(number, of), None)

    def showtime(
        self, start_time: datetime, *, auditorium_number: int = 1, film: Movie | None = None
    ) -> ListedShowtime:
        film = film or movie()
        return ListedShowtime(
            showtime_id=f"showtime-{next(self.numbers):04}",
            movie=film,
            cinema=cinema(2 if auditorium_number == 3 else 1),
            auditorium_id=f"auditorium-{auditorium_number:04}",
            auditorium_name=f"Screen {auditorium_number}",
            start_time=start_time,
            end_time=start_time + film.runtime,
            prices=PRICES,
            seat_gap_policy=SeatGapPolicy.REFUSE,
            total_seats=6,
            available_seats=6,
            revision=0,
        )

    async def add(
        self, start_time: datetime, *, auditorium_number: int = 1, film: Movie | None = None
    ) -> ListedShowtime:
        showtime = self.showtime(start_time, auditorium_number=auditorium_number, film=film)
        return await self.put(showtime)

    async def put(self, showtime: ListedShowtime, response: StoredResponse | None = None) -> ListedShowtime:
        """Put a showtime on the programme, with the response of the call."""
        slot = None if response is None else slot_of(response)
        places = showtime.movie.movie_id, showtime.auditorium_id
        return await self.store.add_showtime(*places, lambda *_: showtime, slot)

    async def book(
        self, showtime: ListedShowtime, seats: str, status: BookingStatus, hold_expire_time: datetime
    ) -> None:
        """Write a booking down, with its claims, as the box office does."""
        number = next(self.numbers)
        booking_id, seats_of_it = f"booking-{number:04}", seats.split(",")
        async with writing(self.database) as connection:
            await connection.execute(
                insert(schema.account).values(
                    user_id=f"user-{number}",
                    username=f"user-{number}",
                    folded_username=f"user-{number}",
                    full_name="Somebody",
                    email="",
                    role="CUSTOMER",
                    password_hash="hash",
                    create_time=NOW,
                )
            )
            await connection.execute(
                insert(schema.booking).values(
                    booking_id=booking_id,
                    showtime_id=showtime.showtime_id,
                    user_id=f"user-{number}",
                    status=status.value,
                    seats=json.dumps([[seat, 1250, "standard", "adult", "", True] for seat in seats_of_it]),
                    seat_count=len(seats_of_it),
                    currency_code="EUR",
                    total_price=1250 * len(seats_of_it),
                    create_time=NOW,
                    hold_expire_time=hold_expire_time,
                    wheelchair=False,
                    hold_extended=False,
                    hold_renewed=False,
                    revision=1,
                )
            )
            if status not in {BookingStatus.RESERVED, BookingStatus.CONFIRMED}:
                return
            for seat in seats_of_it:
                await connection.execute(
                    insert(schema.seat_claim).values(showtime_id=showtime.showtime_id, seat=seat, booking_id=booking_id)
                )
            await connection.execute(
                update(schema.showtime)
                .where(schema.showtime.c.showtime_id == showtime.showtime_id)
                .values(
                    taken_seats=schema.showtime.c.taken_seats + len(seats_of_it),
                    revision=schema.showtime.c.revision + 1,
                )
            )

    async def seats(self, showtime: ListedShowtime) -> tuple[ListedShowtime, dict[str, SeatStatus]]:
        """Return a showtime and its seats as they are shown without a cache."""
        listings = Listings(self.reader, SqlBoxOfficeStore(self.database), ShowtimeCache())
        seat_map = await listings.seat_map(showtime.showtime_id)
        assert list(seat_map.seat_plan.labels) == LABELS
        return seat_map.listed, dict(zip(LABELS, seat_map.seats, strict=True))

    async def page(
        self, condition: ShowtimeFilter, after: tuple[datetime, str] | None, limit: int
    ) -> list[ListedShowtime]:
        return (await self.reader.page(condition, after, limit))[1]

    async def count(self, table: Any) -> int:
        async with reading(self.database) as connection:
            return (await connection.execute(select(func.count()).select_from(table))).scalar_one()
