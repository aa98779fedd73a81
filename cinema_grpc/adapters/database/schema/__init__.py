"""The tables. A change here needs a migration beside it."""

from cinema_grpc.adapters.database.schema.accounts import account, session, sign_in, stored_response
from cinema_grpc.adapters.database.schema.base import metadata
from cinema_grpc.adapters.database.schema.bookings import (
    ENDED_UNPAID,
    NOT_RESERVED,
    ON_HOLD,
    RESERVED,
    SOLD,
    booking,
    seat_block,
    seat_claim,
    ticket,
)
from cinema_grpc.adapters.database.schema.catalog import (
    auditorium,
    catalog_revision,
    cinema,
    commit_log,
    movie,
    showtime,
)
from cinema_grpc.adapters.database.schema.door import CONFLICTING, redemption
from cinema_grpc.adapters.database.schema.events import event, event_feed, event_outbox
from cinema_grpc.adapters.database.schema.payments import (
    OWED_REFUND,
    UNSETTLED_ATTEMPT,
    WATCHED_REFUND,
    payment_attempt,
    refund,
)

__all__ = [
    "CONFLICTING",
    "ENDED_UNPAID",
    "NOT_RESERVED",
    "ON_HOLD",
    "OWED_REFUND",
    "RESERVED",
    "SOLD",
    "UNSETTLED_ATTEMPT",
    "WATCHED_REFUND",
    "account",
    "auditorium",
    "booking",
    "catalog_revision",
    "cinema",
    "commit_log",
    "event",
    "event_feed",
    "event_outbox",
    "metadata",
    "movie",
    "payment_attempt",
    "redemption",
    "refund",
    "seat_block",
    "seat_claim",
    "session",
    "showtime",
    "sign_in",
    "stored_response",
    "ticket",
]
