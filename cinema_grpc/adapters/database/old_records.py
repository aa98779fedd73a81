"""Deleting what nobody asks for any more."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Column, delete, select, tuple_

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.database import Database, uninterrupted


class SqlOldRecords:
    """What the database keeps for a time. Fulfils the port OldRecords."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def forget_requests(self, age: timedelta, limit: int) -> int:
        """Forget at most `limit` requests that are `age` old, the oldest first; tell how many."""
        return await self._delete(schema.request.c.create_time, age, limit)

    async def forget_sessions(self, limit: int) -> int:
        """Forget at most `limit` sessions that are over; tell how many."""
        return await self._delete(schema.session.c.expire_time, timedelta(0), limit)

    async def forget_sign_ins(self, limit: int) -> int:
        """Forget at most `limit` records of sign-ins in which nothing counts any more; tell how many."""
        return await self._delete(schema.sign_in.c.expire_time, timedelta(0), limit)

    @uninterrupted
    async def _delete(self, moment: Column[Any], age: timedelta, limit: int) -> int:
        """Delete rows whose moment, in a column that has an index, lies that far back."""
        keys = list(moment.table.primary_key.columns)
        async with self._database.writing(owed=True) as connection:
            now = await self._database.now(connection)
            old = (
                select(*keys)
                .where(moment <= now - age)
                .order_by(moment)
                .limit(limit)
                .with_for_update(skip_locked=True)  # what another replica is at is left to that
            )
            found = [tuple(row) for row in await connection.execute(old)]
            if found:
                await connection.execute(delete(moment.table).where(tuple_(*keys).in_(found)))
        return len(found)
