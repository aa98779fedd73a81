"""Changes of the catalog while showtimes are scheduled: nothing that a showtime is made of changes under it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from time import time_ns
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import update

from cinema_grpc.adapters.database import schema
from cinema_grpc.application.catalog import unencoded
from cinema_grpc.domain.catalog import Auditorium, Cinema, ListedShowtime, Movie
from cinema_grpc.domain.errors import Archived, InvalidRequest
from tests.application.catalog_app import RUNTIME, TOMORROW, CatalogApp, open_app
from tests.database import writing

SECONDS_TO_WAIT = 0.2
"""How long a call is given to do what it must not do."""


@pytest_asyncio.fixture
async def app(database_url: str) -> AsyncIterator[CatalogApp]:
    async with open_app(database_url) as opened:
        yield opened


async def scheduled_during(app: CatalogApp, table: Any, **values: Any) -> ListedShowtime:
    """Schedule a showtime while another transaction changes all rows of a table and is not committed yet."""
    async with writing(app.database) as connection:
        await connection.execute(update(table).values(**values))
        scheduling = asyncio.create_task(app.show())
        done, _ = await asyncio.wait([scheduling], timeout=SECONDS_TO_WAIT)
        assert not done
    return await scheduling


@pytest.mark.parametrize("table", [schema.movie, schema.cinema, schema.auditorium])
async def test_a_showtime_waits_for_what_is_being_archived(app: CatalogApp, table: Any) -> None:
    with pytest.raises(Archived):
        await scheduled_during(app, table, archived=True)
    assert await app.shown() == []


async def test_a_showtime_waits_for_a_new_runtime(app: CatalogApp) -> None:
    showtime = await scheduled_during(app, schema.movie, runtime=timedelta(minutes=5))
    assert showtime.end_time == showtime.start_time + timedelta(minutes=5)


async def test_a_showtime_to_come_has_the_runtime_of_its_movie(app: CatalogApp) -> None:
    """Whichever of the two comes first."""
    movies: list[Movie] = [
        await app.catalog.create_movie(f"Film {number}", RUNTIME, "", "", None, unencoded) for number in range(10)
    ]
    for number, movie in enumerate(movies):
        changes = {"runtime": timedelta(hours=1)}
        calls: list[Any] = [
            app.show(TOMORROW + timedelta(hours=3 * number), movie_id=movie.movie_id),
            app.catalog.update(Movie, movie.movie_id, changes, None, unencoded),
        ]
        if number % 2:
            calls.reverse()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        (showtime,) = [each for each in outcomes if isinstance(each, ListedShowtime)]
        (updated,) = [each for each in outcomes if each is not showtime]
        assert isinstance(updated, Movie | InvalidRequest)
        runtime = (await app.catalog.get(Movie, movie.movie_id)).runtime
        assert showtime.end_time - showtime.start_time == runtime


async def test_updates_and_showtimes_at_once_all_come_to_an_end(app: CatalogApp) -> None:
    """Nothing waits in a circle, and every update counts, also those of one microsecond."""
    ahead = time_ns() // 1000 + 3_600_000_000
    async with writing(app.database) as connection:
        await connection.execute(update(schema.catalog_revision).values(revision=ahead))
    catalog = app.catalog
    calls: list[Any] = []
    for number in range(8):
        calls += [
            app.show(TOMORROW + timedelta(hours=3 * number)),
            catalog.update(Movie, app.movie.movie_id, {"title": f"Film {number}"}, None, unencoded),
            catalog.update(Cinema, app.cinema.cinema_id, {"name": f"House {number}"}, None, unencoded),
            catalog.update(Auditorium, app.auditorium.auditorium_id, {"name": f"Room {number}"}, None, unencoded),
        ]
    outcomes = await asyncio.wait_for(asyncio.gather(*calls), timeout=60)
    assert len(outcomes) == len(calls)
    async with writing(app.database) as connection:
        assert (await connection.execute(schema.catalog_revision.select())).scalar_one() == ahead + 24
