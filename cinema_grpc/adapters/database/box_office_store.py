"""The box office's store: makes showtimes and bookings of what `sql/` loads, and rows of what has changed."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from cinema_grpc.adapters.database.booking_rows import read_booking, read_response, rows_of
from cinema_grpc.adapters.database.column_types import MICROSECOND, from_json, microseconds, moment, searchable, to_json
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.driver import RawTransaction
from cinema_grpc.adapters.database.statements import Row
from cinema_grpc.adapters.database.terms_rows import read_terms
from cinema_grpc.application.box_office.store import (
    Hold,
    Loaded,
    LoadedShowtime,
    LoadRequest,
    NotLocked,
    ShowtimeUpdate,
    Version,
)
from cinema_grpc.application.idempotency import StoredResponse
from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.catalog import LONGEST_RUNTIME
from cinema_grpc.domain.terms import Slot
from cinema_grpc.domain.unpaid_holds import COUNTED_FOR

BOOKINGS_IN_TURN = 100
"""How many bookings are read before other tasks get a turn. A batch of uncached showtimes may load thousands."""


class SqlBoxOfficeStore:
    """Stores showtimes' seats and bookings. Fulfils BoxOfficeStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["SqlTransaction"]:
        """Begin a transaction; leaving it without a commit rolls it back."""
        async with self._database.transaction() as transaction:
            yield SqlTransaction(transaction)

    async def load(self, request: LoadRequest) -> Loaded:
        """Load a snapshot of what is committed, without locks."""
        (row,) = await self._database.read_named("load", **_parameters(request))
        return await _read_loaded(row)

    async def was_committed(self, update: ShowtimeUpdate) -> bool:
        """Return whether an update whose commit got no answer is committed, durably.

        The server may have come back without its standby, so a commit that is found could still be lost. So this
        transaction is committed too: it has locked a row, so it waits for the standby, as the lost commit did.
        """
        async with self._database.transaction() as transaction:
            # If the server is still committing the lost transaction, that has the lock.
            await transaction.lock([update.showtime_id], wait=True)
            commit_id = await transaction.find_commit(update.showtime_id, update.after.revision)
            if commit_id != update.after.commit_id:
                return False
            await transaction.commit({})
            return True

    async def showtimes_with_lapses(self, limit: int, exclude: Collection[str]) -> list[str]:
        """Return at most `limit` showtimes, except some, with lapsed holds that are not yet EXPIRED, or lapsed blocks.

        Indexes find the holds and the blocks, and of each it reads at most `limit` too.
        """
        rows = await self._database.read_named("lapsed", must_run=True, exclude=to_json(list(exclude)), limit=limit)
        return sorted({showtime_id for (showtime_id,) in rows})

    async def versions(self, showtime_ids: Collection[str]) -> tuple[datetime | None, dict[str, Version]]:
        """Return the time, and the stored versions of showtimes; None for the time if there are none of these."""
        rows = await self._database.read_named(
            "versions", must_run=True, showtime_ids=to_json([*map(searchable, showtime_ids)])
        )
        time = moment(rows[0][0]) if rows else None
        return time, {showtime_id: Version(revision, commit_id) for _, showtime_id, revision, commit_id in rows}


class SqlTransaction:
    """One transaction of the box office. Fulfils Transaction."""

    def __init__(self, transaction: RawTransaction) -> None:
        self._transaction = transaction

    async def lock(
        self, showtime_ids: Collection[str], *, wait: bool, with_auditorium: Collection[str] = ()
    ) -> NotLocked:
        """Lock showtimes, and return what was skipped."""
        return await self._transaction.lock(
            [*map(searchable, showtime_ids)], wait=wait, with_auditorium=[*map(searchable, with_auditorium)]
        )

    async def load(self, request: LoadRequest) -> Loaded:
        """Load showtimes and what else a batch needs."""
        return await _read_loaded(await self._transaction.load(_parameters(request)))

    async def commit(
        self, updates: Sequence[ShowtimeUpdate], responses: Sequence[StoredResponse], now: datetime
    ) -> None:
        """Write and commit; responses are stored as of `now`."""
        await self._transaction.commit(rows_of(updates, responses, now))


def _parameters(request: LoadRequest) -> dict[str, Any]:
    known = [
        {
            "showtime_id": searchable(showtime_id),
            "revision": None if version is None else version.revision,
            "commit_id": None if version is None else version.commit_id,
        }
        for showtime_id, version in request.showtimes.items()
    ]
    slots_within = [
        {"showtime_id": searchable(each), "after": microseconds(start), "before": microseconds(end)}
        for each, (start, end) in request.slots_within.items()
    ]
    return {
        "showtimes": to_json(known),
        "booking_ids": to_json([*map(searchable, request.booking_ids)]),
        "keys": to_json([key._asdict() for key in request.keys]),
        "accounts": to_json(list(request.accounts)),
        "slots_within": to_json(slots_within),
        "unpaid_for": COUNTED_FOR // MICROSECOND,
        "longest_runtime": LONGEST_RUNTIME // MICROSECOND,
    }


async def _read_loaded(row: Row) -> Loaded:
    now, catalog_revision, *parts = row
    showtimes, terms, bookings, responses, holds, slots = map(from_json, parts)
    terms_of = {each[0]: read_terms(each) for each in terms}
    bookings_of: dict[str, list[Booking]] = {}
    for number, each in enumerate(bookings, start=1):
        booking = read_booking(each)
        if number % BOOKINGS_IN_TURN == 0:
            await asyncio.sleep(0)
        bookings_of.setdefault(booking.showtime_id, []).append(booking)
    holds_of: dict[str, list[Hold]] = {}
    for user_id, showtime_id, seats, hold_expire_time in holds:
        holds_of.setdefault(user_id, []).append(Hold(showtime_id, seats, moment(hold_expire_time)))
    slots_of: dict[str, list[Slot]] = {}
    for showtime_id, other_id, start_time, end_time in slots:
        slots_of.setdefault(showtime_id, []).append(Slot(other_id, moment(start_time), moment(end_time)))
    return Loaded(
        now=moment(now),
        showtimes={
            showtime_id: LoadedShowtime(
                version=Version(revision, commit_id),
                latest_time=moment(latest_time),
                complete=not is_known,
                terms=terms_of.get(showtime_id),
                bookings=bookings_of.get(showtime_id, ()),
                slots=slots_of.get(showtime_id, ()),
            )
            for showtime_id, revision, commit_id, latest_time, is_known in showtimes
        },
        responses={stored.key: stored for stored in map(read_response, responses)},
        holds=holds_of,
        catalog_revision=catalog_revision,
    )
