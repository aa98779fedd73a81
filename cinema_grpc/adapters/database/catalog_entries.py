"""How movies, cinemas and auditoriums are stored."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import Column

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.seat_plans import (
    areas_to_text,
    spaces_to_text,
    to_areas,
    to_rows,
    to_spaces,
    to_text,
)
from cinema_grpc.domain.catalog import Auditorium, Cinema, Entry, Movie
from cinema_grpc.domain.errors import AuditoriumNotFound, CinemaNotFound, MovieNotFound, NotFound

_MOVIE, _CINEMA, _AUDITORIUM = schema.movie.c, schema.cinema.c, schema.auditorium.c


class EntryType(NamedTuple):
    """How entries of a type are stored.

    Attributes:
        key: The column of their identifiers.
        columns: The columns that `from_row` takes.
        from_row: Returns the entry of a row of these columns.
        to_row: Returns an entry as a row, with all columns of its table.
        not_found: The error if no entry has the identifier.
    """

    key: Column[str]
    columns: Sequence[Column[Any]]
    from_row: Callable[[Sequence[Any]], Any]
    to_row: Callable[[Any], dict[str, Any]]
    not_found: type[NotFound]


def _to_auditorium(row: Sequence[Any]) -> Auditorium:
    auditorium_id, cinema_id, name, rows, areas, spaces, create_time, archived = row
    return Auditorium(
        auditorium_id, cinema_id, name, to_rows(rows), create_time, to_areas(areas), to_spaces(spaces), archived
    )


def _auditorium_row(auditorium: Auditorium) -> dict[str, Any]:
    return asdict(auditorium) | {
        "rows": to_text(auditorium.rows),
        "areas": areas_to_text(auditorium.areas),
        "wheelchair_spaces": spaces_to_text(auditorium.wheelchair_spaces),
        "total_seats": auditorium.total_seats,
    }


ENTRY_TYPES: Mapping[type[Entry], EntryType] = MappingProxyType(
    {
        Movie: EntryType(_MOVIE.movie_id, [*_MOVIE], lambda row: Movie(*row), asdict, MovieNotFound),
        Cinema: EntryType(_CINEMA.cinema_id, [*_CINEMA], lambda row: Cinema(*row), asdict, CinemaNotFound),
        Auditorium: EntryType(
            _AUDITORIUM.auditorium_id,
            [column for column in _AUDITORIUM if column is not _AUDITORIUM.total_seats],
            _to_auditorium,
            _auditorium_row,
            AuditoriumNotFound,
        ),
    }
)
