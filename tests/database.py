"""Connections of the tests' own, beside those of the server, and rows to begin with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import NullPool, event, insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.audit import Report, report_on
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.event_rows import add_events
from cinema_grpc.adapters.database.event_store import SqlEventStore
from cinema_grpc.domain.events import EventType, NewEvent
from tests.builders import NOW

START = NOW + timedelta(days=2)
CUSTOMERS = ("ada", "bob")
SHOWTIMES = ("s1", "s2", "s3")


@asynccontextmanager
async def reading(database: Database) -> AsyncIterator[AsyncConnection]:
    """Open a transaction that reads, on a connection of its own."""
    async with _engine(database, "BEGIN").connect() as connection:
        yield connection


@asynccontextmanager
async def writing(database: Database) -> AsyncIterator[AsyncConnection]:
    """Open a transaction that writes, on a connection of its own; it is committed unless the body raises."""
    async with _engine(database, "BEGIN IMMEDIATE").begin() as connection:
        yield connection


async def audited(database: Database, now: datetime) -> Report:
    """Audit a database of which no server gives positions to events."""
    await SqlEventStore(database).assign_positions(1_000)
    async with reading(database) as connection:
        return await report_on(connection, now)


_engines: WeakKeyDictionary[Database, dict[str, AsyncEngine]] = WeakKeyDictionary()
"""Engines by how they begin. None keeps a connection open."""


def _engine(database: Database, begin: str) -> AsyncEngine:
    engines = _engines.setdefault(database, {})
    if begin not in engines:
        engines[begin] = _new_engine(database, begin)
    return engines[begin]


def _new_engine(database: Database, begin: str) -> AsyncEngine:
    driver: Any = database.driver
    if driver.shared:
        # READ COMMITTED, with the parameters of the server's own connections
        options = {"async_creator_fn": driver._connect}
        return create_async_engine("postgresql+asyncpg://", poolclass=NullPool, connect_args=options)

    def set_up(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver begins no transactions
        connection.execute("PRAGMA foreign_keys = ON")

    engine = create_async_engine(database.engine.url, poolclass=NullPool)
    event.listen(engine.sync_engine, "connect", set_up)
    event.listen(engine.sync_engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


async def furnish(database: Database) -> None:
    """Put two customers and three showtimes, in auditoriums of ten seats each, into an empty database."""
    accounts = [
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
    ]
    movie = {"movie_id": "m1", "title": "A Film", "runtime": timedelta(hours=2), "rating": "", "synopsis": ""}
    cinema = {"cinema_id": "c1", "name": "A House", "time_zone": "UTC"}
    room: dict[str, Any] = {
        "cinema_id": "c1",
        "rows": '[["A", [10]]]',
        "total_seats": 10,
    }
    room |= {"areas": "[]", "wheelchair_spaces": "[]", "create_time": NOW, "archived": False}
    showtime = {
        "movie_id": "m1",
        "cinema_id": "c1",
        "start_time": START,
        "end_time": START + timedelta(hours=2),
        "status": "SCHEDULED",
        "currency_code": "EUR",
        "prices": '[["standard", "standard", 1250, ""]]',
        "seat_gap_policy": "ALLOW",
        "taken_seats": 0,
        "revision": 0,
        "terms_revision": 0,
        "latest_time": NOW,
    }
    rooms = [room | {"auditorium_id": f"a{number}", "name": str(number)} for number in (1, 2, 3)]
    commits = [{"showtime_id": name, "commit_id": f"commit of {name}"} for name in SHOWTIMES]
    showtimes = [
        showtime | commit | {"auditorium_id": each["auditorium_id"]}
        for commit, each in zip(commits, rooms, strict=True)
    ]
    async with writing(database) as connection:
        await connection.execute(insert(schema.account), accounts)
        await connection.execute(insert(schema.movie).values(**movie, create_time=NOW, archived=False))
        await connection.execute(insert(schema.cinema).values(**cinema, create_time=NOW, archived=False))
        await connection.execute(insert(schema.auditorium), rooms)
        await connection.execute(insert(schema.showtime), showtimes)
        await connection.execute(insert(schema.commit_log).values(revision=0, decide_time=NOW), commits)
        created = [NewEvent(EventType.SHOWTIME_CREATED)]
        await connection.run_sync(add_events, [(name, 0) for name in SHOWTIMES], NOW, created)
