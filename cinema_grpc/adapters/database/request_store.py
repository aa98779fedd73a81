"""Forgetting recorded requests that are too old to be repeated."""

from datetime import timedelta

from sqlalchemy import delete, select, tuple_

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.database import Database, uninterrupted

_REQUEST = schema.request.c
_KEY = tuple_(_REQUEST.caller, _REQUEST.rpc, _REQUEST.request_id)


class SqlRequestStore:
    """Keeps what calls with a request_id came to. Fulfils the port RequestStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @uninterrupted
    async def forget(self, age: timedelta, limit: int) -> int:
        """Forget at most `limit` requests that are older than `age`, the oldest first; tell how many."""
        async with self._database.writing(owed=True) as connection:
            now = await self._database.now(connection)
            old = (
                select(_REQUEST.caller, _REQUEST.rpc, _REQUEST.request_id)
                .where(_REQUEST.create_time < now - age)
                .order_by(_REQUEST.create_time)
                .limit(limit)
                .with_for_update(skip_locked=True)  # what another replica is at is left to that
            )
            keys = [tuple(row) for row in await connection.execute(old)]
            if keys:
                await connection.execute(delete(schema.request).where(_KEY.in_(keys)))
        return len(keys)
