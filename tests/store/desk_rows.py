"""Rows of bookings and refunds as staff look for them: two cinemas, three showtimes, customers."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Table, insert

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.database import Database
from tests.builders import NOW, FakeClock
from tests.database import writing

HOLD = timedelta(minutes=10)
START = NOW + timedelta(days=2)
Rows = Sequence[dict[str, Any]]


@asynccontextmanager
async def furnished(database_url: str) -> AsyncIterator[Database]:
    """Open a database with accounts, cinemas and showtimes: s1 and s2 are in the cinema c1, s3 is in c2."""
    database = Database(database_url, FakeClock())
    await write(
        database, schema.account, [account("ada", "Ada@Example.com"), account("Bob", "bob@example.com"), staff()]
    )
    await write(database, schema.movie, [_movie("m1"), _movie("m2")])
    await write(database, schema.cinema, [_cinema("c1", "Europe/Berlin"), _cinema("c2", "UTC")])
    await write(database, schema.auditorium, [_auditorium("a1", "c1", 10), _auditorium("a2", "c2", 20)])
    showtimes = [
        _showtime("s1", "m1", "a1", "c1"),
        _showtime("s2", "m2", "a1", "c1"),
        _showtime("s3", "m1", "a2", "c2"),
    ]
    await write(database, schema.showtime, showtimes)
    yield database
    await database.close()


async def write(database: Database, table: Table, rows: Rows) -> None:
    """Insert rows."""
    if rows:
        async with writing(database) as connection:
            await connection.execute(insert(table), rows)


def account(name: str, email: str, role: str = "CUSTOMER") -> dict[str, Any]:
    """Make an account, whose user_id is its username in lower case."""
    return {
        "user_id": name.lower(),
        "username": name,
        "folded_username": name.lower(),
        "full_name": name.title(),
        "email": email,
        "folded_email": email.lower() or None,
        "role": role,
        "password_hash": "none",
        "create_time": NOW,
    }


def staff() -> dict[str, Any]:
    """Make an account of staff."""
    return account("staff", "", "STAFF")


def seats(*prices: int, category: str = "standard", ticket_type: str = "adult", first: int = 1) -> list[list[Any]]:
    """Make seats in row A with these prices, from a number on."""
    return [[f"A{number}", price, category, ticket_type, "", True] for number, price in enumerate(prices, start=first)]


def booking(number: int, status: str = "CONFIRMED", **fields: Any) -> dict[str, Any]:
    """Make a booking, on which `fields` win; `seats` are a list."""
    booked = fields.pop("seats", None) or seats(1_250)
    is_sold = status == "CONFIRMED"
    return {
        "booking_id": f"b{number:06}",
        "showtime_id": "s1",
        "user_id": "ada",
        "status": status,
        "seats": json.dumps(booked, separators=(",", ":")),
        "wheelchair": False,
        "seat_count": len(booked),
        "currency_code": "EUR",
        "total_price": sum(price for _, price, *_ in booked),
        "create_time": NOW - HOLD,
        "hold_expire_time": NOW + HOLD,
        "hold_extended": status != "RESERVED",
        "hold_renewed": False,
        "confirm_time": NOW if is_sold else None,
        "cancel_time": NOW if status == "CANCELLED" else None,
        "cancel_cause": "CUSTOMER" if status == "CANCELLED" else None,
        "cancel_reason": None,
        "tender": None,
        "sold_by": None,
        "sale_reason": None,
        "revision": number,
        "relied_on": None,
        **fields,
    }


def refund(number: int, of: int, amount: int, *labels: str, time: datetime = NOW, **fields: Any) -> dict[str, Any]:
    """Make a refund of seats of a booking, on which `fields` win."""
    return {
        "refund_id": f"r{number:06}",
        "booking_id": f"b{of:06}",
        "showtime_id": "s1",
        "attempt_id": None,
        "seats": json.dumps(labels),
        "currency_code": "EUR",
        "amount": amount,
        "percent": 50,
        "status": "COMPLETED",
        "create_time": time,
        "settled_by": None,
        "settle_time": None,
        "note": None,
        "due_time": time,
        "tries": 0,
        **fields,
    }


def claims(rows: Rows) -> Rows:
    """Make the claims of bookings that keep their seats."""
    return [
        {"showtime_id": row["showtime_id"], "seat": seat[0], "booking_id": row["booking_id"], "block_id": None}
        for row in rows
        if row["status"] in {"RESERVED", "CONFIRMED"}
        for seat in json.loads(row["seats"])
    ]


def _movie(movie_id: str) -> dict[str, Any]:
    return {
        "movie_id": movie_id,
        "title": "A Film",
        "runtime": timedelta(hours=2),
        "rating": "",
        "synopsis": "",
        "create_time": NOW,
        "archived": False,
    }


def _cinema(cinema_id: str, time_zone: str) -> dict[str, Any]:
    return {
        "cinema_id": cinema_id,
        "name": "A House",
        "time_zone": time_zone,
        "create_time": NOW,
        "archived": False,
    }


def _auditorium(auditorium_id: str, cinema_id: str, total_seats: int) -> dict[str, Any]:
    return {
        "auditorium_id": auditorium_id,
        "cinema_id": cinema_id,
        "name": "One",
        "rows": f'[["A", [{total_seats}]]]',
        "areas": "[]",
        "wheelchair_spaces": "[]",
        "total_seats": total_seats,
        "create_time": NOW,
        "archived": False,
    }


def _showtime(showtime_id: str, movie_id: str, auditorium_id: str, cinema_id: str) -> dict[str, Any]:
    return {
        "showtime_id": showtime_id,
        "movie_id": movie_id,
        "auditorium_id": auditorium_id,
        "cinema_id": cinema_id,
        "start_time": START,
        "end_time": START + timedelta(hours=2),
        "status": "SCHEDULED",
        "currency_code": "EUR",
        "prices": '[["standard", "adult", 1250, ""]]',
        "seat_gap_policy": "ALLOW",
        "taken_seats": 0,
        "revision": 0,
        "commit_id": f"commit of {showtime_id}",
        "terms_revision": 0,
        "latest_time": NOW,
    }
