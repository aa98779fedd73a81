"""The box office's transactions in SQL: lock, read what is not at hand, write the difference."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.booking_rows import (
    INSERT_REQUEST,
    PARTS,
    UPDATE_SHOWTIME,
    Difference,
    parted,
    to_bookings,
)
from cinema_grpc.adapters.database.catalog_queries import RESERVED
from cinema_grpc.adapters.database.database import Database, uninterrupted
from cinema_grpc.adapters.database.prepared import Found, Go, Step, Together, reader_of, select_by
from cinema_grpc.adapters.database.schema import microseconds, moment
from cinema_grpc.adapters.database.showtime_rows import CHANGED, KEEPING_SEATS, TERMS, read_booking, to_terms
from cinema_grpc.application.box_office_ports import OnHold, Opened, OpenedBatch, Version, Wanted, Written
from cinema_grpc.application.once import Recorded, RequestKey
from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.showtime import Terms
from cinema_grpc.domain.unpaid_holds import COUNTED_FOR

_BOOKING, _SHOWTIME = schema.booking.c, schema.showtime.c


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
    async def is_committed(self, written: Sequence[Written], recorded: Sequence[Recorded]) -> bool:
        """Tell whether a commit whose answer was lost was kept.

        The stamp of a showtime shows it, or, where other processes have written to all of them since, a row that only
        this commit can have made. If it made none, it was kept if all that it wrote is in place: should others have
        done the same instead, what it answers is true all the same, but not what it takes the showtimes to be.

        What is found may have been kept by a server that came back alone, without the standby that the lost commit
        waited for. So the lookup, which has locked a row, is committed too, and waits for the standby as that did.
        """
        async with self._database.deciding() as connection:
            # The lock waits until the lost transaction, which had it, has ended, should the server still be at it.
            driver, lock = self._database.driver, (_LOCK_PATIENTLY, [{"showtime_id": written[0].showtime_id}])
            locked = await driver.lock(connection, lock)
            await driver.look(connection, lock, locked, lambda _: _LOOK.of({}))
            if kept := await self._is_kept(connection, written, recorded):
                await driver.write_and_commit(connection, [])
        return kept

    async def _is_kept(
        self, connection: AsyncConnection, written: Sequence[Written], recorded: Sequence[Recorded]
    ) -> bool:
        showtimes = [work.showtime_id for work in written]
        found = select(_SHOWTIME.showtime_id, _SHOWTIME.stamp).where(_SHOWTIME.showtime_id.in_(showtimes))
        stamps = {row.showtime_id: row.stamp for row in await connection.execute(found)}
        for work in written:
            if stamps[work.showtime_id] in {work.version.stamp, work.known.stamp}:
                return bool(stamps[work.showtime_id] == work.version.stamp)
        difference = _difference(written)
        evidence = difference.evidence()
        if evidence is not None:
            return (await connection.execute(evidence)).first() is not None
        after = {change.after.booking_id: (change.after, work) for work in written for change in work.changes}
        changed = select(_BOOKING.booking_id, _BOOKING.revision, _BOOKING.status)
        for row in await connection.execute(changed.where(_BOOKING.booking_id.in_(after))):
            booking, work = after[row.booking_id]
            if row.revision < work.version.revision or row.status != booking.status.value:
                return False
        questions = [(_RECORDED, [each.key._asdict() for each in recorded])]
        (requests,) = await self._database.driver.read(connection, questions)
        return len(requests) == len(recorded)

    @uninterrupted
    async def showtimes_with_lapsed_holds(self, limit: int, but_for: Collection[str]) -> list[str]:
        """Give at most `limit` showtimes, other than some, that have holds to be written down as over.

        An index finds the holds, and of these there are at most `limit` too.
        """
        async with self._database.reading(owed=True) as connection:
            now = await self._database.now(connection)
            lapsed = (
                select(_BOOKING.showtime_id)
                .where(_BOOKING.status == RESERVED, _BOOKING.hold_expire_time <= now)
                .where(_BOOKING.showtime_id.not_in(but_for))
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
        self._lock: Step = _LOCK, []
        self._locked: Found | None = None

    async def lock(self, showtime_ids: Collection[str], *, patient: bool = False) -> None:
        """Begin, and lock the showtimes."""
        rows = [{"showtime_id": showtime_id} for showtime_id in showtime_ids]
        self._lock = _LOCK_PATIENTLY if patient else _LOCK, rows
        self._locked = await self._driver.lock(self._connection, self._lock)

    async def open(
        self, wanted: Collection[Wanted], requests: Collection[RequestKey], holders: Collection[str]
    ) -> OpenedBatch:
        """Read what is not cached, and what some accounts have on hold."""

        def ask(versions: Found) -> Go:
            known = {each.showtime_id: each.known for each in wanted}
            changed = [
                {"showtime_id": showtime_id, "known_revision": version.revision}
                for showtime_id, revision, stamp, _ in versions
                if (version := known[showtime_id]) is not None and Version(revision, stamp).came_from(version)
            ]
            accounts = [{"user_id": user_id} for user_id in holders]
            return _LOOK.of({_RECORDED: [key._asdict() for key in requests], CHANGED: changed, _ON_HOLD: accounts})

        versions, told, (recorded, changed, held) = await self._driver.look(
            self._connection, self._lock, self._locked, ask
        )
        now = self._database.clock.now() if self._database.clock else told
        found = {showtime_id: (Version(revision, stamp), moment(at)) for showtime_id, revision, stamp, at in versions}
        stale, missing = [], []
        for each in wanted:
            version, _ = found.get(each.showtime_id, (None, None))
            if version is None:
                continue
            missing += [{"booking_id": booking_id} for booking_id in each.booking_ids]
            if each.known is None or not (version == each.known or version.came_from(each.known)):
                stale.append({"showtime_id": each.showtime_id})
        terms, bookings = await self._load(stale, missing, changed, now)
        on_hold: dict[str, list[OnHold]] = {}
        for user_id, showtime_id, seats, hold_expire_time in held:
            on_hold.setdefault(user_id, []).append(OnHold(showtime_id, seats, moment(hold_expire_time)))
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
            on_hold,
        )

    async def commit(self, written: Sequence[Written], recorded: Sequence[Recorded]) -> None:
        """Write everything, once and for all; with nothing to write, wait until what was read is there for good.

        Raises:
            StorageConflict: A constraint refused it, or the showtime was not what it was taken for.
            CommitUnknown.
        """
        if not written:
            await self._driver.write_and_commit(self._connection, [])
            return
        others = {
            INSERT_REQUEST: _request_rows(recorded, max(work.latest_time for work in written)),
            UPDATE_SHOWTIME: [_showtime_row(work) for work in written],
        }
        await self._driver.write_and_commit(self._connection, _difference(written).goes(others))

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
        missing: Sequence[Mapping[str, Any]],
        changed: Found,
        now: datetime,
    ) -> tuple[dict[str, Terms], dict[str, list[Booking]]]:
        """Read showtimes anew that are stale, bookings by their names, and the parts of these and of changed ones."""
        if not (stale or missing or changed):
            return {}, {}
        since = microseconds(now - COUNTED_FOR)
        counted = [{**each, "known_hold_expire_time": since} for each in stale]
        terms, *answers = await self._driver.read(
            self._connection, [(TERMS, stale), (KEEPING_SEATS, stale), (_NAMED, missing), (_UNPAID, counted)]
        )
        rows = [read_booking(row) for answer in (*answers, changed) for row in answer]
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
_ON_HOLD = select_by(
    schema.booking,
    ("user_id",),
    "user_id, showtime_id, seat_count, hold_expire_time",
    # With "=", PostgreSQL may take booking_lapse_index, which has the holds of all customers.
    " AND status BETWEEN 'RESERVED' AND 'RESERVED'",
)
_UNPAID = select_by(schema.booking, ("showtime_id", "known_hold_expire_time"), also=f" AND {schema.ENDED_UNPAID}")
_LOOK = Together(_RECORDED, CHANGED, _ON_HOLD, reading=True)
_NAMED = select_by(schema.booking, ("booking_id",))
_PARTS = [select_by(table, ("booking_id",)) for table in PARTS]
_READ_PARTS = [reader_of(table) for table in PARTS]


def _difference(written: Sequence[Written]) -> Difference:
    difference = Difference()
    for work in written:
        for change in work.changes:
            difference.add(change, work.version.revision)
    return difference


def _showtime_row(work: Written) -> dict[str, Any]:
    return {
        "showtime_id": work.showtime_id,
        "known_stamp": work.known.stamp,
        "taken_seats": work.taken,
        "revision": work.version.revision,
        "stamp": work.version.stamp,
        "latest_time": microseconds(work.latest_time),
    }


def _request_rows(recorded: Sequence[Recorded], now: datetime) -> list[dict[str, Any]]:
    # Sorted, so that two replicas that write the same requests do not wait for each other crosswise.
    return [
        {**each.key._asdict(), "content": each.content, "outcome": each.outcome, "create_time": microseconds(now)}
        for each in sorted(recorded, key=lambda each: each.key)
    ]
