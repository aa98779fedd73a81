"""Reading the programme: pages of showtimes, their versions, and one with all who have seats in it."""

import sqlite3
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import select

from cinema_grpc.adapters.database import catalog_queries as queries
from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.booking_rows import load_bookings
from cinema_grpc.adapters.database.database import Database, uninterrupted
from cinema_grpc.adapters.database.prepared import read, select_by
from cinema_grpc.adapters.database.schema import microseconds
from cinema_grpc.application.ports import FoundShowtime, ShowtimeFilter, Version
from cinema_grpc.domain.catalog import ListedShowtime

ENTRIES_AT_HAND = 20_000
"""Of how many showtimes the names and times are kept in memory, which never change: some 2 KB each."""

PLACES = ("movie_id", "cinema_id", "auditorium_id")
_VERSIONS = select_by(schema.showtime, ("showtime_id",), ("showtime_id", "revision", "stamp"))


class SqlProgrammeReader:
    """Reads the programme. Fulfils the port ProgrammeReader."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._entries: OrderedDict[str, ListedShowtime] = OrderedDict()

    async def page(
        self, condition: ShowtimeFilter, after: tuple[datetime, str] | None, limit: int
    ) -> tuple[datetime, list[ListedShowtime]]:
        """List showtimes by start and identifier, from the one after `after` on, with the seats that are free now.

        A showtime that has not changed is the same object as before.
        """
        places = {name: identifier for name in PLACES if (identifier := getattr(condition, name))}
        parameters: dict[str, Any] = {**places, "limit": limit}
        if condition.start_from is not None:
            parameters["start_from"] = microseconds(condition.start_from)
        if condition.start_until is not None:
            parameters["until"] = microseconds(condition.start_until)
        if after is not None:
            start_time, showtime_id = after
            parameters["start_from"] = max(parameters.get("start_from", 0), microseconds(start_time))
            parameters["after_start"], parameters["after_id"] = microseconds(start_time), showtime_id
        query = queries.programme_page(tuple(places), after=after is not None, until="until" in parameters)

        def look(driver: sqlite3.Connection) -> tuple[datetime, list[Any], dict[str, int]]:
            now = self._database.time()
            parameters.setdefault("start_from", microseconds(now))
            ((page,),) = query.rows(driver, parameters)
            lapsed = dict(queries.LAPSED_SEATS.rows(driver, {"now": microseconds(now)}))
            return now, orjson.loads(page), lapsed

        now, rows, lapsed = await self._database.peek(look, key=tuple(parameters.items()))
        while missing := [showtime_id for showtime_id, _, _ in rows if showtime_id not in self._entries]:
            await self._load_entries(missing)
        page = [
            self._entry(showtime_id, revision, taken - lapsed.get(showtime_id, 0))
            for showtime_id, revision, taken in rows
        ]
        while len(self._entries) > ENTRIES_AT_HAND:
            self._entries.popitem(last=False)
        return now, page

    async def versions(self, showtime_ids: Collection[str]) -> tuple[datetime, dict[str, Version]]:
        """Tell at which version showtimes are, and what time it is; unknown ones are missing."""
        asked = [{"showtime_id": showtime_id} for showtime_id in showtime_ids]
        rows = await self._database.peek(lambda driver: read(driver, _VERSIONS, asked))
        return self._database.time(), {showtime_id: Version(revision, stamp) for showtime_id, revision, stamp in rows}

    @uninterrupted
    async def showtime(self, showtime_id: str) -> FoundShowtime | None:
        """Read a showtime with every booking that keeps seats, or None."""
        claims = schema.seat_claim.c
        keeping = select(claims.booking_id).where(claims.showtime_id == showtime_id)
        async with self._database.reading() as connection:
            query = queries.listed_showtimes().where(schema.showtime.c.showtime_id == showtime_id)
            row = (await connection.execute(query)).mappings().first()
            if row is None:
                return None
            bookings = await load_bookings(
                connection, select(schema.booking).where(schema.booking.c.booking_id.in_(keeping))
            )
        version = Version(row[schema.showtime.c.revision], row[schema.showtime.c.stamp])
        return FoundShowtime(queries.to_listed_showtime(row), version, queries.to_terms(row), bookings)

    @uninterrupted
    async def _load_entries(self, showtime_ids: list[str]) -> None:
        async with self._database.reading() as connection:
            query = queries.listed_showtimes().where(schema.showtime.c.showtime_id.in_(showtime_ids))
            for row in (await connection.execute(query)).mappings():
                entry = queries.to_listed_showtime(row)
                self._entries[entry.showtime_id] = entry

    def _entry(self, showtime_id: str, revision: int, taken: int) -> ListedShowtime:
        entry = self._entries[showtime_id]
        available = entry.total_seats - taken
        if entry.revision != revision or entry.available_seats != available:
            entry = self._entries[showtime_id] = replace(entry, revision=revision, available_seats=available)
        return entry
