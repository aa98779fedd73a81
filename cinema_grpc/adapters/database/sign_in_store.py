"""Keeps records of sign-ins in the database, so that all replicas agree on who has to wait."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from cinema_grpc.adapters.database.database import Database, owed, uninterrupted
from cinema_grpc.adapters.database.prepared import reader_of, select_by
from cinema_grpc.adapters.database.schema import sign_in
from cinema_grpc.domain.sign_in import Limit, Record, after_success, unseen

_BY_SUBJECT = select_by(sign_in, ("subject",))
_read_row = reader_of(sign_in)


class SqlSignInStore:
    """Keeps records of sign-ins; fulfils ports.SignInStore."""

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
        async with self._database.writing(owed=True) as connection:
            now = await self._database.now(connection)
            found = await self._locked(connection, counted, now)
            for subject, limit in counted.items():
                await self._write(connection, subject, found[subject].after_failure(now, limit))

    @uninterrupted
    async def add_success(self, at_place: bytes, of_account: bytes) -> None:
        """Remember the place, and forget the failures there and of the account."""
        async with self._database.writing() as connection:
            now = await self._database.now(connection)
            await self._locked(connection, (at_place, of_account), now)
            await self._write(connection, at_place, after_success(now))
            await connection.execute(delete(sign_in).where(sign_in.c.subject == of_account))

    async def _locked(
        self, connection: AsyncConnection, subjects: Collection[bytes], now: datetime
    ) -> dict[bytes, Record]:
        """Read the records of some subjects, which are made where they are missing, and locked in one order."""
        in_order = sorted(subjects)
        insert: Any = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}[connection.dialect.name]
        missing = [{"subject": subject, **asdict(unseen(now))} for subject in in_order]
        await connection.execute(insert(sign_in).on_conflict_do_nothing(), missing)
        rows = select(sign_in).where(sign_in.c.subject.in_(in_order)).order_by(sign_in.c.subject).with_for_update()
        return {row.subject: _record(row, now) for row in await connection.execute(rows)}

    async def _write(self, connection: AsyncConnection, subject: bytes, record: Record) -> None:
        await connection.execute(update(sign_in).where(sign_in.c.subject == subject).values(asdict(record)))


def _record(row: Any, now: datetime) -> Record:
    if row is None or row.expire_time <= now:
        return unseen(now)
    return Record(row.failures, row.latest_time, row.known, row.expire_time)
