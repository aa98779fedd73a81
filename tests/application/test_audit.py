"""The audit finds each way in which rows can be wrong, and nothing in rows that the program wrote."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from cinema_grpc.adapters.database.audit import Books, Report, audit, report_on
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.invariants import invariants
from tests.application.audit_breaches import BREACHES
from tests.application.audited import HELD, a_history
from tests.application.conftest import App
from tests.database import reading, writing

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

# ruff: noqa: S608 (SQL that is put together from texts of this file)

CASES = [
    (rule, statement)
    for rule, statements in BREACHES.items()
    for statement in ([statements] if isinstance(statements, str) else statements)
]


async def order(app: App, *statements: str) -> None:
    """Run statements on a connection of the test."""
    async with writing(app.database) as connection:
        for statement in statements:
            await connection.exec_driver_sql(statement)


async def report_after(statement: str, connection: AsyncConnection, app: App) -> Report:
    """Audit what a statement makes of the rows, and undo that."""
    savepoint = await connection.begin_nested()
    await connection.exec_driver_sql(statement)
    report = await report_on(connection, app.clock.now())
    await savepoint.rollback()
    return report


def broken(report: Report) -> set[str]:
    return {finding.rule for finding in report.findings if finding.breaches}


async def test_what_the_program_writes_has_no_breach(app: App) -> None:
    """The books say what was charged, what was paid back, what is sold and what the policy kept."""
    await a_history(app)
    report = await audit(app.database)
    assert broken(report) == set()
    assert report.books == [Books("EUR", charged=13_750, refunded=6_625, sold=5_000, kept=2_125)]
    assert "No breaches." in report.describe()


@pytest.mark.no_cover
async def test_each_breach_is_found(app: App) -> None:
    """By its rule, once; each statement is undone again."""
    await a_history(app)
    async with reading(app.database) as connection:
        reports = [(*case, await report_after(case[1], connection, app)) for case in CASES]
    for rule, statement, report in reports:
        (finding,) = (each for each in report.findings if each.rule == rule)
        assert (finding.breaches, len(finding.examples)) == (1, 1), (rule, statement)


async def test_showtimes_that_are_older_than_the_kept_events(app: App) -> None:
    """Need no event of their creation; others do."""
    await a_history(app)
    await order(app, "DELETE FROM event", "UPDATE event_feed SET trimmed_position = 1000")
    (rule,) = (each for each in BREACHES if each.startswith("a showtime has the event that it was created"))
    assert rule not in broken(await audit(app.database))
    await app.hold("A3", by="bob")
    assert rule not in broken(await audit(app.database))
    await order(app, "UPDATE commit_log SET decide_time = decide_time + 1000000000000000 WHERE showtime_id = 's2'")
    (finding,) = (each for each in (await audit(app.database)).findings if each.rule == rule)
    assert [each["showtime_id"] for each in finding.examples] == ["s2"]


async def test_a_hold_that_lapses_while_the_audit_begins(app: App) -> None:
    """Does not count for the limit of seats on hold: others of its customer may be held since."""
    await a_history(app)
    rule = "a customer has at most 10 seats of a showtime on hold"
    async with reading(app.database) as connection:
        await connection.exec_driver_sql(f"UPDATE booking SET seat_count = 11 WHERE booking_id = '{HELD}'")
        now = app.clock.now()
        assert rule in broken(await report_on(connection, now))
        assert rule not in broken(await report_on(connection, now, now + timedelta(minutes=10)))


async def test_a_report_names_each_breach(app: App) -> None:
    """With how often it was found, and with examples."""
    await a_history(app)
    await order(app, "UPDATE showtime SET taken_seats = 17 WHERE showtime_id = 's1'")
    report = await audit(app.database)
    shown = report.describe()
    assert "       1  the taken seats of a showtime are counted right\n" in shown
    assert "showtime_id=s1, taken_seats=17, claims=6\n" in shown
    assert shown.endswith("\n1 breaches")
    assert report.to_json()["breaches"] == report.breaches == 1


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
@pytest.mark.parametrize("damaged", ["ticket", "ticket_booking_id_index"])
async def test_a_file_too_damaged_for_the_other_rules(app: App, tmp_path: Path, damaged: str) -> None:
    """SQLite's own check names what is damaged, or fails at it."""
    await a_history(app)
    path = Path(str(app.database.engine.url.database))
    with closing(sqlite3.connect(path)) as raw:
        query = "SELECT rootpage, page_size FROM sqlite_schema, pragma_page_size WHERE name = ?"
        ((page, size),) = raw.execute(query, (damaged,))
    data = path.read_bytes()  # noqa: ASYNC240 (a test's)
    copy = tmp_path / "damaged.db"
    copy.write_bytes(data[: (page - 1) * size + 8] + b"\xff" * (size - 8) + data[page * size :])
    database = Database(f"sqlite+aiosqlite:///{copy}")
    finding, *_ = (await audit(database)).findings
    assert (finding.rule, finding.breaches > 0) == ("the file is sound", True)
    await database.close()


@ON_SQLITE
async def test_others_go_on_writing(app: App, tmp_path: Path) -> None:
    """The audit reads a copy of the file: others wait for the copying alone, and nothing stays behind."""
    await a_history(app)
    await app.hold("A3", by="bob")  # the journal is there again, which `writing` deleted
    before = set(tmp_path.iterdir())  # noqa: ASYNC240 (a test's)
    auditing = asyncio.create_task(audit(app.database))
    for number in (4, 5, 7):
        await app.hold(f"A{number}", by="bob")
    assert broken(await auditing) == set()
    assert set(tmp_path.iterdir()) == before  # noqa: ASYNC240 (a test's)
