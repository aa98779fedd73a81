"""Payment attempts and refunds that are not settled, each taken by one process at a time."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, Table, bindparam, select, text, update
from sqlalchemy.engine import Connection

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.application.payment_ports import OpenAttempt, OwedRefund
from cinema_grpc.domain.money import Money

_BOOKING = schema.booking.c


class SqlPaymentStore:
    """Stores what is not settled. Fulfils PaymentStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take_attempts(
        self, grace: timedelta, limit: int, backoff: Callable[[int], timedelta]
    ) -> list[OpenAttempt]:
        """Take attempts that are due."""
        rows = await self._take(schema.payment_attempt, schema.UNSETTLED_ATTEMPT, grace, limit, backoff)
        return [OpenAttempt(row.showtime_id, row.booking_id, row.user_id, row.attempt_id, row.tries) for row in rows]

    async def take_refunds(self, grace: timedelta, limit: int, backoff: Callable[[int], timedelta]) -> list[OwedRefund]:
        """Take refunds that are due."""
        rows = await self._take(schema.refund, schema.OWED_REFUND, grace, limit, backoff)
        return [
            OwedRefund(
                row.showtime_id,
                row.booking_id,
                row.refund_id,
                row.attempt_id,
                Money(row.currency_code, row.amount),
                row.tries,
            )
            for row in rows
        ]

    async def _take(
        self,
        table: Table,
        unsettled: str,
        grace: timedelta,
        limit: int,
        backoff: Callable[[int], timedelta],
    ) -> Sequence[Row[Any]]:
        """Return rows that are due, with columns of their bookings, and postpone their next try.

        `unsettled` is the condition of the table's partial index. Rows that another process has locked are skipped.
        """
        (key,) = table.primary_key.columns
        # A booking may get a column of the same name, from a newer version.
        conditions = [text(f"{table.name}.{each}") for each in unsettled.split(" AND ")]

        def take(connection: Connection) -> Sequence[Row[Any]]:
            now = self._database.time(connection)
            due = (
                select(table, _BOOKING.showtime_id, _BOOKING.user_id)
                .join(schema.booking, _BOOKING.booking_id == table.c.booking_id)
                .where(*conditions, table.c.due_time <= now, table.c.create_time <= now - grace)
                .order_by(table.c.due_time)
                .limit(limit)
                .with_for_update(of=table, skip_locked=True)
            )
            rows = connection.execute(due).all()
            if rows:
                postpone = update(table).where(key == bindparam("taken"))
                connection.execute(
                    postpone.values(due_time=bindparam("next_time"), tries=table.c.tries + 1),
                    [{"taken": getattr(row, key.name), "next_time": now + backoff(row.tries)} for row in rows],
                )
            return rows

        return await self._database.transact(take, must_run=True)
