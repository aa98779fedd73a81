"""Imports on each database: all or nothing, in one transaction, and repeatable."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.cli.import_catalog import import_catalog
from cinema_grpc.config import Settings
from tests.database import writing

SHOWTIMES = 200
SECONDS_TO_WAIT = 0.5
"""How long an import is given to do what it must not do."""
TABLES = (schema.movie, schema.cinema, schema.auditorium, schema.showtime, schema.commit_log)


def write(folder: Path, showtimes: int) -> list[Path]:
    """Write files with so many showtimes, and return them."""
    first = datetime.now(UTC).date() + timedelta(days=30)
    rows = [
        f"Movie,House,Screen {number % 4},{first + timedelta(days=number // 4)} 20:00,12.50 EUR"
        for number in range(showtimes)
    ]
    content = {
        "movies.csv": ["title,runtime_minutes", "Movie,100"],
        "cinemas.csv": ["name,time_zone", "House,Europe/Berlin"],
        "auditoriums.csv": ["cinema,name,rows", *(f"House,Screen {number},A: 5+5" for number in range(4))],
        "showtimes.csv": ["movie,cinema,auditorium,start_time,price", *rows],
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
