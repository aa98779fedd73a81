"""A box office over a real database that can be made to fail."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import pytest
from sqlalchemy import insert
from sqlalchemy.pool import QueuePool

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.booking_reader import SqlBookingReader
from cinema_grpc.adapters.database.box_office_store import SqlBoxOfficeStore
from cinema_grpc.adapters.database.database import POOL_SIZE, Database
from cinema_grpc.application import payment_saga, payments
from cinema_grpc.application.box_office import BoxOffice
from cinema_grpc.application.once import Once, RequestKey
from cinema_grpc.domain.booking import Booking
from tests.application.desk import Desk, open_desk
from tests.builders import NOW, FakeClock
from tests.faults import Faults, make_breakable

START = NOW + timedelta(days=2)
CUSTOMERS = ("ada", "bob")
SHOWTIMES = ("s1", "s2", "s3")


@dataclass
class House:
    """A cinema with three showtimes of ten seats (A1 to A10, gaps allowed), two customers, and a box office."""

    database: Database
    clock: FakeClock
    store: SqlBoxOfficeStore
    reader: SqlBookingReader
    box_office: BoxOffice
    faults: Faults
    names: int = field(default=0)

    async def hold(self, *seats: str, at: str = "s1", by: str = "ada", once: Once[Booking] | None = None) -> Booking:
        """Hold seats for ten minutes."""
        self.names += 1
        name = f"b{self.names:04}"
        return await self.box_office.execute(
            at, lambda showtime, now: showtime.hold(name, by, seats, timedelta(minutes=10), now), once=once
        )

    async def rows(self, table: str) -> list[dict[str, Any]]:
        """Read a whole table."""
        async with self.database.reading() as connection:
            return [dict(row._mapping) for row in await connection.execute(schema.metadata.tables[table].select())]


@asynccontextmanager
async def open_house(url: str, pool_size: int = POOL_SIZE) -> AsyncIterator[House]:
    """Open a house over a database that has its tables and nothing in them, and close it in good order."""
    clock = FakeClock()
    database = Database(url, clock, pool_size)
    faults = make_breakable(database)
    await furnish(database)
    store = SqlBoxOfficeStore(database)
    box_office = BoxOffice(store, lambda _: None, apart=database.driver.apart)
    box_office.start()
    yield House(database, clock, store, SqlBookingReader(database), box_office, faults)
    await box_office.stop()
    while database._peeks.tasks:  # noqa: ASYNC110 (nobody tells)
        await asyncio.sleep(0)
    assert cast("QueuePool", database.engine.pool).checkedout() == 0
    await database.close()


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    """A house over a database of each kind."""
    async with open_house(database_url) as house:
        yield house


@pytest.fixture
async def desk(house: House, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    """Open a desk in the house, at which nobody waits long for the next try."""
    monkeypatch.setattr(payments, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(payment_saga, "FIRST_RETRY_SECONDS", 0.01)
    desk = open_desk(house)
    yield desk
    await desk.payments.stop(10)


async def furnish(database: Database, *, newest: bool = True) -> None:
    """Put the customers and showtimes of a house into an empty database, of the newest version or of an older one."""
    async with database.writing() as connection:
        await connection.execute(
            insert(schema.account),
            [
                {
                    "user_id": name,
                    "username": name,
                    "folded_username": name,
                    "full_name": name,
                    "email": "",
                    "role": "CUSTOMER",
                    "password_hash": "none",
                    "create_time": NOW,
                }
                for name in CUSTOMERS
            ],
        )
        movie = {"movie_id": "m1", "title": "A Film", "runtime": timedelta(hours=2), "rating": "", "synopsis": ""}
        await connection.execute(insert(schema.movie).values(**movie, create_time=NOW))
        cinema = {"cinema_id": "c1", "name": "A House", "time_zone": "UTC"}
        await connection.execute(insert(schema.cinema).values(**cinema, create_time=NOW))
        room = {"auditorium_id": "a1", "cinema_id": "c1", "name": "One", "rows": '[["A", [10]]]', "total_seats": 10}
        await connection.execute(insert(schema.auditorium).values(**room, create_time=NOW))
        await connection.execute(
            insert(schema.showtime),
            [
                {
                    "showtime_id": name,
                    "movie_id": "m1",
                    "auditorium_id": "a1",
                    **({"cinema_id": "c1"} if newest else {}),
                    "start_time": START,
                    "end_time": START + timedelta(hours=2),
                    "currency_code": "EUR",
                    "seat_price": 1_250,
                    "seat_gap_policy": "ALLOW",
                    "taken_seats": 0,
                    "revision": 0,
                    "stamp": f"made with {name}",
                    "latest_time": NOW,
                }
                for name in SHOWTIMES
            ],
        )


def once(request_id: str, content: bytes = b"content", caller: str = "ada") -> Once[Booking]:
    """Make the identity of a request."""
    return Once(RequestKey(caller, "CreateBooking", request_id), lambda: content, Booking)
