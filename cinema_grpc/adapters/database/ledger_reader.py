"""Reads the charges and refunds that a payment provider knows, for a comparison with what it has booked."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.engine import Connection

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.application.reconciliation import Ledger, LedgerCharge, LedgerRefund
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.payment import AttemptStatus, RefundStatus

MOST_PARAMETERS = 5_000

_ATTEMPT, _REFUND, _BOOKING = schema.payment_attempt.c, schema.refund.c, schema.booking.c


async def read_ledger(
    database: Database, since: datetime, charge_ids: Collection[str], refund_ids: Collection[str]
) -> Ledger:
    """Return the charges and refunds since a moment, and older ones that are named.

    Each query is a transaction of its own: on SQLite the server can't sell while one goes on.

    Args:
        database: The database.
        since: Of their creation.
        charge_ids: Charges by the provider's identifiers.
        refund_ids: Refunds by ours.

    Raises:
        StorageUnavailable.
    """
    charges: dict[str, LedgerCharge] = {}
    for condition in (_ATTEMPT.create_time >= since, *_chunks(_ATTEMPT.provider_id, charge_ids)):
        charges |= await database.transact(partial(_charges, condition), must_run=True)
    refunds: dict[str, LedgerRefund] = {}
    for condition in (_REFUND.create_time >= since, *_chunks(_REFUND.refund_id, refund_ids)):
        refunds |= await database.transact(partial(_refunds, condition), must_run=True)
    return Ledger(charges, refunds)


def _charges(condition: ColumnElement[bool], connection: Connection) -> dict[str, LedgerCharge]:
    query = (
        select(
            _ATTEMPT.attempt_id,
            _ATTEMPT.booking_id,
            _ATTEMPT.provider_id,
            _ATTEMPT.status,
            _ATTEMPT.create_time,
            _BOOKING.currency_code,
            _BOOKING.total_price,
        )
        .join_from(schema.payment_attempt, schema.booking, _BOOKING.booking_id == _ATTEMPT.booking_id)
        .where(_ATTEMPT.provider_id != "", condition)
    )
    return {
        row.provider_id: LedgerCharge(
            row.attempt_id,
            row.booking_id,
            row.provider_id,
            AttemptStatus(row.status),
            Money(row.currency_code, row.total_price),
            row.create_time,
        )
        for row in connection.execute(query)
    }


def _refunds(condition: ColumnElement[bool], connection: Connection) -> dict[str, LedgerRefund]:
    query = (
        select(schema.refund)
        .join(schema.payment_attempt, _ATTEMPT.attempt_id == _REFUND.attempt_id)
        .where(_ATTEMPT.provider_id != "", condition)
    )
    return {
        row.refund_id: LedgerRefund(
            row.refund_id,
            row.booking_id,
            row.provider_id,
            RefundStatus(row.status),
            Money(row.currency_code, row.amount),
            row.create_time,
            by_hand=row.settled_by is not None,
        )
        for row in connection.execute(query)
    }


def _chunks(column: Any, values: Collection[str]) -> Iterator[ColumnElement[bool]]:
    """Make conditions that together find all of the values."""
    ordered: Sequence[str] = sorted(values)
    for start in range(0, len(ordered), MOST_PARAMETERS):
        yield column.in_(ordered[start : start + MOST_PARAMETERS])
