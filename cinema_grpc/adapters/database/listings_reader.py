"""Reads showtimes as they are listed."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Subquery,
    Text,
    bindparam,
    case,
    func,
    literal_column,
    select,
    tuple_,
    union_all,
)

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.column_types import microseconds
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.price_lists import price_list
from cinema_grpc.adapters.database.statements import Query
from cinema_grpc.application.batcher import Batcher
from cinema_grpc.application.ports import ShowtimeFilter
from cinema_grpc.domain.catalog import Cinema, ListedShowtime, Movie
from cinema_grpc.domain.terms import SeatGapPolicy, ShowtimeStatus

CACHED_ENTRIES = 20_000
"""How many showtimes are cached with their names and terms, until these change: some 2 KB each."""
MAX_READS = 3
"""How often a page is read whose showtimes are moved or cancelled meanwhile."""
FILTER_COLUMNS = ("movie_id", "cinema_id", "auditorium_id")
EARLIEST = datetime.min.replace(tzinfo=UTC)

_SHOWTIME, _AUDITORIUM, _BOOKING, _BLOCK = schema.showtime.c, schema.auditorium.c, schema.booking.c, schema.seat_block.c
_CATALOG_REVISION = select(func.max(schema.catalog_revision.c.revision))
_REVISION = Query(_CATALOG_REVISION)
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
        _SHOWTIME.terms_revision,
        _SHOWTIME.currency_code,
        _SHOWTIME.prices,
        _SHOWTIME.status,
        _SHOWTIME.cancel_time,
        _SHOWTIME.cancel_reason,
        _CATALOG_REVISION.scalar_subquery(),
    )
    .join_from(schema.showtime, schema.movie)
    .join(schema.auditorium, _AUDITORIUM.auditorium_id == _SHOWTIME.auditorium_id)
    .join(schema.cinema, schema.cinema.c.cinema_id == _AUDITORIUM.cinema_id)
    .where(_SHOWTIME.showtime_id == bindparam("showtime_id"))
)


class _Entry(NamedTuple):
    """A showtime that was read, and the revision of the catalog at that moment."""

    listed: ListedShowtime
    catalog_revision: int


class _Page(NamedTuple):
    condition: ShowtimeFilter
    after: tuple[datetime, str] | None
    limit: int


class SqlListingsReader:
    """Reads showtimes as they are listed. Fulfils ListingsReader."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._entries: dict[str, _Entry] = {}
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

    async def entry(self, showtime_id: str, catalog_revision: int) -> ListedShowtime | None:
        """Return a showtime, or None, with names of this revision of the catalog, or of a later one."""
        cached = self._entries.get(showtime_id)
        if cached is not None and cached.catalog_revision == catalog_revision:
            return cached.listed
        read = await self._read_entry(showtime_id)
        return read and read.listed

    async def catalog_revision(self) -> int:
        """Return the revision of the catalog."""
        _, rows = await self._database.read(_REVISION)
        revision: int = rows[0][0]
        return revision

    async def _read_entry(self, showtime_id: str) -> _Entry | None:
        _, rows = await self._database.read(_ENTRY, showtime_id=showtime_id)
        return self._cache(_to_entry(rows[0])) if rows else None

    async def _read_pages(self, pages: list[_Page]) -> Sequence[Any]:
        distinct = list(dict.fromkeys(pages))
        answers = await asyncio.gather(*map(self._read_page, distinct), return_exceptions=True)
        answer_of = dict(zip(distinct, answers, strict=True))
        return [answer_of[page] for page in pages]

    async def _read_page(self, page: _Page) -> tuple[datetime, list[ListedShowtime]]:
        condition = page.condition
        filtered = {name: identifier for name in FILTER_COLUMNS if (identifier := getattr(condition, name))}
        first = (condition.start_from or EARLIEST, "")  # no identifier is empty, so all that start then come after it
        start_time, showtime_id = max(page.after or first, first)
        parameters: dict[str, Any] = {"after_start": microseconds(start_time), "after_id": showtime_id, **filtered}
        if condition.start_until is not None:
            parameters["until"] = microseconds(condition.start_until)
        query = _page_query(
            frozenset(filtered),
            from_now=condition.start_from is None,
            until=condition.start_until is not None,
            cancelled=condition.cancelled,
        )
        for _ in range(MAX_READS):
            now, rows = await self._database.read(query, limit=page.limit, **parameters)
            current = {showtime_id: self._current(showtime_id, *revisions) for showtime_id, _, _, *revisions in rows}
            missing = [showtime_id for showtime_id, entry in current.items() if entry is None]
            current |= zip(missing, await asyncio.gather(*map(self._read_entry, missing)), strict=True)
            if not any(_has_changed(current[showtime_id], revision) for showtime_id, _, _, revision, _ in rows):
                break
        listed = []
        for showtime_id, revision, taken_seats, *_ in rows:
            entry = current[showtime_id]
            if entry is not None:
                listed.append(self._update(entry, revision, entry.listed.total_seats - taken_seats))
        return now, listed

    def _current(self, showtime_id: str, terms_revision: int, catalog_revision: int) -> _Entry | None:
        """Return the cached entry if neither its terms nor the catalog have changed since it was read."""
        cached = self._entries.get(showtime_id)
        if cached is None or (cached.listed.terms_revision, cached.catalog_revision) != (
            terms_revision,
            catalog_revision,
        ):
            return None
        return cached

    def _update(self, entry: _Entry, revision: int, available_seats: int) -> ListedShowtime:
        listed = entry.listed
        if (listed.revision, listed.available_seats) == (revision, available_seats):
            return listed
        updated = replace(listed, revision=revision, available_seats=available_seats)
        return self._cache(entry._replace(listed=updated)).listed

    def _cache(self, entry: _Entry) -> _Entry:
        self._entries[entry.listed.showtime_id] = entry
        if len(self._entries) > CACHED_ENTRIES:
            del self._entries[next(iter(self._entries))]
        return entry


def _has_changed(entry: _Entry | None, terms_revision: int) -> bool:
    """Return whether a showtime was moved or cancelled after its page was read: it may not belong there any more."""
    return entry is not None and entry.listed.terms_revision != terms_revision


@cache
def _page_query(filtered: frozenset[str], *, from_now: bool, until: bool, cancelled: bool) -> Query:
    """Make the query for a page: identifier, revision, taken seats, and the revisions of terms and catalog.

    They are in the order of start and identifier. Each combination of filters has an index of the columns that they
    fix, then start and identifier, so the query reads no showtime that is not on the page. The filters are a range of
    that index, in its order. With "=", PostgreSQL may take the index of starts alone, which has the same order, and
    read showtimes of all movies and cinemas.

    Args:
        filtered: Which of FILTER_COLUMNS the filter names.
        from_now: Whether the page begins at the present, if `after_start` is earlier.
        until: Whether it ends before `until`.
        cancelled: Whether CANCELLED showtimes are on it. They are few, so that no index leaves them out.
    """
    fixed: dict[str, Any] = {name: bindparam(name, type_=_SHOWTIME[name].type) for name in sorted(filtered)}
    if {"auditorium_id", "cinema_id"} <= filtered:
        # An auditorium is in one cinema. For another one the subquery is null, and the index has nothing under that.
        named = _AUDITORIUM.auditorium_id == bindparam("auditorium_id")
        of_cinema = select(_AUDITORIUM.auditorium_id).where(named, _AUDITORIUM.cinema_id == bindparam("cinema_id"))
        fixed["auditorium_id"] = of_cinema.scalar_subquery()
        del fixed["cinema_id"]
    columns, values = [_SHOWTIME[name] for name in fixed], list(fixed.values())
    now = bindparam("now", type_=BigInteger)  # the database supplies it, see Query
    start, showtime_id = bindparam("after_start", type_=BigInteger), bindparam("after_id", type_=Text)
    after: list[Any] = [start, showtime_id]
    if from_now:
        after = [case((start > now, start), else_=now), case((start >= now, showtime_id), else_="")]
    lapsed = _lapsed_seats(now)
    order = [*columns, _SHOWTIME.start_time, _SHOWTIME.showtime_id]
    page = (
        select(
            _SHOWTIME.showtime_id,
            _SHOWTIME.revision,
            _SHOWTIME.taken_seats - func.coalesce(lapsed.c.seats, 0),
            _SHOWTIME.terms_revision,
            _CATALOG_REVISION.scalar_subquery(),
        )
        .select_from(schema.showtime.outerjoin(lapsed, lapsed.c.showtime_id == _SHOWTIME.showtime_id))
        .where(tuple_(*order) > tuple_(*values, *after))
    )
    if not cancelled:
        page = page.where(_SHOWTIME.status != literal_column("'CANCELLED'", Text))
    if until:
        last = tuple_(*values, bindparam("until", type_=BigInteger))
        page = page.where(tuple_(*columns, _SHOWTIME.start_time) < last)
    elif columns:
        page = page.where(tuple_(*columns) <= tuple_(*values))
    return Query(page.order_by(*order).limit(bindparam("limit")))


def _lapsed_seats(now: Any) -> Subquery:
    """Select the seats of lapsed holds and blocks, by showtime. They are few: expiry ends them within seconds.

    The status is no parameter: a plan that is kept for any value could not use the partial index.
    """
    holds = select(_BOOKING.showtime_id, _BOOKING.seat_count).where(
        _BOOKING.status == literal_column("'RESERVED'", Text), _BOOKING.hold_expire_time <= now
    )
    blocks = select(_BLOCK.showtime_id, _BLOCK.seat_count).where(_BLOCK.release_time <= now)
    ended = union_all(holds, blocks).subquery("ended")
    return (
        select(ended.c.showtime_id, func.sum(ended.c.seat_count).label("seats"))
        .group_by(ended.c.showtime_id)
        .subquery("lapsed")
    )


def _to_entry(row: Sequence[Any]) -> _Entry:
    movies, cinemas = len(schema.movie.c), len(schema.cinema.c)
    showtime_id, auditorium_id, auditorium_name, start_time, end_time, *others = row[movies + cinemas :]
    seat_gap_policy, total_seats, taken_seats, revision, terms_revision, currency_code, prices, *others = others
    status, cancel_time, cancel_reason, catalog_revision = others
    listed = ListedShowtime(
        showtime_id=showtime_id,
        movie=Movie(*row[:movies]),
        cinema=Cinema(*row[movies : movies + cinemas]),
        auditorium_id=auditorium_id,
        auditorium_name=auditorium_name,
        start_time=start_time,
        end_time=end_time,
        prices=price_list(currency_code, prices),
        seat_gap_policy=SeatGapPolicy(seat_gap_policy),
        total_seats=total_seats,
        available_seats=total_seats - taken_seats,
        revision=revision,
        terms_revision=terms_revision,
        status=ShowtimeStatus(status),
        cancel_time=cancel_time,
        cancel_reason=cancel_reason or "",
    )
    return _Entry(listed, catalog_revision)
