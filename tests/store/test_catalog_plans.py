"""How the database finds what is asked of the catalog and the programme: by indexes, page by page."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection

from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.listings_reader import SqlListingsReader
from cinema_grpc.application.ports import ShowtimeFilter
from cinema_grpc.domain.catalog import Auditorium, Cinema, Movie
from tests.builders import NOW
from tests.database import reading
from tests.postgresql import libpq_url
from tests.store.programme import EVERYTHING, Programme, stored_response


@asynccontextmanager
async def questions(database: Database) -> AsyncIterator[list[str]]:
    """Collect what the database is asked, with all values filled in."""
    sent: list[str] = []

    def remember(statement: str) -> None:
        if statement.startswith("SELECT"):
            sent.append(statement)

    async with database.engine.connect() as connection:
        await _trace(connection, remember)
    try:
        yield sent
    finally:
        async with database.engine.connect() as connection:
            await _trace(connection, None)


async def _trace(connection: AsyncConnection, callback: Callable[[str], None] | None) -> None:
    driver: Any = (await connection.get_raw_connection()).driver_connection
    await driver.set_trace_callback(callback)


async def plan(programme: Programme, call: Callable[[], Awaitable[object]]) -> list[str]:
    """Tell how the database goes about every SELECT that a call makes."""
    async with questions(programme.database) as sent:
        await call()
    steps: list[str] = []
    async with reading(programme.database) as connection:
        for question in sent:
            explained = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {question}")
            steps += [row.detail for row in explained]
    return steps


ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
ON_POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
FOUND = {"SCAN found", "SCAN ended"}
"""Walks over rows that were found: to make JSON of them, and to sum up lapsed seats."""
FILTERS = [
    ("", "", "", "showtime_start_time_showtime_id_index"),
    ("movie-0001", "", "", "showtime_movie_id_start_time_showtime_id_index"),
    ("", "cinema-0001", "", "showtime_cinema_id_start_time_showtime_id_index"),
    ("", "", "auditorium-0001", "showtime_auditorium_id_start_time_showtime_id_index"),
    ("movie-0001", "cinema-0001", "", "showtime_cinema_id_movie_id_start_time_showtime_id_index"),
    ("movie-0001", "", "auditorium-0001", "showtime_auditorium_id_movie_id_start_time_showtime_id_index"),
    ("", "cinema-0001", "auditorium-0001", "showtime_auditorium_id_start_time_showtime_id_index"),
]


@ON_SQLITE
@pytest.mark.parametrize("until", [None, NOW + timedelta(days=9)])
@pytest.mark.parametrize("after", [None, (NOW + timedelta(days=1), "showtime-0001")])
@pytest.mark.parametrize(("movie_id", "cinema_id", "auditorium_id", "index"), FILTERS)
async def test_a_page_of_the_programme_is_found_by_indexes(
    programme: Programme,
    movie_id: str,
    cinema_id: str,
    auditorium_id: str,
    index: str,
    after: tuple[datetime, str] | None,
    until: datetime | None,
) -> None:
    condition = ShowtimeFilter(movie_id, cinema_id, auditorium_id, NOW, until)
    steps = await plan(programme, lambda: programme.page(condition, after, 50))
    assert [step for step in steps if step.startswith("SCAN") and step not in FOUND] == []
    (walk,) = [step for step in steps if step.startswith("SEARCH showtime")]
    assert f"USING INDEX {index} " in walk
    assert "start_time,showtime_id)>(?," in walk, "it does not begin where the page does"
    assert (until is None) == ("start_time)<(?," not in walk and "start_time<?" not in walk), "it goes on after the end"
    assert "SEARCH booking USING COVERING INDEX booking_lapse_index (hold_expire_time<?)" in steps
    assert "SEARCH seat_block USING COVERING INDEX seat_block_lapse_index (release_time<?)" in steps
    assert [step for step in steps if "TEMP B-TREE" in step] == ["USE TEMP B-TREE FOR GROUP BY"]


@ON_SQLITE
async def test_a_page_of_the_programme_is_one_statement_once_its_showtimes_are_known(programme: Programme) -> None:
    for day in range(5):
        await programme.add(NOW + timedelta(days=day))
    first = await programme.page(EVERYTHING, None, 10)
    async with questions(programme.database) as sent:
        again = await programme.page(EVERYTHING, None, 10)
    assert len(sent) == 1
    assert [id(each) for each in again] == [id(each) for each in first]


@ON_SQLITE
async def test_everything_else_is_found_by_indexes(programme: Programme) -> None:
    store = programme.store
    shown = await programme.add(NOW + timedelta(days=1))
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: SqlListingsReader(programme.database).entry(shown.showtime_id, 1),
        lambda: store.get(Movie, "movie-0001"),
        lambda: store.get(Cinema, "cinema-0001"),
        lambda: store.get(Auditorium, "auditorium-0001"),
        lambda: store.page(Movie, "movie-0001", 50),
        lambda: store.page(Cinema, "cinema-0001", 50),
        lambda: store.page(Auditorium, "auditorium-0001", 50, cinema_id="cinema-0001"),
        lambda: store.stored_response(stored_response("request-1").key),
        lambda: programme.add(NOW + timedelta(days=2)),
    ]
    for call in calls:
        steps = await plan(programme, call)
        assert steps
        assert [step for step in steps if step.startswith("SCAN") and step not in FOUND] == []


@ON_POSTGRESQL
@pytest.mark.parametrize(("movie_id", "cinema_id", "auditorium_id", "_index"), FILTERS)
async def test_on_postgresql_no_table_is_read_from_end_to_end(
    database_url: str, programme: Programme, movie_id: str, cinema_id: str, auditorium_id: str, _index: str
) -> None:
    """Not for a page, and not for the names of its showtimes."""
    shown = await programme.add(NOW + timedelta(days=1))
    asked: list[tuple[str, Any]] = []
    database = Database(database_url, programme.clock)

    def remember(query: Any) -> None:
        asked.append((query.query, query.args))

    event.listen(
        database.engine.sync_engine, "connect", lambda each, _: each.driver_connection.add_query_logger(remember)
    )
    reader = SqlListingsReader(database)
    await reader.page(ShowtimeFilter(movie_id, cinema_id, auditorium_id, NOW, None), (NOW, shown.showtime_id), 50)
    await database.close()
    questions = [
        (query, arguments) for query, arguments in asked if "FROM showtime" in query or "JOIN showtime" in query
    ]
    assert len(questions) == 2  # a page, and the names of those on it
    connection = await asyncpg.connect(libpq_url(database_url))
    await connection.execute("SET enable_seqscan = off")  # so that tables as small as these are no exception
    for query, arguments in questions:
        plan = [row[0] for row in await connection.fetch(f"EXPLAIN {query}", *arguments)]
        assert any("Index" in step and "showtime" in step for step in plan)
        assert [step for step in plan if "Seq Scan" in step] == []
    await connection.close()
