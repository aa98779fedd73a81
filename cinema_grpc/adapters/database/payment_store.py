"""Payment attempts and refunds that are not settled, each taken by one process at a time."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Select, Table, bindparam, select, text, update
from sqlalchemy.engine import Connection

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.application.payment_ports import OpenAttempt, OwedRefund
from cinema_grpc.domain.money import Money

LONGEST_PAUSE_FOR_CUSTOMER = timedelta(seconds=30)
"""How long a payment may stay unnoticed whose customer has acted and has not come back, or whose hold has ended."""
LAST_LOOK = timedelta(seconds=5)
"""How long before the end of its hold such a payment is looked at in any case: in time to confirm the booking."""

_BOOKING, _ATTEMPT = schema.booking.c, schema.payment_attempt.c


class SqlPaymentStore:
    """Stores what is not settled. Fulfils PaymentStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take_attempts(
        self, grace: timedelta, limit: int, backoff: Callable[[int], timedelta]
    ) -> list[OpenAttempt]:
        """Take attempts that are due."""
        now, rows = await self._take(schema.payment_attempt, schema.UNSETTLED_ATTEMPT, grace, limit, backoff)
        return [
            OpenAttempt(
                row.showtime_id, row.booking_id, row.user_id, row.attempt_id, row.tries, age=now - row.create_time
            )
            for row in rows
        ]

    async def take_refunds(self, grace: timedelta, limit: int, backoff: Callable[[int], timedelta]) -> list[OwedRefund]:
        """Take refunds that are due."""
        _, rows = await self._take(schema.refund, schema.OWED_REFUND, grace, limit, backoff)
        return [_refund_of(row) for row in rows]

    async def take_paid_refunds(self, limit: int, pause: timedelta, watch_for: timedelta) -> list[OwedRefund]:
        """Take refunds that were paid, and have not been taken for `pause`."""

        def take(connection: Connection) -> list[OwedRefund]:
            now, table = self._database.time(connection), schema.refund
            due = _due(table, schema.WATCHED_REFUND, limit).where(table.c.due_time <= now - pause)
            refunds = [(row.create_time, _refund_of(row)) for row in connection.execute(due)]
            if refunds:
                taken = update(table).where(table.c.refund_id == bindparam("taken"))
                connection.execute(
                    taken.values(due_time=now, watched=bindparam("still")),
                    [{"taken": each.refund_id, "still": now - made < watch_for} for made, each in refunds],
                )
            return [refund for _, refund in refunds]

        return await self._database.transact(take, must_run=True)

    async def _take(
        self,
        table: Table,
        unsettled: str,
        grace: timedelta,
        limit: int,
        backoff: Callable[[int], timedelta],
    ) -> tuple[datetime, Sequence[Row[Any]]]:
        """Return the time, and rows that are due, with columns of their bookings; and postpone their next try.

        `unsettled` is the condition of the table's partial index.
        """
        (key,) = table.primary_key.columns

        def next_time(row: Row[Any], now: datetime) -> datetime:
            pause = backoff(row.tries)
            if table is schema.refund or not row.action:
                return now + pause
            later, last = now + min(pause, LONGEST_PAUSE_FOR_CUSTOMER), row.hold_expire_time - LAST_LOOK
            return min(later, last) if now < last else later

        def take(connection: Connection) -> tuple[datetime, Sequence[Row[Any]]]:
            now = self._database.time(connection)
            due = _due(table, unsettled, limit).where(table.c.due_time <= now, table.c.create_time <= now - grace)
            rows = connection.execute(due).all()
            if rows:
                postpone = update(table).where(key == bindparam("taken"))
                connection.execute(
                    postpone.values(due_time=bindparam("next_time"), tries=table.c.tries + 1),
                    [{"taken": getattr(row, key.name), "next_time": next_time(row, now)} for row in rows],
                )
            return now, rows

        return await self._database.transact(take, must_run=True)


def _due(table: Table, condition: str, limit: int) -> Select[Any]:
    """Make the query for rows that meet the condition of a partial index, with columns of their bookings and charges.

    Rows that another process has locked are skipped.
    """
    query = select(table, _BOOKING.showtime_id, _BOOKING.user_id, _BOOKING.hold_expire_time).join(
        schema.booking, _BOOKING.booking_id == table.c.booking_id
    )
    if table is schema.refund:
        charge = select(_ATTEMPT.provider_id).where(_ATTEMPT.attempt_id == table.c.attempt_id).scalar_subquery()
        query = query.add_columns(charge.label("charge_provider_id"))
    # A booking may get a column of the same name, from a newer version.
    conditions = [text(f"{table.name}.{each}") for each in condition.split(" AND ")]
    query = query.where(*conditions).order_by(table.c.due_time).limit(limit)
    return query.with_for_update(of=table, skip_locked=True)


def _refund_of(row: Row[Any]) -> OwedRefund:
    return OwedRefund(
        row.showtime_id,
        row.booking_id,
        row.refund_id,
        row.attempt_id,
        Money(row.currency_code, row.amount),
        row.tries,
        row.charge_provider_id,
        row.provider_id,
    )
