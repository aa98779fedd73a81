"""Reading the programme: pages of showtimes, their versions, and one with all who have seats in it."""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from cinema_grpc.adapters.database import catalog_queries as queries
from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.booking_rows import to_bookings
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.prepared import Question, select_by
from cinema_grpc.adapters.database.schema import microseconds
from cinema_grpc.adapters.database.showtime_rows import (
    CHANGED,
    KEEPING_SEATS,
    LISTED,
    TERMS,
    read_booking,
    to_listed_showtime,
    to_terms,
)
from cinema_grpc.application.box_office_ports import Version
from cinema_grpc.application.ports import FoundChanges, FoundShowtime, ShowtimeFilter
from cinema_grpc.domain.catalog import ListedShowtime

ENTRIES_AT_HAND = 20_000
"""Of how many showtimes the names and times are kept in memory, which never change: some 2 KB each."""

PLACES = ("movie_id", "cinema_id", "auditorium_id")
_Page = tuple[ShowtimeFilter, tuple[datetime, str] | None, int]
_VERSIONS = select_by(schema.showtime, ("showtime_id",), "showtime_id, revision, stamp")


class SqlProgrammeReader:
    """Reads the programme. Fulfils the port ProgrammeReader."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._entries: OrderedDict[str, ListedShowtime] = OrderedDict()
        self._to_be_read: dict[_Page, asyncio.Task[tuple[datetime, list[ListedShowtime]]]] = {}

    async def page(
        self, condition: ShowtimeFilter, after: tuple[datetime, str] | None, limit: int
    ) -> tuple[datetime, list[ListedShowtime]]:
        """List showtimes by start and identifier, from the one after `after` on, with the seats that are free now.

        A showtime that has not changed is the same object as before. Callers who ask for the same page before the
        reading of it begins get one answer.
        """
        key = (condition, after, limit)
        reading = self._to_be_read.get(key)
        if reading is None:
            reading = self._to_be_read[key] = asyncio.create_task(self._read_page(condition, after, limit))
            reading.add_done_callback(partial(self._forget, key))
        return await asyncio.shield(reading)

    async def _read_page(
        self, condition: ShowtimeFilter, after: tuple[datetime, str] | None, limit: int
    ) -> tuple[datetime, list[ListedShowtime]]:
        places = {name: identifier for name in PLACES if (identifier := getattr(condition, name))}
        query = queries.programme_page(frozenset(places), until=condition.start_until is not None)

        def ask(now: datetime) -> Sequence[Question]:
            self._to_be_read.pop((condition, after, limit), None)
            first = (condition.start_from or now, "")  # no identifier is empty: all that start then come after it
            start_time, showtime_id = max(after or first, first)
            parameters: dict[str, Any] = {**places, "limit": limit}
            parameters["after_start"], parameters["after_id"] = microseconds(start_time), showtime_id
            if condition.start_until is not None:
                parameters["until"] = microseconds(condition.start_until)
            return (query, [parameters]), (queries.LAPSED_SEATS, [{"now": microseconds(now)}])

        now, (rows, lapsed_seats) = await self._database.peek(ask)
        lapsed = {showtime_id: int(seats) for showtime_id, seats in lapsed_seats}
        while missing := [showtime_id for showtime_id, _, _ in rows if showtime_id not in self._entries]:
            await self._load_entries(missing)
        page = [
            self._entry(showtime_id, revision, taken - lapsed.get(showtime_id, 0))
            for showtime_id, revision, taken in rows
        ]
        self._forget_oldest()
        return now, page

    async def versions(self, showtime_ids: Collection[str]) -> tuple[datetime, dict[str, Version]]:
        """Tell at which version showtimes are, and what time it is; unknown ones are missing."""
        asked = [{"showtime_id": showtime_id} for showtime_id in showtime_ids]
        now, (rows,) = await self._database.peek([(_VERSIONS, asked)])
        return now, {showtime_id: Version(revision, stamp) for showtime_id, revision, stamp in rows}

    async def showtime(self, showtime_id: str) -> FoundShowtime | None:
        """Read a showtime with every booking that keeps seats, its tickets and payments left out, or None."""
        of_showtime = [{"showtime_id": showtime_id}]
        questions = [(_VERSIONS, of_showtime), (TERMS, of_showtime), (KEEPING_SEATS, of_showtime)]
        _, (versions, terms, bookings) = await self._database.peek(questions)
        if not versions:
            return None
        if showtime_id not in self._entries:
            await self._load_entries([showtime_id])
        listed = self._entries[showtime_id]
        self._forget_oldest()
        _, revision, stamp = versions[0]
        rows = [read_booking(row) for row in bookings]
        return FoundShowtime(listed, Version(revision, stamp), to_terms(*terms[0]), to_bookings(rows, (), (), ()))

    async def changes(self, showtime_id: str, since: Version) -> FoundChanges | None:
        """Read the bookings that have changed since a version, if what is in the database came from that."""
        if not self._database.driver.shared:
            return None
        asked = {"showtime_id": showtime_id, "known_revision": since.revision}
        _, (versions, bookings) = await self._database.peek([(_VERSIONS, [asked]), (CHANGED, [asked])])
        latest = [Version(revision, stamp) for _, revision, stamp in versions]
        if not latest or not latest[0].came_from(since):
            return None
        return FoundChanges(latest[0], to_bookings([read_booking(row) for row in bookings], (), (), ()))

    async def _load_entries(self, showtime_ids: list[str]) -> None:
        asked = [{"showtime_id": showtime_id} for showtime_id in showtime_ids]
        _, (rows,) = await self._database.peek([(LISTED, asked)])
        for row in rows:
            entry = to_listed_showtime(row)
            self._entries[entry.showtime_id] = entry

    def _forget_oldest(self) -> None:
        while len(self._entries) > ENTRIES_AT_HAND:
            self._entries.popitem(last=False)

    def _forget(self, key: _Page, reading: "asyncio.Task[tuple[datetime, list[ListedShowtime]]]") -> None:
        """Let nobody wait for a reading that broke down before it began."""
        if self._to_be_read.get(key) is reading:
            del self._to_be_read[key]
        if not reading.cancelled():
            reading.exception()  # marks it as seen: perhaps nobody waits any more

    def _entry(self, showtime_id: str, revision: int, taken: int) -> ListedShowtime:
        entry = self._entries[showtime_id]
        available = entry.total_seats - taken
        if entry.revision != revision or entry.available_seats != available:
            entry = self._entries[showtime_id] = replace(entry, revision=revision, available_seats=available)
        return entry
