"""Databases to measure on, made in bulk with plain SQL: showtimes to sell, customers with tokens, and bookings."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, TypeAlias

import orjson
import uuid_utils
from sqlalchemy import Table, insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from benchmarks.databases import KeptDatabase
from cinema_grpc.adapters.access_tokens import JwtAccessTokens
from cinema_grpc.adapters.clock import SystemClock
from cinema_grpc.adapters.database import price_lists, schema
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.migrate import migrate
from cinema_grpc.adapters.database.seat_plans import to_text
from cinema_grpc.application.box_office.store import new_commit_id
from cinema_grpc.domain.account import Role, User
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.pricing import STANDARD, single_price
from cinema_grpc.domain.seating import SeatPlan, SeatRow
from tests.database import writing

SECRET = "a secret that signs nothing of value"  # noqa: S105 (of a database that is thrown away)
ROWS = tuple(SeatRow(label, (6, 8, 6)) for label in "ABCDEFGHIJKLMNO")
"""300 seats, the auditorium of most scenarios."""
SHOWTIMES_AN_AUDITORIUM = 100
RUNTIME = timedelta(minutes=100)
BETWEEN_STARTS = timedelta(hours=3)
SEAT_PRICE = 1_250
PRICES = price_lists.to_text(single_price(Money("EUR", SEAT_PRICE), ()))

Seats: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Customer:
    """An account, and a token that says so."""

    user_id: str
    username: str
    token: str


@dataclass(frozen=True, slots=True)
class SampleData:
    """A database, and what a client needs to know of it.

    Attributes:
        pairs: The seats of each showtime, two by two from the wall on, so that no pair ever strands a single seat.
    """

    database: KeptDatabase
    showtime_ids: Sequence[str]
    customers: Sequence[Customer]
    pairs: Sequence[Seats]

    def copy(self) -> "SampleData":
        """Make a copy of the database, beside it."""
        return replace(self, database=self.database.copy())

    def part(self, first: int, end: int) -> "SampleData":
        """Give the same data as if it had no more than some of its showtimes."""
        return replace(self, showtime_ids=self.showtime_ids[first:end])


@dataclass(frozen=True, slots=True)
class Hold:
    """A booking that is RESERVED."""

    booking_id: str
    showtime_id: str
    customer: Customer
    seats: Seats
    expire_time: datetime


def furnish(
    database: KeptDatabase,
    showtimes: int,
    customers: int,
    rows: Sequence[SeatRow] = ROWS,
    password_hash: str = "none: no customer signs in",  # noqa: S107 (a hash)
) -> SampleData:
    """Fill an empty database with showtimes from two days ahead on, none of whose seats is taken."""
    now = datetime.now(UTC)
    users = [_user(number, now) for number in range(customers)]
    start = now.replace(minute=0, second=0, microsecond=0) + timedelta(days=2)
    showtime_ids: list[str] = []

    async def fill(connection: AsyncConnection) -> None:
        await _insert(connection, schema.account, [_account_row(user, password_hash) for user in users])
        showtime_ids.extend(await _add_programme(connection, showtimes, rows, start, now))

    asyncio.run(_write(database, fill, new=True))
    tokens = JwtAccessTokens(SECRET.encode(), SystemClock())
    return SampleData(
        database,
        showtime_ids,
        [Customer(user.user_id, user.username, tokens.issue(user).text) for user in users],
        [(left, right) for left, right in _two_by_two(SeatPlan(rows).labels)],
    )


def add_holds(database: KeptDatabase, holds: Sequence[Hold], now: datetime) -> None:
    """Write holds into a database whose showtimes have sold nothing, as one commit for each showtime."""
    taken = Counter(hold.showtime_id for hold in holds for _ in hold.seats)

    async def add(connection: AsyncConnection) -> None:
        await _insert(connection, schema.booking, [_booking_row(hold, now) for hold in holds])
        claims = [
            {"showtime_id": hold.showtime_id, "seat": seat, "booking_id": hold.booking_id}
            for hold in holds
            for seat in hold.seats
        ]
        await _insert(connection, schema.seat_claim, claims)
        for showtime_id, count in taken.items():
            commit = {"revision": 1, "commit_id": new_commit_id()}
            await connection.execute(
                update(schema.showtime)
                .where(schema.showtime.c.showtime_id == showtime_id)
                .values(**commit, taken_seats=count, latest_time=now)
            )
            log = insert(schema.commit_log).values(**commit, showtime_id=showtime_id, decide_time=now)
            await connection.execute(log)

    asyncio.run(_write(database, add))


def plan_holds(
    data: SampleData, seats: Sequence[Seats], expire_time: datetime, spread: timedelta = timedelta()
) -> list[Hold]:
    """Plan holds in every showtime, each of some seats, round the customers.

    Args:
        data: Where.
        seats: What each hold of a showtime keeps.
        expire_time: When the first one is over.
        spread: How much later the last one is; those between are evenly spread, showtime after showtime.
    """
    count = len(data.showtime_ids) * len(seats)
    return [
        Hold(
            str(uuid_utils.uuid7()),
            showtime_id,
            data.customers[number % len(data.customers)],
            kept,
            expire_time + spread * (number / count),
        )
        for number, (kept, showtime_id) in enumerate(product(seats, data.showtime_ids))
    ]


def priced(seats: Seats) -> str:
    """Return the seats of a booking as stored."""
    return orjson.dumps([[seat, SEAT_PRICE, STANDARD, STANDARD, "", True] for seat in seats]).decode()


def staff_token(data: SampleData) -> str:
    """Make the first customer a member of staff, and return a token for that."""
    first = data.customers[0]
    data.database.ask(f"UPDATE account SET role = 'STAFF' WHERE user_id = '{first.user_id}' RETURNING 1")  # noqa: S608 (ours)
    staff = User(first.user_id, first.username, "", "", Role.STAFF, datetime.now(UTC))
    return JwtAccessTokens(SECRET.encode(), SystemClock()).issue(staff).text


async def _write(kept: KeptDatabase, write: Callable[[AsyncConnection], Awaitable[None]], *, new: bool = False) -> None:
    """Write in one transaction."""
    database = Database(kept.url)
    try:
        if new:
            await migrate(database)
        async with writing(database) as connection:
            await write(connection)
    finally:
        await database.close()
    await asyncio.to_thread(kept.settle)


def _two_by_two(labels: Sequence[str]) -> Iterable[Seats]:
    return zip(labels[::2], labels[1::2], strict=True)


async def _insert(connection: AsyncConnection, table: Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        await connection.execute(insert(table), rows)


def _user(number: int, now: datetime) -> User:
    name = f"customer{number}"
    return User(str(uuid_utils.uuid7()), name, f"Customer {number}", f"{name}@example.com", Role.CUSTOMER, now)


def _account_row(user: User, password_hash: str) -> dict[str, Any]:
    return {
        "user_id": user.user_id,
        "username": user.username,
        "folded_username": user.username,
        "full_name": user.full_name,
        "email": user.email,
        "folded_email": user.email,
        "role": user.role.value,
        "password_hash": password_hash,
        "create_time": user.create_time,
    }


async def _add_programme(
    connection: AsyncConnection, showtimes: int, rows: Sequence[SeatRow], start: datetime, now: datetime
) -> list[str]:
    movie_id, cinema_id = str(uuid_utils.uuid7()), str(uuid_utils.uuid7())
    movie = {"movie_id": movie_id, "title": "A Film", "runtime": RUNTIME, "rating": "PG", "synopsis": ""}
    await _insert(connection, schema.movie, [{**movie, "create_time": now, "archived": False}])
    cinema = {"cinema_id": cinema_id, "name": "A SampleData", "time_zone": "UTC", "create_time": now, "archived": False}
    await _insert(connection, schema.cinema, [cinema])
    auditoriums = [
        {
            "auditorium_id": str(uuid_utils.uuid7()),
            "cinema_id": cinema_id,
            "name": f"Screen {number + 1}",
            "rows": to_text(rows),
            "areas": "[]",
            "wheelchair_spaces": "[]",
            "archived": False,
            "total_seats": len(SeatPlan(rows)),
            "create_time": now,
        }
        for number in range(-(-showtimes // SHOWTIMES_AN_AUDITORIUM))
    ]
    await _insert(connection, schema.auditorium, auditoriums)
    made = []
    for number in range(showtimes):
        auditorium, slot = divmod(number, SHOWTIMES_AN_AUDITORIUM)
        begin = start + slot * BETWEEN_STARTS
        made.append(
            {
                "showtime_id": str(uuid_utils.uuid7()),
                "movie_id": movie_id,
                "auditorium_id": auditoriums[auditorium]["auditorium_id"],
                "cinema_id": auditoriums[auditorium]["cinema_id"],
                "start_time": begin,
                "end_time": begin + RUNTIME,
                "currency_code": "EUR",
                "status": "SCHEDULED",
                "prices": PRICES,
                "seat_gap_policy": "REFUSE",
                "taken_seats": 0,
                "revision": 0,
                "commit_id": new_commit_id(),
                "terms_revision": 0,
                "latest_time": now,
            }
        )
    await _insert(connection, schema.showtime, made)
    commits = [{name: row[name] for name in ("showtime_id", "revision", "commit_id")} for row in made]
    await _insert(connection, schema.commit_log, [{**commit, "decide_time": now} for commit in commits])
    return [str(row["showtime_id"]) for row in made]


def _booking_row(hold: Hold, now: datetime) -> dict[str, Any]:
    return {
        "booking_id": hold.booking_id,
        "showtime_id": hold.showtime_id,
        "user_id": hold.customer.user_id,
        "status": "RESERVED",
        "seats": priced(hold.seats),
        "seat_count": len(hold.seats),
        "currency_code": "EUR",
        "total_price": len(hold.seats) * SEAT_PRICE,
        "create_time": now,
        "hold_expire_time": hold.expire_time,
        "hold_extended": False,
        "hold_renewed": False,
        "wheelchair": False,
        "revision": 1,
    }
