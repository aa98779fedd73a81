"""The audit finds each way in which rows can be wrong, and nothing in rows that the program wrote."""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.audit import Books, Report, audit
from cinema_grpc.adapters.database.column_types import microseconds
from cinema_grpc.adapters.database.invariants import invariants
from cinema_grpc.application.box_office.command import Command, Decision
from cinema_grpc.domain.booking import Booking, Ticket
from cinema_grpc.domain.payment import RefundStatus
from cinema_grpc.domain.session import RefreshToken, Session
from tests.application.commands import cancel_command, expire_command
from tests.application.conftest import App
from tests.database import START, writing

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
MINUTE = 60_000_000
ONE_SEAT = '[["A1", 1250]]'
CANCELLED, CONFIRMED, HELD = "b0002", "b0003", "b0004"
ATTEMPT = "INSERT INTO payment_attempt (request, due_time, tries, attempt_id, booking_id, status, create_time) VALUES "

# ruff: noqa: S608 (SQL that is put together from texts of this file)

BREACHES = {
    "a seat has one owner": f"UPDATE booking SET seats = '{ONE_SEAT}' WHERE booking_id = '{CONFIRMED}'",
    "a claim belongs to a booking that keeps the seat": (
        f"UPDATE seat_claim SET seat = 'A9' WHERE booking_id = '{HELD}'"
    ),
    "a booking that keeps seats has a claim on each": f"DELETE FROM seat_claim WHERE booking_id = '{HELD}'",
    "the taken seats of a showtime are counted right": "UPDATE showtime SET taken_seats = 7 WHERE showtime_id = 's1'",
    "a showtime is in the cinema of its auditorium": "UPDATE showtime SET cinema_id = 'c2' WHERE showtime_id = 's1'",
    "the revision and the commit of a showtime are the latest in the commit log": (
        "UPDATE showtime SET commit_id = 'lost' WHERE showtime_id = 's1'"
    ),
    "the seats of a booking are counted right": f"UPDATE booking SET seat_count = 3 WHERE booking_id = '{HELD}'",
    "the price of a booking is the sum of its seats' prices": (
        f"UPDATE booking SET total_price = 1 WHERE booking_id = '{HELD}'"
    ),
    "a booking's status agrees with when it was confirmed and cancelled": (
        f"UPDATE booking SET cancel_time = NULL WHERE booking_id = '{CANCELLED}'"
    ),
    "a ticket is for a seat of a booking that was confirmed": (
        f"UPDATE ticket SET booking_id = '{HELD}' WHERE seat = 'A2'"
    ),
    "a booking that was confirmed has one ticket for each seat": (
        f"DELETE FROM ticket WHERE booking_id = '{CONFIRMED}'"
    ),
    "a lapsed hold is EXPIRED within 10 seconds (while a server runs)": (
        f"UPDATE booking SET hold_expire_time = create_time - {MINUTE} WHERE booking_id = '{HELD}'"
    ),
    "a payment attempt is settled within 15 minutes": (
        f"{ATTEMPT} ('', 0, 0, 'a9', '{HELD}', 'VOIDING', {microseconds(START) - 14 * 60 * MINUTE})"
    ),
    "a refund is paid within an hour": (
        f"UPDATE refund SET status = 'PENDING', create_time = create_time - {90 * MINUTE}"
    ),
    "no refund has failed": "UPDATE refund SET status = 'FAILED'",
    "a booking is charged once": f"{ATTEMPT} ('', 0, 0, 'a9', '{CONFIRMED}', 'CHARGED', 0)",
    "a booking that was confirmed was charged": (
        f"UPDATE payment_attempt SET status = 'DECLINED' WHERE booking_id = '{CONFIRMED}'"
    ),
    "a booking that was charged is confirmed or refunded": "DELETE FROM refund",
    "a refund is for a charge of a booking that is over": (
        f"UPDATE booking SET status = 'CONFIRMED' WHERE booking_id = '{CANCELLED}'"
    ),
    "a refund is what the policy says": "UPDATE refund SET percent = 51",
    "an account that is disabled has no session": "UPDATE account SET disabled = true WHERE user_id = 'ada'",
    "charges less refunds are what is sold and kept": "UPDATE refund SET amount = amount - 1",
}


async def pay(app: App, booking: Booking) -> None:
    """Pay for a booking."""
    name = booking.booking_id
    tickets = [Ticket(f"{name}-{seat}", seat, f"{name}-{seat}") for seat in booking.labels]

    def confirm(decision: Decision) -> None:
        decision.showtime.open_payment(name, booking.user_id, f"a-{name}", decision.now)
        decision.showtime.settle_charge(name, f"a-{name}", tickets, f"r-{name}", decision.now)

    await app.box_office.execute(Command(booking.showtime_id, confirm, booking_id=name))


def pay_back(decision: Decision) -> None:
    decision.showtime.settle_refund(CANCELLED, f"refund of {CANCELLED}", RefundStatus.COMPLETED)


async def a_history(app: App) -> None:
    """Let a hold lapse, cancel a confirmed booking so late that half of it is paid back, confirm another, and hold."""
    app.clock.advance(START - timedelta(hours=13) - app.clock.now())
    await app.hold("A5")
    app.clock.advance(timedelta(minutes=10))
    await app.box_office.execute(expire_command())
    cancelled = await app.hold("A4")
    await pay(app, cancelled)
    await app.box_office.execute(cancel_command(cancelled))
    await app.box_office.execute(Command("s1", pay_back, booking_id=CANCELLED))
    await pay(app, await app.hold("A2", "A3"))
    await app.hold("A1")
    async with writing(app.database) as connection:
        session = Session.begin(RefreshToken(b"family", b"secret"), "ada", app.clock.now())
        await connection.execute(insert(schema.session).values(**asdict(session)))


async def order(app: App, *statements: str) -> None:
    """Run statements on a connection of the test."""
    async with writing(app.database) as connection:
        for statement in statements:
            await connection.exec_driver_sql(statement)


def broken(report: Report) -> set[str]:
    return {finding.rule for finding in report.findings if finding.breaches}


async def test_what_the_program_writes_has_no_breach(app: App) -> None:
    """The books say what was charged, what was paid back, what is sold and what the policy kept."""
    await a_history(app)
    report = await audit(app.database)
    assert broken(report) == set()
    assert report.books == [Books("EUR", charged=3_750, refunded=625, sold=2_500, kept=625)]
    assert "No breaches." in report.describe()


@pytest.mark.parametrize("rule", BREACHES)
async def test_each_breach_is_named(app: App, rule: str) -> None:
    """With how often it was found, and with examples."""
    await a_history(app)
    await order(app, BREACHES[rule])
    report = await audit(app.database)
    (finding,) = (each for each in report.findings if each.rule == rule)
    assert finding.breaches == 1
    assert len(finding.examples) == 1
    assert f"{1:8}  {rule}\n" in report.describe()
    assert report.to_json()["breaches"] == report.breaches > 0


async def test_no_rule_is_left_out(app: App) -> None:
    """Of those in the list; what SQLite finds by itself comes on top."""
    rules = {each.rule for each in invariants(app.database.engine.dialect.name)}
    assert rules | {"charges less refunds are what is sold and kept"} == BREACHES.keys()


async def test_many_breaches_are_counted_and_few_are_shown(app: App) -> None:
    for number in range(1, 9):
        await app.hold(f"A{number}")
    await order(app, "DELETE FROM seat_claim")
    (finding,) = (each for each in (await audit(app.database)).findings if "has a claim on each" in each.rule)
    assert (finding.breaches, len(finding.examples)) == (8, 5)


@ON_SQLITE
async def test_a_damaged_file(app: App) -> None:
    """A row that refers to nothing, and an index that has lost an entry, which SQLite itself finds."""
    await a_history(app)
    path = str(app.database.engine.url.database)
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("DELETE FROM account WHERE user_id = 'ada'")
        raw.execute("PRAGMA writable_schema = ON")
        index = "ticket_booking_id_index"
        raw.execute(f"UPDATE sqlite_schema SET sql = replace(sql, '(booking_id)', '(seat)') WHERE name = '{index}'")
    found = broken(await audit(app.database))
    assert {"the file is sound", "what a row refers to is there"} <= found


@ON_SQLITE
async def test_others_go_on_writing(app: App, tmp_path: Path) -> None:
    """The audit reads a copy of the file: others wait for the copying alone, and nothing stays behind."""
    await a_history(app)
    await app.hold("A6", by="bob")  # the journal is there again, which `writing` deleted
    before = set(tmp_path.iterdir())  # noqa: ASYNC240 (a test's)
    auditing = asyncio.create_task(audit(app.database))
    for number in range(7, 11):
        await app.hold(f"A{number}", by="bob")
    assert broken(await auditing) == set()
    assert set(tmp_path.iterdir()) == before  # noqa: ASYNC240 (a test's)
