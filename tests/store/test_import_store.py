"""Imports on each database: all or nothing, in one transaction, and repeatable."""

import asyncio
import gc
import sys
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import event, func, select, update
from sqlalchemy.engine import Engine

from cinema_grpc.adapters.database import import_store, schema
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.import_store import SqlImportStore
from cinema_grpc.application.catalog_import import Existing, Plan, Wanted
from cinema_grpc.application.catalog_rules import any_price
from cinema_grpc.application.import_plan import plan_import, refusals_of
from cinema_grpc.cli.import_catalog import import_catalog
from cinema_grpc.cli.import_files import read_rows
from cinema_grpc.cli.import_rows import RowReader
from cinema_grpc.config import Settings
from tests.database import reading, writing

SHOWTIMES = 200
SECONDS_TO_WAIT = 0.5
"""How long an import is given to do what it must not do."""
TABLES = (schema.movie, schema.cinema, schema.auditorium, schema.showtime, schema.commit_log)


def write(folder: Path, showtimes: int, price_lines: int = 0) -> list[Path]:
    """Write files with so many showtimes, at one price or at price lists of so many lines, and return them."""
    first = datetime.now(UTC).date() + timedelta(days=30)
    column, prices = "price", "12.50 EUR"
    if price_lines:
        column, prices = "prices", ";".join(f"standard t{line}: 12.50 EUR card" for line in range(price_lines))
    rows = [
        f"Movie,House,Screen {number % 4},{first + timedelta(days=number // 4)} 20:00,{prices}"
        for number in range(showtimes)
    ]
    content = {
        "movies.csv": ["title,runtime_minutes", "Movie,100"],
        "cinemas.csv": ["name,time_zone", "House,Europe/Berlin"],
        "auditoriums.csv": ["cinema,name,rows", *(f"House,Screen {number},A: 5+5" for number in range(4))],
        "showtimes.csv": [f"movie,cinema,auditorium,start_time,{column}", *rows],
    }
    for name, lines in content.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    return [folder / name for name in content]


async def counts(url: str) -> list[int]:
    """Return how many rows the tables have."""
    database = Database(url)
    try:
        async with database.engine.connect() as connection:
            return [(await connection.execute(select(func.count()).select_from(each))).scalar_one() for each in TABLES]
    finally:
        await database.close()


async def test_an_import_and_its_repetition(database_url: str, tmp_path: Path) -> None:
    """What a dry run finds missing is created; a second time everything is there; an error keeps the rest out."""
    settings, files = Settings(database_url=database_url), write(tmp_path, SHOWTIMES)
    plan = await import_catalog(settings, files, dry_run=True)
    assert (plan.problems, len(plan.showtimes)) == ([], SHOWTIMES)
    assert await counts(database_url) == [0] * 5
    assert (await import_catalog(settings, files, dry_run=False)).unchanged == 0
    whole = [1, 1, 4, SHOWTIMES, SHOWTIMES]
    assert await counts(database_url) == whole
    assert (await import_catalog(settings, files, dry_run=False)).unchanged == 6 + SHOWTIMES
    files = write(tmp_path, SHOWTIMES + 8)
    files[-1].write_text(files[-1].read_text() + "Movie,House,Screen 9,2030-01-01 20:00,1 EUR\n")
    (problem,) = (await import_catalog(settings, files, dry_run=False)).problems
    assert (problem.place, problem.field) == (f"showtimes.csv row {SHOWTIMES + 10}", "auditorium")
    assert await counts(database_url) == whole


@pytest.mark.parametrize("table", [schema.movie, schema.cinema, schema.auditorium], ids=lambda table: str(table.name))
async def test_an_import_waits_for_what_is_being_archived(database_url: str, tmp_path: Path, table: Any) -> None:
    """And adds no showtimes to it, as CreateShowtime does not."""
    settings, files = Settings(database_url=database_url), write(tmp_path, SHOWTIMES)
    await import_catalog(settings, files[:-1], dry_run=False)
    database = Database(database_url)
    async with writing(database) as connection:
        await connection.execute(update(table).values(archived=True))
        importing = asyncio.create_task(import_catalog(settings, files[-1:], dry_run=False))
        done, _ = await asyncio.wait([importing], timeout=SECONDS_TO_WAIT)
        assert not done
    await database.close()
    assert {(each.field, each.place[:14]) for each in (await importing).problems} == {(table.name, "showtimes.csv ")}
    assert await counts(database_url) == [1, 1, 4, 0, 0]


def entries(files: list[Path]) -> Wanted:
    """Return the entries of files without errors."""
    reader = RowReader()
    for file in files:
        for row in read_rows(file, []):
            reader.add(row)
    assert reader.problems == []
    return reader.wanted


async def calls_to_plan(url: str, files: list[Path]) -> int:
    """Return how many functions are called to plan an import, in its transaction; it writes nothing."""
    wanted, calls = entries(files), 0
    refusals = refusals_of(wanted, any_price)

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    def decide(existing: Existing, now: datetime) -> Plan:
        gc.disable()  # what it collects may be called, too
        sys.setprofile(count)
        try:
            return plan_import(wanted, refusals, existing, now)
        finally:
            sys.setprofile(None)
            gc.enable()

    database = Database(url)
    assert (await SqlImportStore(database).carry_out(wanted, decide, write=False)).problems == []
    await database.close()
    return calls


@pytest.mark.no_cover
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_long_price_lists_do_not_slow_the_transaction_down(database_url: str, tmp_path: Path) -> None:
    """Others wait for it. Neither new showtimes nor those that are there cost more with 60 prices than with one."""
    short = await calls_to_plan(database_url, write(tmp_path, 50))
    files = write(tmp_path, 50, price_lines=60)
    assert await calls_to_plan(database_url, files) < 1.2 * short
    assert (await import_catalog(Settings(database_url=database_url), files, dry_run=False)).problems == []
    assert await calls_to_plan(database_url, files) < 1.2 * short


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_planning_may_take_longer_than_transactions_may_idle(database_url: str) -> None:
    database = Database(f"{database_url}&idle_in_transaction_session_timeout=1000")

    def decide(_existing: Existing, _now: datetime) -> Plan:
        time.sleep(1.5)
        return Plan()

    assert await SqlImportStore(database).carry_out(Wanted(), decide, write=True) == Plan()
    await database.close()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_an_import_waits_for_another_one(database_url: str, tmp_path: Path) -> None:
    """For longer than other transactions wait; nothing tells an operator then that the database is not available."""
    url = f"{database_url}&lock_timeout=50"
    database = Database(database_url)
    async with writing(database) as connection:
        await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({import_store.IMPORT_LOCK})")
        importing = asyncio.create_task(import_catalog(Settings(database_url=url), write(tmp_path, 1), dry_run=False))
        done, _ = await asyncio.wait([importing], timeout=SECONDS_TO_WAIT)
        assert not done
    await database.close()
    assert (await importing).problems == []


@pytest.mark.parametrize(("price_lines", "field"), [(0, "price"), (1, "prices[0].price")])
async def test_prices_that_stripe_can_not_charge(
    database_url: str, tmp_path: Path, price_lines: int, field: str
) -> None:
    """Are refused for new showtimes; those that are there stay as they are."""
    files, settings = write(tmp_path, 1, price_lines), Settings(database_url=database_url)
    files[-1].write_text(files[-1].read_text().replace("12.50 EUR", "0.10 EUR"))
    stripe = Settings(database_url=database_url, payments="stripe", stripe_secret_key=SecretStr("sk_test_1"))
    (problem,) = (await import_catalog(stripe, files, dry_run=False)).problems
    assert (problem.place, problem.field) == ("showtimes.csv row 2", f"{field}.minor_units")
    assert (await import_catalog(settings, files, dry_run=False)).unchanged == 0
    assert (await import_catalog(stripe, files, dry_run=False)).unchanged == 7


async def test_an_import_takes_few_statements(database_url: str, tmp_path: Path) -> None:
    """However many showtimes it creates: others wait for it."""
    wanted, statements = entries(write(tmp_path, SHOWTIMES)), 0
    decide = partial(plan_import, wanted, refusals_of(wanted, any_price))

    def count(*_arguments: object) -> None:
        nonlocal statements
        statements += 1

    database = Database(database_url)
    event.listen(Engine, "before_cursor_execute", count)
    try:
        plan = await SqlImportStore(database).carry_out(wanted, decide, write=True)
    finally:
        event.remove(Engine, "before_cursor_execute", count)
    assert len(plan.showtimes) == SHOWTIMES
    assert 6 < statements < 30
    async with reading(database) as connection:
        table = schema.event_outbox if database.driver.shared else schema.event
        events = await connection.execute(select(func.count()).select_from(table))
        assert events.scalar_one() == SHOWTIMES
    await database.close()
