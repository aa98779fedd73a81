"""A box office over a real database that can be made to fail."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from sqlalchemy import literal, update
from sqlalchemy.pool import QueuePool

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.booking_reader import SqlBookingReader
from cinema_grpc.adapters.database.box_office_store import SqlBoxOfficeStore
from cinema_grpc.adapters.database.database import POOL_SIZE, Database
from cinema_grpc.application import payment_steps, payments
from cinema_grpc.application.box_office.box_office import BoxOffice
from cinema_grpc.application.box_office.cache import ShowtimeCache
from cinema_grpc.application.idempotency import IdempotentCall
from cinema_grpc.domain.booking import Booking
from tests.application.commands import decode, hold_command
from tests.application.sales import Sales, open_sales
from tests.application.stripe_shop import Shop, open_shop
from tests.builders import FakeClock
from tests.database import furnish, reading, writing
from tests.faults import Faults, make_breakable


@dataclass
class App:
    """A cinema with three showtimes of ten seats (A1 to A10, gaps allowed), two customers, and a box office."""

    database: Database
    clock: FakeClock
    store: SqlBoxOfficeStore
    reader: SqlBookingReader
    box_office: BoxOffice
    faults: Faults
    cache: ShowtimeCache = field(default_factory=ShowtimeCache)
    names: int = field(default=0)

    async def hold(self, *seats: str, at: str = "s1", by: str = "ada", call: IdempotentCall | None = None) -> Booking:
        """Hold seats for ten minutes."""
        self.names += 1
        name = f"b{self.names:04}"
        return decode(await self.box_office.execute(hold_command(name, *seats, at=at, by=by, call=call)))

    async def rows(self, table: str) -> list[dict[str, Any]]:
        """Read a whole table."""
        async with reading(self.database) as connection:
            return [dict(row._mapping) for row in await connection.execute(schema.metadata.tables[table].select())]

    async def restore(self) -> None:
        """Put the database back to its state before all bookings, as a failover that loses commits does."""
        async with writing(self.database) as connection:
            await connection.execute(schema.seat_claim.delete())
            await connection.execute(schema.booking.delete())
            await connection.execute(schema.commit_log.delete().where(schema.commit_log.c.revision > 0))
            for table in (schema.event_outbox, schema.event):
                await connection.execute(table.delete().where(table.c.revision > 0))
            first = literal("commit of ").concat(schema.showtime.c.showtime_id)
            await connection.execute(update(schema.showtime).values(revision=0, commit_id=first, taken_seats=0))

    @asynccontextmanager
    async def other_process(self, store: SqlBoxOfficeStore | None = None, **options: Any) -> AsyncIterator["App"]:
        """Open a second box office at the same database, as another process would have it.

        Args:
            store: Its store, if that is a special one.
            options: Of its BoxOffice.
        """
        store, cache = store or self.store, ShowtimeCache()
        box_office = BoxOffice(store, cache, **{"waiting_tasks": self.database.driver.waiting_tasks} | options)
        box_office.start()
        yield replace(self, store=store, box_office=box_office, cache=cache, names=self.names + 1_000_000)
        await box_office.stop()


@asynccontextmanager
async def open_app(url: str, pool_size: int = POOL_SIZE) -> AsyncIterator[App]:
    """Open an app over a database that has its tables and nothing in them, and close it in good order."""
    clock = FakeClock()
    database = Database(url, clock, pool_size)
    faults = make_breakable(database)
    await furnish(database)
    async with database.transaction():
        pass  # prepares statements, in transactions that `faults` would count
    store, cache = SqlBoxOfficeStore(database), ShowtimeCache()
    box_office = BoxOffice(store, cache, database.driver.waiting_tasks)
    box_office.start()
    yield App(database, clock, store, SqlBookingReader(database), box_office, faults, cache)
    await box_office.stop()
    while database._reads.tasks:  # noqa: ASYNC110 (they set no event)
        await asyncio.sleep(0)
    assert cast("QueuePool", database.engine.pool).checkedout() == 0
    await database.close()


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[App]:
    """An app over a database of each kind."""
    async with open_app(database_url) as app:
        yield app


@pytest.fixture
async def sales(app: App, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sales]:
    """Payments in the app, with short pauses between tries."""
    monkeypatch.setattr(payments, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(payment_steps, "FIRST_RETRY_SECONDS", 0.01)
    sales = open_sales(app)
    yield sales
    await sales.payments.stop(10)


@pytest.fixture
async def shop(app: App, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shop]:
    """Payments by Stripe in the app, with short pauses between tries."""
    monkeypatch.setattr(payment_steps, "FIRST_RETRY_SECONDS", 0.01)
    async with open_shop(app) as shop:
        yield shop
