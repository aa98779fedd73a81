"""Redemptions of tickets."""

from sqlalchemy import Column, ForeignKey, Index, Table

from cinema_grpc.adapters.database.column_types import ExactText, Instant
from cinema_grpc.adapters.database.schema.base import metadata, where
from cinema_grpc.adapters.database.schema.bookings import SOLD, booking

STANDING = "kind = 'ADMITTED' AND reverse_time IS NULL"
CONFLICTING = "kind <> 'ADMITTED'"
"""Conditions of indexes."""

redemption = Table(
    "redemption",
    metadata,
    Column("redemption_id", ExactText, primary_key=True),
    Column("ticket_id", ExactText, ForeignKey("ticket.ticket_id"), nullable=False),
    Column("booking_id", ExactText, ForeignKey("booking.booking_id"), nullable=False, index=True),
    Column("gate", ExactText, nullable=False),
    Column("redeem_time", Instant, nullable=False),
    Column("redeemed_by", ExactText, ForeignKey("account.user_id"), nullable=False),
    Column("record_time", Instant, nullable=False),
    Column("kind", ExactText, nullable=False),
    Column("reverse_time", Instant),
    Column("reversed_by", ExactText, ForeignKey("account.user_id")),
    Column("reverse_reason", ExactText),
    # Makes it impossible that a ticket lets two in, whatever the code does.
    Index("redemption_standing_index", "ticket_id", unique=True, **where(STANDING)),
    # What a sales report counts.
    Index("redemption_conflict_index", "redeem_time", **where(CONFLICTING)),
)
# The door's list. Only bookings that were paid for are in it, so a new booking is not written to it.
Index("booking_door_index", booking.c.showtime_id, booking.c.revision, booking.c.booking_id, **where(SOLD))
