"""Keeps records of sign-ins in the database, so that all replicas agree on who has to wait."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from cinema_grpc.adapters.database.database import Database, owed, uninterrupted
from cinema_grpc.adapters.database.prepared import (
    Found,
    Go,
    Together,
    insert_into,
    reader_of,
    row_of,
    select_by,
    update_by,
)
from cinema_grpc.adapters.database.schema import sign_in
from cinema_grpc.domain.sign_in import Limit, Record, after_success, after_use, unseen, wait_for_use

T = TypeVar("T")

_BY_SUBJECT = select_by(sign_in, ("subject",))
_LOCK = select_by(sign_in, ("subject",), locking=" ORDER BY sign_in.subject FOR UPDATE OF sign_in")
_INSERT = insert_into(sign_in)
_UPDATE = update_by(sign_in, ("subject",), ("failures", "latest_time", "known", "expire_time"))
_CHANGE = Together(_INSERT, _UPDATE)
_read_row = reader_of(sign_in)


class SqlSignInStore:
    """Keeps records of sign-ins; fulfils account_ports.SignInStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, subjects: Collection[bytes]) -> tuple[datetime, dict[bytes, Record]]:
        """Tell the time, and read the records of some subjects."""
        asked = [{"subject": subject} for subject in subjects]
        now, (found,) = await self._database.peek([(_BY_SUBJECT, asked)])
        rows = {bytes(row.subject): row for row in map(_read_row, found)}
        return now, {subject: _record(rows.get(subject), now) for subject in subjects}

    @owed
    async def add_failure(self, counted: Mapping[bytes, Limit]) -> None:
        """Add a failure to the records of some subjects, each with its limit, though whoever waits for it is gone."""

        def change(records: Mapping[bytes, Record], now: datetime) -> tuple[None, dict[bytes, Record]]:
            return None, {subject: records[subject].after_failure(now, limit) for subject, limit in counted.items()}

        await self._change(change, counted, owed=True)

    @uninterrupted
    async def use(self, subject: bytes, most: int) -> timedelta:
        """Count one more use of a subject, unless there were `most` within the hour already.

        Returns:
            Zero if it was counted, else how long to wait for the next hour.
        """

        def change(records: Mapping[bytes, Record], now: datetime) -> tuple[timedelta, dict[bytes, Record]]:
            wait = wait_for_use(records[subject], now, most)
            return wait, {} if wait else {subject: after_use(records[subject], now)}

        return await self._change(change, (subject,))

    @uninterrupted
    async def add_success(self, at_place: bytes, of_account: bytes) -> None:
        """Remember the place, and forget the failures there and of the account."""
        await self._change(
            lambda _, now: (None, {at_place: after_success(now), of_account: unseen(now)}), (at_place, of_account)
        )

    async def _change(
        self,
        change: Callable[[Mapping[bytes, Record], datetime], tuple[T, Mapping[bytes, Record]]],
        subjects: Collection[bytes],
        *,
        owed: bool = False,
    ) -> T:
        """Change the records of some subjects by what they are; `change` returns the answer and the new records.

        One that is forgotten stays as a row that has lapsed. Were it deleted, those who come at once would make it anew
        and anew, in each other's way.
        """

        def decision(found: Found, now: datetime, _: object) -> tuple[T, Go]:
            there = {bytes(row.subject): row for row in map(_read_row, found)}
            answer, after = change({subject: _record(there.get(subject), now) for subject in subjects}, now)
            rows = {
                subject: {"subject": subject, **row_of(record)}
                for subject, record in after.items()
                if subject in there or record != unseen(now)
            }
            return answer, _CHANGE.of(
                {
                    _INSERT: [row for subject, row in sorted(rows.items()) if subject not in there],
                    _UPDATE: [row for subject, row in rows.items() if subject in there],
                }
            )

        lock = _LOCK, [{"subject": subject} for subject in sorted(subjects)]
        return await self._database.decide(lock, decision, racing=True, owed=owed)


def _record(row: Any, now: datetime) -> Record:
    if row is None or row.expire_time <= now:
        return unseen(now)
    return Record(row.failures, row.latest_time, row.known, row.expire_time)
