"""What waits in the database. Each query reads a bounded number of entries of an index."""

import asyncio
from typing import Any

from sqlalchemy import ColumnElement, func, select, text

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.event_store import SqlEventStore
from cinema_grpc.adapters.database.statements import Query
from cinema_grpc.application.backlog import MAX_COUNTED, Backlog, Waiting


def _waiting(since: ColumnElement[Any], condition: str = "") -> Query:
    """Return the query for how many rows there are, and since when the oldest of them waits."""
    rows = select(since.label("since")).limit(MAX_COUNTED)
    found = (rows.where(text(condition)) if condition else rows).subquery("waiting")
    query: Any = select(func.count(), func.min(found.c.since)).select_from(found)
    return Query(query)


REFUNDS = _waiting(schema.refund.c.create_time, f"{schema.OWED_REFUND} AND provider_id = ''")
REFUNDS_AT_PROVIDER = _waiting(schema.refund.c.create_time, f"{schema.OWED_REFUND} AND provider_id <> ''")
FAILED_REFUNDS = _waiting(schema.refund.c.create_time, "status = 'FAILED'")
PAYMENTS = _waiting(schema.payment_attempt.c.create_time, schema.UNSETTLED_ATTEMPT)
COMMITS = _waiting(schema.event_outbox.c.decide_time)


class SqlBacklogReader:
    """Reads the backlog. Fulfils BacklogReader."""

    def __init__(self, database: Database, events: SqlEventStore) -> None:
        self._database = database
        self._events = events

    async def read(self) -> Backlog:
        """Return what waits."""
        refunds, at_provider, failed, payments, commits = await asyncio.gather(
            *map(self._count, (REFUNDS, REFUNDS_AT_PROVIDER, FAILED_REFUNDS, PAYMENTS, COMMITS))
        )
        return Backlog(refunds, at_provider, failed, payments, commits, await self._events.latest_position())

    async def _count(self, query: Query) -> Waiting:
        now, [(count, since)] = await self._database.read(query)
        return Waiting(count, max((now - since).total_seconds(), 0.0) if count else 0.0)
