"""The audit finds each way in which the rows can be wrong, and nothing in rows that are as they should be."""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.audit import Books, Report, audit
from cinema_grpc.adapters.database.invariants import invariants
from cinema_grpc.adapters.database.schema import microseconds
from cinema_grpc.domain.booking import Booking, Ticket
from cinema_grpc.domain.payment import RefundStatus
from cinema_grpc.domain.session import RefreshToken, Session
from cinema_grpc.domain.showtime import Showtime
from tests.application.conftest import START, House

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
MINUTE = 60_000_000
GIVEN_UP, CONFIRMED, HELD = "b0002", "b0003", "b0004"
ATTEMPT = "INSERT INTO payment_attempt (attempt_id, booking_id, status, create_time) VALUES "

# ruff: noqa: S608 (SQL that is put together from texts of this file)

BREACHES = {
    "a seat has one owner": f"UPDATE booking SET seats = 'A1' WHERE booking_id = '{CONFIRMED}'",
    "a claim belongs to a booking that keeps the seat": (
        f"UPDATE seat_claim SET seat = 'A9' WHERE booking_id = '{HELD}'"
    ),
    "a booking that keeps seats has a claim on each": f"DELETE FROM seat_claim WHERE booking_id = '{HELD}'",
    "the taken seats of a showtime are counted right": "UPDATE showtime SET taken_seats = 7 WHERE showtime_id = 's1'",
    "a showtime is in the cinema of its auditorium": "UPDATE showtime SET cinema_id = 'c2' WHERE showtime_id = 's1'",
    "the seats of a booking are counted right": f"UPDATE booking SET seat_count = 3 WHERE booking_id = '{HELD}'",
    "a booking's status agrees with when it was confirmed and cancelled": (
        f"UPDATE booking SET cancel_time = NULL WHERE booking_id = '{GIVEN_UP}'"
    ),
    "a ticket is for a seat of a booking that was confirmed": (
        f"UPDATE ticket SET booking_id = '{HELD}' WHERE seat = 'A2'"
    ),
    "a booking that was confirmed has one ticket for each seat": (
        f"DELETE FROM ticket WHERE booking_id = '{CONFIRMED}'"
    ),
    "a hold that is over is written down so within 10 seconds (while a server runs)": (
        f"UPDATE booking SET hold_expire_time = create_time - {MINUTE} WHERE booking_id = '{HELD}'"
    ),
    "an attempt to charge comes to an end within 15 minutes": (
        f"{ATTEMPT} ('a9', '{HELD}', 'VOIDING', {microseconds(START) - 14 * 60 * MINUTE})"
    ),
    "a refund is paid within an hour": (
        f"UPDATE refund SET status = 'PENDING', create_time = create_time - {90 * MINUTE}"
    ),
    "no refund is given up": "UPDATE refund SET status = 'FAILED'",
    "a booking is charged once": f"{ATTEMPT} ('a9', '{CONFIRMED}', 'CHARGED', 0)",
    "a booking that was confirmed was charged": (
        f"UPDATE payment_attempt SET status = 'DECLINED' WHERE booking_id = '{CONFIRMED}'"
    ),
    "a booking that was charged is confirmed or refunded": "DELETE FROM refund",
    "a refund is for a charge of a booking that is over": (
        f"UPDATE booking SET status = 'CONFIRMED' WHERE booking_id = '{GIVEN_UP}'"
    ),
    "a refund is what the policy says": "UPDATE refund SET percent = 51",
    "an account that is disabled has no session": "UPDATE account SET disabled = true WHERE user_id = 'ada'",
    "charges less refunds are what is sold and kept": "UPDATE refund SET amount = amount - 1",
}


async def pay(house: House, booking: Booking) -> None:
    """Pay for a booking."""
    name = booking.booking_id
    tickets = [Ticket(f"{name}-{seat}", seat, f"{name}-{seat}") for seat in booking.seats]

    def change(showtime: Showtime, now: datetime) -> Booking:
        showtime.open_payment(name, booking.user_id, f"a-{name}", now)
        return showtime.settle_charge(name, f"a-{name}", tickets, f"r-{name}", now)

    await house.box_office.execute(booking.showtime_id, change, booking_id=name)


async def a_history(house: House) -> None:
    """Let a hold lapse, give up what was paid for so late that half of it goes back, pay, and hold."""
    house.clock.advance(START - timedelta(hours=13) - house.clock.now())
    await house.hold("A5")
    house.clock.advance(timedelta(minutes=10))
    await house.box_office.execute("s1", lambda showtime, now: showtime.expire(10, now))
    await pay(house, await house.hold("A4"))
    await house.box_office.execute(
        "s1", lambda showtime, now: showtime.cancel(GIVEN_UP, "ada", "r1", now), booking_id=GIVEN_UP
    )
    await house.box_office.execute(
        "s1",
        lambda showtime, _now: showtime.settle_refund(GIVEN_UP, "r1", RefundStatus.COMPLETED),
        booking_id=GIVEN_UP,
    )
    await pay(house, await house.hold("A2", "A3"))
    await house.hold("A1")
    async with house.database.writing() as connection:
        session = Session.begin(RefreshToken(b"family", b"secret"), "ada", house.clock.now())
        await connection.execute(insert(schema.session).values(**asdict(session)))


async def order(house: House, *statements: str) -> None:
    """Change rows behind the program's back."""
    async with house.database.writing() as connection:
        for statement in statements:
            await connection.exec_driver_sql(statement)


def broken(report: Report) -> set[str]:
    return {finding.rule for finding in report.findings if finding.breaches}


async def test_nothing_is_wrong_with_what_the_program_writes(house: House) -> None:
    """And the books say what was charged, what went back, what is sold and what the policy kept."""
    await a_history(house)
    report = await audit(house.database)
    assert broken(report) == set()
    assert report.books == [Books("EUR", charged=3_750, refunded=625, sold=2_500, kept=625)]
    assert "Everything is as it should be." in report.describe()


@pytest.mark.parametrize("rule", BREACHES)
async def test_each_breach_is_named(house: House, rule: str) -> None:
    """With how often it is there, and with examples."""
    await a_history(house)
    await order(house, BREACHES[rule])
    report = await audit(house.database)
    (finding,) = (each for each in report.findings if each.rule == rule)
    assert finding.breaches == 1
    assert len(finding.examples) == 1
    assert f"{1:8}  {rule}\n" in report.describe()
    assert report.to_json()["breaches"] == report.breaches > 0


async def test_no_rule_is_left_out(house: House) -> None:
    """Of those in the list; what SQLite finds by itself comes on top."""
    rules = {each.rule for each in invariants(house.database.engine.dialect.name)}
    assert rules | {"charges less refunds are what is sold and kept"} == BREACHES.keys()


async def test_many_breaches_are_counted_and_few_are_shown(house: House) -> None:
    for number in range(1, 9):
        await house.hold(f"A{number}")
    await order(house, "DELETE FROM seat_claim")
    (finding,) = (each for each in (await audit(house.database)).findings if "has a claim on each" in each.rule)
    assert (finding.breaches, len(finding.examples)) == (8, 5)


@ON_SQLITE
async def test_a_damaged_file(house: House) -> None:
    """A row that refers to nothing, and an index that has lost an entry, which SQLite itself finds."""
    await a_history(house)
    path = str(house.database.engine.url.database)
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("DELETE FROM account WHERE user_id = 'ada'")
        raw.execute("PRAGMA writable_schema = ON")
        index = "ticket_booking_id_index"
        raw.execute(f"UPDATE sqlite_schema SET sql = replace(sql, '(booking_id)', '(seat)') WHERE name = '{index}'")
    found = broken(await audit(house.database))
    assert {"the file is sound", "what a row refers to is there"} <= found


@ON_SQLITE
async def test_others_go_on_writing(house: House, tmp_path: Path) -> None:
    """The file is looked over in a copy: nobody waits for more than the copying, and nothing stays behind."""
    await a_history(house)
    before = set(tmp_path.iterdir())  # noqa: ASYNC240 (a test's)
    auditing = asyncio.create_task(audit(house.database))
    for number in range(6, 11):
        await house.hold(f"A{number}", by="bob")
    assert broken(await auditing) == set()
    assert set(tmp_path.iterdir()) == before  # noqa: ASYNC240 (a test's)
