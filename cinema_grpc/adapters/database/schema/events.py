"""The event feed."""

from sqlalchemy import BigInteger, Boolean, Column, Integer, Table

from cinema_grpc.adapters.database.column_types import ExactText, Instant
from cinema_grpc.adapters.database.schema.base import metadata

# One row. Whatever assigns or trims positions locks it.
event_feed = Table(
    "event_feed",
    metadata,
    Column("feed_id", Integer, primary_key=True, autoincrement=False),
    Column("trimmed_position", BigInteger, nullable=False),  # of the newest event that was deleted; 0 for none
)

# What commits did to showtimes, until the sequencer assigns positions. Writers insert here and wait for nothing.
# SQLite, with one writer, assigns positions at once and leaves it empty.
event_outbox = Table(
    "event_outbox",
    metadata,
    # In this order events get their positions. A showtime's decide_time never runs back.
    Column("decide_time", Instant, primary_key=True),
    Column("showtime_id", ExactText, primary_key=True),
    Column("revision", BigInteger, primary_key=True),
    Column("events", ExactText, nullable=False),  # JSON, see `event_rows.py`
    sqlite_with_rowid=False,
)

event = Table(
    "event",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("event_id", ExactText, nullable=False),
    Column("type", ExactText, nullable=False),
    Column("time", Instant, nullable=False),
    Column("showtime_id", ExactText, nullable=False),
    Column("cinema_id", ExactText, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("booking_id", ExactText, nullable=False),  # "" for none, as in the columns below
    Column("user_id", ExactText, nullable=False),
    Column("seats", ExactText, nullable=False),  # JSON, in row order: ["A1", ...]
    Column("currency_code", ExactText, nullable=False),
    Column("amount", BigInteger),  # null for none
    Column("refund_id", ExactText, nullable=False),
    Column("ticket_id", ExactText, nullable=False),
    Column("last_of_change", Boolean, nullable=False),
    Column("decide_time", Instant, nullable=False),  # of the change, for retention
    sqlite_with_rowid=False,
)
