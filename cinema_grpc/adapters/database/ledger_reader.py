"""Reads the charges and refunds that a payment provider knows, for a comparison with what it has booked."""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import orjson
from sqlalchemy import JSON, ColumnElement, Row, Select, cast, func, literal, select, true
from sqlalchemy.engine import Connection

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.application.reconciliation import Ledger, LedgerCharge, LedgerRefund
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.payment import AttemptStatus, RefundStatus

PAGE_SIZE = 5_000

_ATTEMPT, _REFUND, _BOOKING = schema.payment_attempt.c, schema.refund.c, schema.booking.c
CHARGES = (
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
    .where(_ATTEMPT.provider_id != "")
)
REFUNDS = (
    select(schema.refund)
    .join(schema.payment_attempt, _ATTEMPT.attempt_id == _REFUND.attempt_id)
    .where(_ATTEMPT.provider_id != "")
)


async def read_ledger(
    database: Database, since: datetime, charge_ids: Collection[str], refund_ids: Collection[str]
) -> Ledger:
    """Return the charges and refunds since a moment, and older ones that are named.

    It reads in pages, each a transaction of its own: on SQLite the server can't sell while one goes on.

    Args:
        database: The database.
        since: Of their creation.
        charge_ids: Charges by the provider's identifiers.
        refund_ids: Refunds by ours.

    Raises:
        StorageUnavailable.
    """
    charges, refunds = [], []
    for condition in (_ATTEMPT.create_time >= since, among(database, _ATTEMPT.provider_id, charge_ids)):
        charges += await _read(database, CHARGES.where(condition), _ATTEMPT.attempt_id)
    for condition in (_REFUND.create_time >= since, among(database, _REFUND.refund_id, refund_ids)):
        refunds += await _read(database, REFUNDS.where(condition), _REFUND.refund_id)
    return Ledger({row.provider_id: _charge(row) for row in charges}, {row.refund_id: _refund(row) for row in refunds})


async def _read(database: Database, query: Select[Any], key: ColumnElement[str]) -> list[Row[Any]]:
    """Return all rows of a query, read in pages by a column."""
    rows: list[Row[Any]] = []
    while True:
        after = [key > getattr(rows[-1], key.key or "")] if rows else []
        page = await database.transact(
            partial(_page, query.where(*after).order_by(key).limit(PAGE_SIZE)), must_run=True
        )
        rows += page
        if len(page) < PAGE_SIZE:
            return rows


def _page(query: Select[Any], connection: Connection) -> Sequence[Row[Any]]:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")  # of years of charges a page may take longer
    return connection.execute(query).all()


def among(database: Database, column: ColumnElement[str], values: Collection[str]) -> ColumnElement[bool]:
    """Return the condition that a column has one of many values.

    PostgreSQL would compare each row with all of them, one after another: with parameters since a generic plan can't
    hash these, and in a join since hash joins are off. Below "IS true" it makes no join of a subquery, but hashes it.
    """
    text = literal(orjson.dumps(sorted(values)).decode())
    if database.engine.dialect.name == "postgresql":
        listed = func.json_array_elements_text(cast(text, JSON)).table_valued("value")
    else:
        listed = func.json_each(text).table_valued("value")
    return column.in_(select(listed.c.value)).is_(true())


def _charge(row: Row[Any]) -> LedgerCharge:
    return LedgerCharge(
        row.attempt_id,
        row.booking_id,
        row.provider_id,
        AttemptStatus(row.status),
        Money(row.currency_code, row.total_price),
        row.create_time,
    )


def _refund(row: Row[Any]) -> LedgerRefund:
    return LedgerRefund(
        row.refund_id,
        row.booking_id,
        row.provider_id,
        RefundStatus(row.status),
        Money(row.currency_code, row.amount),
        row.create_time,
        by_hand=row.settled_by is not None,
    )
