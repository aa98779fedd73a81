"""Deletion of what the database stores for a limited time."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Column, delete, select, tuple_
from sqlalchemy.engine import Connection

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.database import Database


class SqlRetentionStore:
    """Deletes old rows. Fulfils RetentionStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def delete_stored_responses(self, age: timedelta, limit: int) -> int:
        """Delete at most `limit` stored responses that are at least `age` old; return how many."""
        return await self._delete(schema.stored_response.c.create_time, age, limit)

    async def delete_sessions(self, limit: int) -> int:
        """Delete at most `limit` expired sessions; return how many."""
        return await self._delete(schema.session.c.expire_time, timedelta(0), limit)

    async def delete_sign_ins(self, limit: int) -> int:
        """Delete at most `limit` expired records of sign-ins; return how many."""
        return await self._delete(schema.sign_in.c.expire_time, timedelta(0), limit)

    async def _delete(self, time: Column[Any], age: timedelta, limit: int) -> int:
        """Delete rows by a column that has an index."""
        table = time.table
        keys = list(table.primary_key.columns)

        def work(connection: Connection) -> int:
            old = select(*keys).where(time <= self._database.time(connection) - age).order_by(time).limit(limit)
            # Rows that another replica is deleting are skipped.
            found = [tuple(row) for row in connection.execute(old.with_for_update(skip_locked=True))]
            if found:
                connection.execute(delete(table).where(tuple_(*keys).in_(found)))
            return len(found)

        return await self._database.transact(work, must_run=True)
