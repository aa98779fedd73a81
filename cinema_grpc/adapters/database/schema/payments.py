"""Payment attempts and refunds."""

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, Table, false

from cinema_grpc.adapters.database.column_types import ExactText, Instant
from cinema_grpc.adapters.database.schema.base import metadata, where

UNSETTLED_ATTEMPT = "status IN ('OPEN', 'VOIDING')"
OWED_REFUND = "status = 'PENDING' AND attempt_id IS NOT NULL"
WATCHED_REFUND = "watched"
"""Conditions of indexes; a database uses them for queries that say the same in the same words."""


def _retry_columns() -> list[Column[Any]]:
    """Return the columns of what is retried until it is settled."""
    return [
        Column("due_time", Instant, nullable=False),  # of the next try
        Column("tries", Integer, nullable=False),  # so far
    ]


payment_attempt = Table(
    "payment_attempt",
    metadata,
    Column("attempt_id", ExactText, primary_key=True),
    Column("booking_id", ExactText, ForeignKey("booking.booking_id"), nullable=False, index=True),
    Column("status", ExactText, nullable=False),
    Column("create_time", Instant, nullable=False),
    Column("request", ExactText, nullable=False),  # the idempotency key of its call, "" for none
    # The provider's identifier of the charge, "" for none.
    Column("provider_id", ExactText, nullable=False, server_default=""),
    Column("action", Boolean, nullable=False, server_default=false()),  # whether the customer was asked to act
    *_retry_columns(),
    # One charge at a time.
    Index("payment_attempt_open_index", "booking_id", unique=True, **where(UNSETTLED_ATTEMPT)),
)

refund = Table(
    "refund",
    metadata,
    Column("refund_id", ExactText, primary_key=True),
    Column("booking_id", ExactText, ForeignKey("booking.booking_id"), nullable=False, index=True),
    Column("showtime_id", ExactText, nullable=False),  # the booking's, for the index
    Column("attempt_id", ExactText, ForeignKey("payment_attempt.attempt_id")),  # null: of a counter sale
    Column("seats", ExactText, nullable=False),  # JSON, in row order: ["A1", ...]
    Column("currency_code", ExactText, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("percent", Integer, nullable=False),
    Column("status", ExactText, nullable=False),
    Column("create_time", Instant, nullable=False, index=True),
    Column("settled_by", ExactText, ForeignKey("account.user_id")),  # null, unless it was settled by hand
    Column("settle_time", Instant),
    Column("note", ExactText),
    # The provider's identifier of the refund, "" for none.
    Column("provider_id", ExactText, nullable=False, server_default=""),
    # Whether the provider is asked now and then if a refund that it has paid has failed since.
    Column("watched", Boolean, nullable=False, server_default=false()),
    *_retry_columns(),
    Index(None, "showtime_id", "refund_id"),
    Index(None, "status", "refund_id"),
    Index("refund_owed_index", "due_time", **where(OWED_REFUND)),
    Index("refund_watched_index", "due_time", **where(WATCHED_REFUND)),
)
