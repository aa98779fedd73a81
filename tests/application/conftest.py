"""A box office over a real SQLite file, and a way to make its database fail."""

from collections.abc import AsyncIterator, Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import event, insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import QueuePool

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.booking_reader import SqlBookingReader
from cinema_grpc.adapters.database.box_office_store import SqlBoxOfficeStore
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.migrate import migrate
from cinema_grpc.application.box_office import BoxOffice
from cinema_grpc.application.once import Once, RequestKey
from cinema_grpc.domain.booking import Booking
from tests.builders import NOW, FakeClock

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


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Open the house, and close it in good order."""
    clock = FakeClock()
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'cinema.db'}", clock)
    await migrate(database)
    await furnish(database)
    store = SqlBoxOfficeStore(database)
    box_office = BoxOffice(store)
    box_office.start()
    yield House(database, clock, store, SqlBookingReader(database), box_office)
    await box_office.stop()
    assert cast("QueuePool", database.engine.pool).checkedout() == 0
    await database.close()


async def furnish(database: Database) -> None:
    """Put the customers and showtimes of a house into an empty database."""
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
    return Once(RequestKey(caller, "CreateBooking", request_id), content, Booking)


@contextmanager
def failing(database: Database, fails: Callable[[str, Any], bool], after: bool = False) -> Any:
    """Make each statement for which `fails(statement, parameters)` is true fail as a broken disk would.

    COMMIT counts as a statement. With `after`, the statement is carried out first and its answer is lost.
    """
    failed: list[str] = []

    def check(statement: str, parameters: Any) -> None:
        if fails(statement, parameters):
            failed.append(statement)
            raise OperationalError(statement, None, OSError("the disk is on fire"))

    def on_statement(_conn: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        check(statement, parameters)

    engine = database.engine.sync_engine
    when = "after_cursor_execute" if after else "before_cursor_execute"
    event.listen(engine, when, on_statement)
    dialect: Any = engine.dialect  # the driver's COMMIT has no event of its own that may fail
    do_commit = dialect.do_commit

    def commit(connection: Any) -> None:
        if after:
            do_commit(connection)
        check("COMMIT", None)
        if not after:
            do_commit(connection)

    dialect.do_commit = commit
    try:
        yield failed
    finally:
        dialect.do_commit = do_commit
        event.remove(engine, when, on_statement)
