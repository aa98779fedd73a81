"""Bookings, blocks of seats, claims and tickets."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, ForeignKey, Index, Integer, Table, bindparam

from cinema_grpc.adapters.database.column_types import ExactText, Instant
from cinema_grpc.adapters.database.schema.base import metadata, where

NOT_RESERVED = "status <> 'RESERVED'"
ON_HOLD = "status = 'RESERVED'"
SOLD = "confirm_time IS NOT NULL"
ENDED_UNPAID = "status IN ('CANCELLED', 'EXPIRED') AND confirm_time IS NULL"
"""Conditions of indexes; a database uses them for queries that say the same in the same words."""
RESERVED = bindparam("reserved", "RESERVED", ExactText)
"""The status as a parameter, for queries that look for other conditions than ON_HOLD.

With it in the text, PostgreSQL may take an index of all holds, if it saw few of them when it analyzed the table.
"""

booking = Table(
    "booking",
    metadata,
    Column("booking_id", ExactText, primary_key=True),
    Column("showtime_id", ExactText, ForeignKey("showtime.showtime_id"), nullable=False),
    Column("user_id", ExactText, ForeignKey("account.user_id"), nullable=False),
    Column("status", ExactText, nullable=False),
    # JSON, in row order: [["A1", 1250, "standard", "adult", "", true], ...], with the price in minor units, the
    # category, the ticket type, its proof, and whether the seat is active.
    Column("seats", ExactText, nullable=False),
    Column("wheelchair", Boolean, nullable=False),
    Column("seat_count", Integer, nullable=False),  # of active seats
    Column("currency_code", ExactText, nullable=False),
    Column("total_price", BigInteger, nullable=False),
    Column("create_time", Instant, nullable=False),
    Column("hold_expire_time", Instant, nullable=False),
    Column("hold_extended", Boolean, nullable=False),
    Column("hold_renewed", Boolean, nullable=False),  # whether its owner extended it
    Column("confirm_time", Instant),
    Column("cancel_time", Instant),
    Column("cancel_cause", ExactText),
    Column("cancel_reason", ExactText),
    Column("tender", ExactText),  # null: sold online
    Column("sold_by", ExactText, ForeignKey("account.user_id")),
    Column("sale_reason", ExactText),
    Column("revision", BigInteger, nullable=False),  # the showtime's, at the last change of this booking
    Column("relied_on", ExactText),  # JSON of Booking.relied_on: [["A1", "A10", ["A1", "A2"]], ...]; null for none
    # Lists of a customer's bookings. A new booking is written to the first of them alone.
    Index(None, "user_id", "status", "booking_id"),
    Index("booking_of_showtime_index", "user_id", "showtime_id", "status", "booking_id", **where(NOT_RESERVED)),
    # The status is constant, but SQLite reads the table for a column that the index lacks.
    Index("booking_lapse_index", "hold_expire_time", "showtime_id", "seat_count", "status", **where(ON_HOLD)),
    # Read when a showtime is loaded; written when a hold ends, not when it begins.
    Index("booking_unpaid_index", "showtime_id", "hold_expire_time", **where(ENDED_UNPAID)),
    # What staff look for: a showtime's bookings that are not on hold (those are found by their claims), and sales.
    Index("booking_ended_index", "showtime_id", "booking_id", **where(NOT_RESERVED)),
    Index("booking_sale_index", "confirm_time", "showtime_id", **where(SOLD)),
)
# Finds what other replicas have changed. SQLite has no replicas, and each index costs every booking a page.
Index("booking_showtime_id_revision_index", booking.c.showtime_id, booking.c.revision).ddl_if(dialect="postgresql")

# Seats that the cinema keeps. A block without seats is deleted.
seat_block = Table(
    "seat_block",
    metadata,
    Column("block_id", ExactText, primary_key=True),
    Column("showtime_id", ExactText, ForeignKey("showtime.showtime_id"), nullable=False, index=True),
    Column("kind", ExactText, nullable=False),
    Column("reason", ExactText, nullable=False),
    Column("seats", ExactText, nullable=False),  # JSON, in row order: ["A1", ...]
    Column("seat_count", Integer, nullable=False),
    Column("release_time", Instant),
    Column("create_time", Instant, nullable=False),
    Column("created_by", ExactText, ForeignKey("account.user_id"), nullable=False),
    Index("seat_block_lapse_index", "release_time", "showtime_id", "seat_count", **where("release_time IS NOT NULL")),
)

# Makes a double sale impossible, whatever the code does: a seat of a showtime has one owner, a booking or a block.
# It has no foreign key to its showtime: PostgreSQL would look the showtime up and lock it for every seat.
seat_claim = Table(
    "seat_claim",
    metadata,
    Column("showtime_id", ExactText, primary_key=True),
    Column("seat", ExactText, primary_key=True),
    Column("booking_id", ExactText, ForeignKey("booking.booking_id")),
    Column("block_id", ExactText, ForeignKey("seat_block.block_id")),
    CheckConstraint("(booking_id IS NULL) <> (block_id IS NULL)", name="owner"),
    # For the foreign key, whenever a block is deleted.
    Index("seat_claim_block_id_index", "block_id", **where("block_id IS NOT NULL")),
    sqlite_with_rowid=False,
)

ticket = Table(
    "ticket",
    metadata,
    Column("ticket_id", ExactText, primary_key=True),
    Column("booking_id", ExactText, ForeignKey("booking.booking_id"), nullable=False, index=True),
    Column("seat", ExactText, nullable=False),
    Column("code", ExactText, nullable=False, unique=True),
)
