"""Reads what the lines of a sales report are about, for people to read."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Select, bindparam, select

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.statements import Query
from cinema_grpc.domain.sales import ShowtimeTitle

KEYS_A_QUERY = 100

_SHOWTIME, _MOVIE, _AUDITORIUM = schema.showtime.c, schema.movie.c, schema.auditorium.c


def _query(titles: Select[Any], key: Column[str]) -> Query:
    return Query(titles.where(key.in_([bindparam(f"key{number}", type_=key.type) for number in range(KEYS_A_QUERY)])))


_MOVIES = _query(select(_MOVIE.movie_id, _MOVIE.title), _MOVIE.movie_id)
_SHOWTIMES = _query(
    select(_SHOWTIME.showtime_id, _SHOWTIME.start_time, _AUDITORIUM.name, _MOVIE.title)
    .select_from(schema.showtime)
    .join(schema.auditorium, _AUDITORIUM.auditorium_id == _SHOWTIME.auditorium_id)
    .join(schema.movie, _MOVIE.movie_id == _SHOWTIME.movie_id),
    _SHOWTIME.showtime_id,
)


async def movie_titles(database: Database, movie_ids: Sequence[str]) -> Mapping[str, str]:
    """Return the titles of movies by their identifiers.

    Raises:
        StorageUnavailable.
    """
    return dict(await _read(database, _MOVIES, movie_ids))


async def showtime_titles(database: Database, showtime_ids: Sequence[str]) -> Mapping[str, ShowtimeTitle]:
    """Return what is shown by the identifiers of showtimes.

    Raises:
        StorageUnavailable.
    """
    rows = await _read(database, _SHOWTIMES, showtime_ids)
    return {showtime_id: ShowtimeTitle(*about) for showtime_id, *about in rows}


async def _read(database: Database, query: Query, keys: Sequence[str]) -> list[tuple[Any, ...]]:
    """Read in parts, so that servers which use the database are not held up."""
    found: list[tuple[Any, ...]] = []
    for first in range(0, len(keys), KEYS_A_QUERY):
        part = keys[first : first + KEYS_A_QUERY]
        padded = [*part, *[part[0]] * (KEYS_A_QUERY - len(part))]
        parameters: dict[str, Any] = {f"key{number}": key for number, key in enumerate(padded)}
        _, rows = await database.read(query, **parameters)
        found += rows
    return found
