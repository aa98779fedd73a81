"""The box office's transactions in SQL: lock, read what is not at hand, write the difference."""

import json
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, astuple
from datetime import datetime

from sqlalchemy import ColumnElement, Row, and_, bindparam, insert, select, tuple_, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.booking_rows import Difference, execute_many, load_bookings
from cinema_grpc.adapters.database.database import Database, uninterrupted
from cinema_grpc.application.once import Recorded, RequestKey
from cinema_grpc.application.ports import CommitUnknown, Opened, OpenedBatch, Version, Wanted, Written
from cinema_grpc.domain.booking import SEAT_KEEPING, Booking
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.seating import SeatPlan, SeatRow
from cinema_grpc.domain.showtime import SeatGapPolicy, Terms

SEAT_PLANS_AT_HAND = 1_000
KEEPING = [status.value for status in SEAT_KEEPING]


class SqlBoxOfficeStore:
    """Keeps who has which seat. Fulfils the port BoxOfficeStore."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seat_plans: dict[str, SeatPlan] = {}

    @asynccontextmanager
    async def batch(self) -> AsyncIterator["SqlBatch"]:
        """Begin a transaction; leaving it without a commit undoes it."""
        async with self._database.deciding() as connection:
            yield SqlBatch(self._database, connection, self._seat_plans)

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

    def __init__(self, database: Database, connection: AsyncConnection, seat_plans: dict[str, SeatPlan]) -> None:
        self._database = database
        self._connection = connection
        self._seat_plans = seat_plans

    async def open(self, wanted: Collection[Wanted], requests: Collection[RequestKey]) -> OpenedBatch:
        """Lock the showtimes and read what is not at hand."""
        versions = {row.showtime_id: row for row in await self._versions([each.showtime_id for each in wanted])}
        now = await self._database.now(self._connection)
        stale, changed = [], []
        for each in wanted:
            row = versions.get(each.showtime_id)
            if row is None or (each.known is not None and each.known.stamp == row.stamp):
                continue
            if each.known is None or row.revision <= each.known.revision:
                stale.append(each.showtime_id)
            else:
                changed.append((each.showtime_id, each.known.revision))
        terms = await self._terms(stale)
        missing = [booking_id for each in wanted for booking_id in each.booking_ids]
        bookings = await self._bookings(stale, changed, missing)
        showtimes = {
            showtime_id: Opened(
                Version(row.revision, row.stamp), row.latest_time, terms.get(showtime_id), bookings.get(showtime_id, ())
            )
            for showtime_id, row in versions.items()
        }
        return OpenedBatch(now, showtimes, await self._recorded(requests))

    async def commit(self, written: Sequence[Written], recorded: Sequence[Recorded]) -> None:
        """Write everything, once and for all.

        Raises:
            StorageConflict: A constraint refused it, or the showtime was not what it was taken for.
            CommitUnknown.
        """
        await self._write_requests(recorded, max(work.latest_time for work in written))
        await self._write_showtimes(written)
        difference = Difference()
        for work in written:
            for change in work.changes:
                difference.add(change, work.version.revision)
        await difference.write(self._connection)
        try:
            await self._connection.commit()
        except DBAPIError as error:
            raise CommitUnknown from error

    async def _versions(self, showtime_ids: Sequence[str]) -> Sequence[Row[str, int, str, datetime]]:
        columns = schema.showtime.c
        query = (
            select(columns.showtime_id, columns.revision, columns.stamp, columns.latest_time)
            .where(columns.showtime_id.in_(showtime_ids))
            .order_by(columns.showtime_id)
        )
        return (await self._connection.execute(query)).all()

    async def _terms(self, showtime_ids: Sequence[str]) -> dict[str, Terms]:
        if not showtime_ids:
            return {}
        query = select(schema.showtime, schema.auditorium.c.rows).join(schema.auditorium)
        rows = await self._connection.execute(query.where(schema.showtime.c.showtime_id.in_(showtime_ids)))
        return {
            row.showtime_id: Terms(
                row.showtime_id,
                row.start_time,
                Money(row.currency_code, row.seat_price),
                SeatGapPolicy(row.seat_gap_policy),
                self._seat_plan(row.auditorium_id, row.rows),
            )
            for row in rows
        }

    def _seat_plan(self, auditorium_id: str, rows: str) -> SeatPlan:
        """Give the plan of an auditorium, one object for all of its showtimes, since it never changes."""
        plan = self._seat_plans.get(auditorium_id)
        if plan is None:
            plan = SeatPlan([SeatRow(label, tuple(sections)) for label, sections in json.loads(rows)])
            if len(self._seat_plans) >= SEAT_PLANS_AT_HAND:
                self._seat_plans.clear()
            self._seat_plans[auditorium_id] = plan
        return plan

    async def _bookings(
        self, stale: Sequence[str], changed: Sequence[tuple[str, int]], missing: Sequence[str]
    ) -> dict[str, list[Booking]]:
        columns = schema.booking.c
        conditions: list[ColumnElement[bool]] = [
            and_(columns.showtime_id == showtime_id, columns.revision > revision) for showtime_id, revision in changed
        ]
        if stale:
            conditions.append(and_(columns.showtime_id.in_(stale), columns.status.in_(KEEPING)))
        if missing:
            conditions.append(columns.booking_id.in_(missing))
        bookings: dict[str, list[Booking]] = {}
        for condition in conditions:
            for booking in await load_bookings(self._connection, select(schema.booking).where(condition)):
                bookings.setdefault(booking.showtime_id, []).append(booking)
        return bookings

    async def _recorded(self, keys: Collection[RequestKey]) -> dict[RequestKey, Recorded]:
        if not keys:
            return {}
        columns = schema.request.c
        wanted = [(key.caller, key.rpc, key.request_id) for key in keys]
        query = select(schema.request).where(tuple_(columns.caller, columns.rpc, columns.request_id).in_(wanted))
        found = {}
        for row in await self._connection.execute(query):
            key = RequestKey(row.caller, row.rpc, row.request_id)
            found[key] = Recorded(key, row.content, row.outcome)
        return found

    async def _write_requests(self, recorded: Sequence[Recorded], now: datetime) -> None:
        # Sorted, so that two replicas that write the same requests do not wait for each other crosswise.
        rows = [
            {**asdict(each.key), "content": each.content, "outcome": each.outcome, "create_time": now}
            for each in sorted(recorded, key=lambda each: astuple(each.key))
        ]
        await execute_many(self._connection, insert(schema.request), rows)

    async def _write_showtimes(self, written: Sequence[Written]) -> None:
        columns = schema.showtime.c
        statement = (
            update(schema.showtime)
            .where(columns.showtime_id == bindparam("of_showtime"), columns.stamp == bindparam("known_stamp"))
            .values(
                taken_seats=bindparam("taken"),
                revision=bindparam("new_revision"),
                stamp=bindparam("new_stamp"),
                latest_time=bindparam("now"),
            )
        )
        rows = [
            {
                "of_showtime": work.showtime_id,
                "known_stamp": work.known.stamp,
                "taken": work.taken,
                "new_revision": work.version.revision,
                "new_stamp": work.version.stamp,
                "now": work.latest_time,
            }
            for work in written
        ]
        await execute_many(self._connection, statement, rows, exactly=True)
