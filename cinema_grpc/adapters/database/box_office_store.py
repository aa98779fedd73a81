"""The box office's transactions in SQL: lock, read what is not at hand, write the difference."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.booking_rows import PARTS, Difference, parted, to_bookings
from cinema_grpc.adapters.database.catalog_queries import RESERVED
from cinema_grpc.adapters.database.database import Database, uninterrupted
from cinema_grpc.adapters.database.prepared import Step, insert_into, reader_of, select_by, update_by
from cinema_grpc.adapters.database.schema import microseconds, moment
from cinema_grpc.adapters.database.showtime_rows import KEEPING_SEATS, TERMS, read_booking, to_terms
from cinema_grpc.application.once import Recorded, RequestKey
from cinema_grpc.application.ports import Opened, OpenedBatch, Version, Wanted, Written
from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.showtime import Terms

_BOOKING = schema.booking.c


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
        """Tell whether a commit whose answer was lost was kept.

        The stamp of a showtime shows it, or, where another process has written to that since, a row that only this
        commit can have made. Failing that the state of a booking does: what is left then is safe to do again.
        """
        work = written[0]
        async with self._database.deciding() as connection:
            # The lock waits until the lost transaction has ended, should the server still be at it.
            of_showtime = [{"showtime_id": work.showtime_id}]
            (version,), _ = await self._database.driver.begin(connection, _LOCK_PATIENTLY, of_showtime, _RECORDED, [])
            found = version[2]
            if found in {work.version.stamp, work.known.stamp}:
                return bool(found == work.version.stamp)
            difference = Difference()
            for change in work.changes:
                difference.add(change, work.version.revision)
            evidence = difference.evidence()
            if evidence is not None:
                return (await connection.execute(evidence)).first() is not None
            booking = work.changes[0].after
            row = (
                await connection.execute(
                    select(_BOOKING.revision, _BOOKING.status).where(_BOOKING.booking_id == booking.booking_id)
                )
            ).one()
        return bool(row.revision >= work.version.revision and row.status == booking.status.value)

    @uninterrupted
    async def showtimes_with_lapsed_holds(self, limit: int) -> list[str]:
        """Give at most `limit` showtimes that have holds to be written down as over, found by an index."""
        async with self._database.reading() as connection:
            now = await self._database.now(connection)
            lapsed = (
                select(_BOOKING.showtime_id)
                .where(_BOOKING.status == RESERVED, _BOOKING.hold_expire_time <= now)
                .order_by(_BOOKING.hold_expire_time)
                .limit(limit)
            )
            return sorted(set((await connection.execute(lapsed)).scalars()))


class SqlBatch:
    """One transaction of the box office. Fulfils the port Batch."""

    def __init__(self, database: Database, connection: AsyncConnection) -> None:
        self._database = database
        self._driver = database.driver
        self._connection = connection

    async def open(
        self, wanted: Collection[Wanted], requests: Collection[RequestKey], *, patient: bool = False
    ) -> OpenedBatch:
        """Lock the showtimes, and read what is not at hand."""
        versions, recorded = await self._driver.begin(
            self._connection,
            _LOCK_PATIENTLY if patient else _LOCK,
            [{"showtime_id": each.showtime_id} for each in wanted],
            _RECORDED,
            [_key_row(key) for key in requests],
        )
        now = await self._database.now(self._connection)
        found = {showtime_id: (Version(revision, stamp), moment(at)) for showtime_id, revision, stamp, at in versions}
        stale, changed, missing = [], [], []
        for each in wanted:
            version, _ = found.get(each.showtime_id, (None, None))
            if version is None:
                continue
            missing += [{"booking_id": booking_id} for booking_id in each.booking_ids]
            if version == each.known:
                continue
            if each.known is None or version.revision <= each.known.revision:
                stale.append({"showtime_id": each.showtime_id})
            else:
                changed.append({"showtime_id": each.showtime_id, "known_revision": each.known.revision})
        terms, bookings = await self._load(stale, changed, missing)
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
            await self._skipped([each.showtime_id for each in wanted if each.showtime_id not in found]),
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
        await self._driver.write_and_commit(self._connection, steps)

    async def _skipped(self, showtime_ids: Sequence[str]) -> frozenset[str]:
        """Tell which showtimes were not locked though they exist: other processes are busy with them."""
        if not showtime_ids:
            return frozenset()
        rows = [{"showtime_id": showtime_id} for showtime_id in showtime_ids]
        (found,) = await self._driver.read(self._connection, [(_EXISTING, rows)])
        return frozenset(showtime_id for (showtime_id,) in found)

    async def _load(
        self,
        stale: Sequence[Mapping[str, Any]],
        changed: Sequence[Mapping[str, Any]],
        missing: Sequence[Mapping[str, Any]],
    ) -> tuple[dict[str, Terms], dict[str, list[Booking]]]:
        """Read showtimes anew that are stale, of others the bookings that changed, and bookings by their names."""
        if not (stale or changed or missing):
            return {}, {}
        questions = [(TERMS, stale), (KEEPING_SEATS, stale), (_CHANGED, changed), (_NAMED, missing)]
        terms, *answers = await self._driver.read(self._connection, questions)
        rows = [read_booking(row) for answer in answers for row in answer]
        paid_for = [{"booking_id": booking_id} for booking_id in parted(rows)]
        parts: list[list[Any]] = [[] for _ in PARTS]
        if paid_for:
            found = await self._driver.read(self._connection, [(statement, paid_for) for statement in _PARTS])
            parts = [[read(row) for row in some] for read, some in zip(_READ_PARTS, found, strict=True)]
        bookings: dict[str, list[Booking]] = {}
        for booking in to_bookings(rows, *parts):
            bookings.setdefault(booking.showtime_id, []).append(booking)
        return {row[0]: to_terms(*row) for row in terms}, bookings


_VERSION = "showtime_id, revision, stamp, latest_time"
# Whoever has locked a showtime goes on at once, whatever others have locked; so nobody's delay becomes everybody's. Who
# has locked nothing yet may wait.
_LOCKED = " ORDER BY showtime.showtime_id FOR NO KEY UPDATE OF showtime"
_LOCK = select_by(schema.showtime, ("showtime_id",), _VERSION, locking=f"{_LOCKED} SKIP LOCKED")
_LOCK_PATIENTLY = select_by(schema.showtime, ("showtime_id",), _VERSION, locking=_LOCKED)
_EXISTING = select_by(schema.showtime, ("showtime_id",), "showtime_id")
_RECORDED = select_by(schema.request, ("caller", "rpc", "request_id"), "caller, rpc, request_id, content, outcome")
_CHANGED = select_by(schema.booking, ("showtime_id", "known_revision"))
_NAMED = select_by(schema.booking, ("booking_id",))
_PARTS = [select_by(table, ("booking_id",)) for table in PARTS]
_INSERT_REQUEST = insert_into(schema.request)
_UPDATE_SHOWTIME = update_by(
    schema.showtime, ("showtime_id", "known_stamp"), ("taken_seats", "revision", "stamp", "latest_time")
)
_READ_PARTS = [reader_of(table) for table in PARTS]


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
