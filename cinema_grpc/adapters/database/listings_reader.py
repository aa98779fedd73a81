"""Reads showtimes as they are listed."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Text, bindparam, case, func, literal_column, select, tuple_

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.column_types import microseconds
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.statements import Query
from cinema_grpc.application.batcher import Batcher
from cinema_grpc.application.ports import ShowtimeFilter
from cinema_grpc.domain.catalog import Cinema, ListedShowtime, Movie
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.showtime import SeatGapPolicy

CACHED_ENTRIES = 20_000
"""How many showtimes are cached with their names and times, which never change: some 2 KB each."""
PLACES = ("movie_id", "cinema_id", "auditorium_id")
EARLIEST = datetime.min.replace(tzinfo=UTC)

_SHOWTIME, _AUDITORIUM, _BOOKING = schema.showtime.c, schema.auditorium.c, schema.booking.c
_ENTRY = Query(
    select(
        *schema.movie.c,
        *schema.cinema.c,
        _SHOWTIME.showtime_id,
        _SHOWTIME.auditorium_id,
        _AUDITORIUM.name,
        _SHOWTIME.start_time,
        _SHOWTIME.end_time,
        _SHOWTIME.seat_gap_policy,
        _AUDITORIUM.total_seats,
        _SHOWTIME.taken_seats,
        _SHOWTIME.revision,
        _SHOWTIME.currency_code,
        _SHOWTIME.seat_price,
    )
    .join_from(schema.showtime, schema.movie)
    .join(schema.auditorium, _AUDITORIUM.auditorium_id == _SHOWTIME.auditorium_id)
    .join(schema.cinema, schema.cinema.c.cinema_id == _AUDITORIUM.cinema_id)
    .where(_SHOWTIME.showtime_id == bindparam("showtime_id"))
)


class _Page(NamedTuple):
    condition: ShowtimeFilter
    after: tuple[datetime, str] | None
    limit: int


class SqlListingsReader:
    """Reads showtimes as they are listed. Fulfils ListingsReader."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._entries: dict[str, ListedShowtime] = {}
        self._pages: Batcher[_Page, tuple[datetime, list[ListedShowtime]]] = Batcher(
            self._read_pages, database.driver.readers
        )

    async def page(
        self, condition: ShowtimeFilter, after: tuple[datetime, str] | None, limit: int
    ) -> tuple[datetime, list[ListedShowtime]]:
        """Return the time, and at most `limit` showtimes by start and identifier, with the seats that are free now.

        A showtime that has not changed is the same object as before. Equal pages that wait are read once.
        """
        return await self._pages.ask(_Page(condition, after, limit))

    async def entry(self, showtime_id: str) -> ListedShowtime | None:
        """Return a showtime, or None. What it says of seats and of the revision may be out of date."""
        cached = self._entries.get(showtime_id)
        if cached is not None:
            return cached
        _, rows = await self._database.read(_ENTRY, showtime_id=showtime_id)
        return self._cache(_to_listed(rows[0])) if rows else None

    async def _read_pages(self, pages: list[_Page]) -> Sequence[Any]:
        distinct = list(dict.fromkeys(pages))
        answers = await asyncio.gather(*map(self._read_page, distinct), return_exceptions=True)
        answer_of = dict(zip(distinct, answers, strict=True))
        return [answer_of[page] for page in pages]

    async def _read_page(self, page: _Page) -> tuple[datetime, list[ListedShowtime]]:
        condition = page.condition
        places = {name: identifier for name in PLACES if (identifier := getattr(condition, name))}
        first = (condition.start_from or EARLIEST, "")  # no identifier is empty, so all that start then come after it
        start_time, showtime_id = max(page.after or first, first)
        parameters: dict[str, Any] = {"after_start": microseconds(start_time), "after_id": showtime_id, **places}
        if condition.start_until is not None:
            parameters["until"] = microseconds(condition.start_until)
        query = _page_query(
            frozenset(places), from_now=condition.start_from is None, until=condition.start_until is not None
        )
        now, rows = await self._database.read(query, limit=page.limit, **parameters)
        missing = [showtime_id for showtime_id, *_ in rows if showtime_id not in self._entries]
        loaded = dict(zip(missing, await asyncio.gather(*map(self.entry, missing)), strict=True))
        listed = []
        for showtime_id, revision, taken_seats in rows:
            entry = self._entries.get(showtime_id) or loaded[showtime_id]
            if entry is not None:
                listed.append(self._update(entry, revision, entry.total_seats - taken_seats))
        return now, listed

    def _update(self, entry: ListedShowtime, revision: int, available_seats: int) -> ListedShowtime:
        if (entry.revision, entry.available_seats) == (revision, available_seats):
            return entry
        return self._cache(replace(entry, revision=revision, available_seats=available_seats))

    def _cache(self, entry: ListedShowtime) -> ListedShowtime:
        self._entries[entry.showtime_id] = entry
        if len(self._entries) > CACHED_ENTRIES:
            del self._entries[next(iter(self._entries))]
        return entry


@cache
def _page_query(places: frozenset[str], *, from_now: bool, until: bool) -> Query:
    """Make the query for a page: identifier, revision and taken seats, by start and identifier.

    Each combination of filters has an index of the columns that they fix, then start and identifier, so the query reads
    no showtime that is not on the page. The filters are a range of that index, in its order. With "=", PostgreSQL may
    take the index of starts alone, which has the same order, and read showtimes of all movies and cinemas.

    Args:
        places: Which of PLACES the filter names.
        from_now: Whether the page begins at the present, if `after_start` is earlier.
        until: Whether it ends before `until`.
    """
    fixed: dict[str, Any] = {place: bindparam(place, type_=_SHOWTIME[place].type) for place in sorted(places)}
    if {"auditorium_id", "cinema_id"} <= places:
        # An auditorium is in one cinema. For another one the subquery is null, and the index has nothing under that.
        named = _AUDITORIUM.auditorium_id == bindparam("auditorium_id")
        of_cinema = select(_AUDITORIUM.auditorium_id).where(named, _AUDITORIUM.cinema_id == bindparam("cinema_id"))
        fixed["auditorium_id"] = of_cinema.scalar_subquery()
        del fixed["cinema_id"]
    columns, values = [_SHOWTIME[place] for place in fixed], list(fixed.values())
    now = bindparam("now", type_=BigInteger)
    start, showtime_id = bindparam("after_start", type_=BigInteger), bindparam("after_id", type_=Text)
    after: list[Any] = [start, showtime_id]
    if from_now:
        after = [case((start > now, start), else_=now), case((start >= now, showtime_id), else_="")]
    # Lapsed holds are few, since they are soon EXPIRED. The status is no parameter: a plan that is kept for any value
    # could not use the partial index.
    lapsed = (
        select(_BOOKING.showtime_id, func.sum(_BOOKING.seat_count).label("seats"))
        .where(_BOOKING.status == literal_column("'RESERVED'", Text), _BOOKING.hold_expire_time <= now)
        .group_by(_BOOKING.showtime_id)
        .subquery("lapsed")
    )
    order = [*columns, _SHOWTIME.start_time, _SHOWTIME.showtime_id]
    page = (
        select(_SHOWTIME.showtime_id, _SHOWTIME.revision, _SHOWTIME.taken_seats - func.coalesce(lapsed.c.seats, 0))
        .select_from(schema.showtime.outerjoin(lapsed, lapsed.c.showtime_id == _SHOWTIME.showtime_id))
        .where(tuple_(*order) > tuple_(*values, *after))
    )
    if until:
        last = tuple_(*values, bindparam("until", type_=BigInteger))
        page = page.where(tuple_(*columns, _SHOWTIME.start_time) < last)
    elif columns:
        page = page.where(tuple_(*columns) <= tuple_(*values))
    return Query(page.order_by(*order).limit(bindparam("limit")))


def _to_listed(row: Sequence[Any]) -> ListedShowtime:
    movies, cinemas = len(schema.movie.c), len(schema.cinema.c)
    *showtime, seat_gap_policy, total_seats, taken_seats, revision, currency_code, seat_price = row[movies + cinemas :]
    showtime_id, auditorium_id, auditorium_name, start_time, end_time = showtime
    return ListedShowtime(
        showtime_id=showtime_id,
        movie=Movie(*row[:movies]),
        cinema=Cinema(*row[movies : movies + cinemas]),
        auditorium_id=auditorium_id,
        auditorium_name=auditorium_name,
        start_time=start_time,
        end_time=end_time,
        seat_price=Money(currency_code, seat_price),
        seat_gap_policy=SeatGapPolicy(seat_gap_policy),
        total_seats=total_seats,
        available_seats=total_seats - taken_seats,
        revision=revision,
    )
