"""The box office's transactions in SQL: lock, read what is not at hand, write the difference."""

import sqlite3
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.booking_rows import Difference, load_bookings
from cinema_grpc.adapters.database.catalog_queries import to_terms
from cinema_grpc.adapters.database.database import Database, uninterrupted
from cinema_grpc.adapters.database.prepared import Step, insert_into, read, select_by, update_by, write
from cinema_grpc.adapters.database.schema import microseconds, moment
from cinema_grpc.application.once import Recorded, RequestKey
from cinema_grpc.application.ports import CommitUnknown, Opened, OpenedBatch, Version, Wanted, Written
from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.showtime import Terms


class SqlBoxOfficeStore:
    """Keeps who has which seat. Fulfils the port BoxOfficeStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def batch(self) -> AsyncIterator["SqlBatch"]:
        """Begin a transaction; leaving it without a commit undoes it."""
        async with self._database.deciding() as connection:
            yield SqlBatch(self._database, connection)

    @uninterrupted
    async def is_committed(self, written: Sequence[Written]) -> bool:
        """Tell whether a commit whose answer was lost was kept: the stamp shows it, or a booking that it made."""
        work = written[0]
        async with self._database.reading() as connection:
            found = (
                await connection.execute(
                    select(schema.showtime.c.stamp).where(schema.showtime.c.showtime_id == work.showtime_id)
                )
            ).scalar_one()
            if found in {work.version.stamp, work.known.stamp}:
                return bool(found == work.version.stamp)
            # Another replica has written to the showtime since; whether before it came ours, the bookings tell.
            booking = work.changes[0].after
            row = (
                await connection.execute(
                    select(schema.booking.c.revision, schema.booking.c.status).where(
                        schema.booking.c.booking_id == booking.booking_id
                    )
                )
            ).one_or_none()
        return row is not None and row.revision >= work.version.revision and row.status == booking.status.value

    @uninterrupted
    async def showtimes_with_lapsed_holds(self, limit: int) -> list[str]:
        """Give at most `limit` showtimes that have holds to be written down as over, found by an index."""
        async with self._database.reading() as connection:
            now = await self._database.now(connection)
            lapsed = (
                select(schema.booking.c.showtime_id)
                .where(schema.booking.c.status == "RESERVED", schema.booking.c.hold_expire_time <= now)
                .order_by(schema.booking.c.hold_expire_time)
                .limit(limit)
            )
            return sorted(set((await connection.execute(lapsed)).scalars()))


class SqlBatch:
    """One transaction of the box office. Fulfils the port Batch."""

    def __init__(self, database: Database, connection: AsyncConnection) -> None:
        self._database = database
        self._connection = connection

    async def open(self, wanted: Collection[Wanted], requests: Collection[RequestKey]) -> OpenedBatch:
        """Begin to write, and read what is not at hand."""

        def begin(driver: sqlite3.Connection) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
            driver.execute("BEGIN IMMEDIATE").close()
            versions = read(driver, _VERSION, [{"showtime_id": each.showtime_id} for each in wanted])
            return versions, read(driver, _RECORDED, [_key_row(key) for key in requests])

        versions, recorded = await self._database.in_one_go(self._connection, begin)
        now = await self._database.now(self._connection)
        found = {showtime_id: (Version(revision, stamp), moment(at)) for showtime_id, revision, stamp, at in versions}
        stale, changed = [], []
        for each in wanted:
            version, _ = found.get(each.showtime_id, (None, None))
            if version is None or version == each.known:
                continue
            if each.known is None or version.revision <= each.known.revision:
                stale.append(each.showtime_id)
            else:
                changed.append((each.showtime_id, each.known.revision))
        terms = await self._terms(stale)
        missing = [booking_id for each in wanted for booking_id in each.booking_ids]
        bookings = await self._bookings(stale, changed, missing)
        return OpenedBatch(
            now,
            {
                showtime_id: Opened(version, at, terms.get(showtime_id), bookings.get(showtime_id, ()))
                for showtime_id, (version, at) in found.items()
            },
            {
                (key := RequestKey(caller, rpc, request_id)): Recorded(key, content, outcome)
                for caller, rpc, request_id, content, outcome in recorded
            },
        )

    async def commit(self, written: Sequence[Written], recorded: Sequence[Recorded]) -> None:
        """Write everything, once and for all.

        Raises:
            StorageConflict: A constraint refused it, or the showtime was not what it was taken for.
            CommitUnknown.
        """
        difference = Difference()
        for work in written:
            for change in work.changes:
                difference.add(change, work.version.revision)
        steps = [
            Step(_INSERT_REQUEST, _request_rows(recorded, max(work.latest_time for work in written))),
            Step(_UPDATE_SHOWTIME, [_showtime_row(work) for work in written], exactly=True),
            *difference.steps(),
        ]

        def write_and_commit(driver: sqlite3.Connection) -> None:
            try:
                write(driver, steps)
                try:
                    driver.execute("COMMIT").close()
                except sqlite3.Error as error:
                    raise CommitUnknown from error
            finally:
                driver.rollback()  # nothing, after a commit; else nobody who peeks may see what was not committed

        await self._database.in_one_go(self._connection, write_and_commit)

    async def _terms(self, showtime_ids: Sequence[str]) -> dict[str, Terms]:
        if not showtime_ids:
            return {}
        query = select(schema.showtime, schema.auditorium.c.rows).join(schema.auditorium)
        rows = await self._connection.execute(query.where(schema.showtime.c.showtime_id.in_(showtime_ids)))
        return {row[schema.showtime.c.showtime_id]: to_terms(row) for row in rows.mappings()}

    async def _bookings(
        self, stale: Sequence[str], changed: Sequence[tuple[str, int]], missing: Sequence[str]
    ) -> dict[str, list[Booking]]:
        columns = schema.booking.c
        conditions: list[ColumnElement[bool]] = [
            and_(columns.showtime_id == showtime_id, columns.revision > revision) for showtime_id, revision in changed
        ]
        if stale:
            claims = schema.seat_claim.c
            conditions.append(columns.booking_id.in_(select(claims.booking_id).where(claims.showtime_id.in_(stale))))
        if missing:
            conditions.append(columns.booking_id.in_(missing))
        bookings: dict[str, list[Booking]] = {}
        for condition in conditions:
            for booking in await load_bookings(self._connection, select(schema.booking).where(condition)):
                bookings.setdefault(booking.showtime_id, []).append(booking)
        return bookings


_VERSION = select_by(schema.showtime, ("showtime_id",), ("showtime_id", "revision", "stamp", "latest_time"))
_RECORDED = select_by(
    schema.request, ("caller", "rpc", "request_id"), ("caller", "rpc", "request_id", "content", "outcome")
)
_INSERT_REQUEST = insert_into(schema.request)
_UPDATE_SHOWTIME = update_by(
    schema.showtime, ("showtime_id", "known_stamp"), ("taken_seats", "revision", "stamp", "latest_time")
)


def _showtime_row(work: Written) -> dict[str, Any]:
    return {
        "showtime_id": work.showtime_id,
        "known_stamp": work.known.stamp,
        "taken_seats": work.taken,
        "revision": work.version.revision,
        "stamp": work.version.stamp,
        "latest_time": microseconds(work.latest_time),
    }


def _key_row(key: RequestKey) -> dict[str, Any]:
    return {"caller": key.caller, "rpc": key.rpc, "request_id": key.request_id}


def _request_rows(recorded: Sequence[Recorded], now: datetime) -> list[dict[str, Any]]:
    # Sorted, so that two replicas that write the same requests do not wait for each other crosswise.
    return [
        {**_key_row(each.key), "content": each.content, "outcome": each.outcome, "create_time": microseconds(now)}
        for each in sorted(recorded, key=lambda each: (each.key.caller, each.key.rpc, each.key.request_id))
    ]
