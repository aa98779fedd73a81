"""The tables. A change here needs a migration beside it."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    UniqueConstraint,
    false,
    text,
)

from cinema_grpc.adapters.database.column_types import ExactText, Instant, Span

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pk",
        "fk": "%(table_name)s_%(column_0_name)s_fk",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_index",
    }
)

NOT_RESERVED = "status <> 'RESERVED'"
UNSETTLED_ATTEMPT = "status IN ('OPEN', 'VOIDING')"
OWED_REFUND = "status = 'PENDING'"
"""Conditions of indexes; a database uses them for queries that say the same in the same words."""

account = Table(
    "account",
    metadata,
    Column("user_id", ExactText, primary_key=True),
    Column("username", ExactText, nullable=False),
    Column("folded_username", ExactText, nullable=False, unique=True),
    Column("full_name", ExactText, nullable=False),
    Column("email", ExactText, nullable=False),
    Column("folded_email", ExactText, unique=True),  # null for an account without an email
    Column("role", ExactText, nullable=False),
    Column("password_hash", ExactText, nullable=False),
    Column("create_time", Instant, nullable=False),
    Column("disabled", Boolean, nullable=False, server_default=false()),
    Column("revoke_time", Instant),  # access tokens from before it are refused; null if it never was disabled
    Index(
        "account_revoke_time_index",  # every process reads these few accounts every two seconds
        "revoke_time",
        sqlite_where=text("revoke_time IS NOT NULL"),
        postgresql_where=text("revoke_time IS NOT NULL"),
    ),
)

session = Table(
    "session",
    metadata,
    Column("session_id", ExactText, primary_key=True),
    Column("user_id", ExactText, ForeignKey("account.user_id"), nullable=False, index=True),
    Column("digest", LargeBinary, nullable=False),
    Column("used_digest", LargeBinary, nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Column("rotate_time", Instant, nullable=False),
    Column("expire_time", Instant, nullable=False, index=True),
    sqlite_with_rowid=False,
)

# Failed and successful sign-ins, by a digest of the account's name, of the client network, or of both.
sign_in = Table(
    "sign_in",
    metadata,
    Column("subject", LargeBinary, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("latest_time", Instant, nullable=False),
    Column("known", Boolean, nullable=False),
    Column("expire_time", Instant, nullable=False, index=True),
    sqlite_with_rowid=False,
)

movie = Table(
    "movie",
    metadata,
    Column("movie_id", ExactText, primary_key=True),
    Column("title", ExactText, nullable=False),
    Column("runtime", Span, nullable=False),
    Column("rating", ExactText, nullable=False),
    Column("synopsis", ExactText, nullable=False),
    Column("create_time", Instant, nullable=False),
)

cinema = Table(
    "cinema",
    metadata,
    Column("cinema_id", ExactText, primary_key=True),
    Column("name", ExactText, nullable=False),
    Column("time_zone", ExactText, nullable=False),
    Column("create_time", Instant, nullable=False),
)

auditorium = Table(
    "auditorium",
    metadata,
    Column("auditorium_id", ExactText, primary_key=True),
    Column("cinema_id", ExactText, ForeignKey("cinema.cinema_id"), nullable=False),
    Column("name", ExactText, nullable=False),
    Column("rows", ExactText, nullable=False),  # JSON: [["A", [4, 6, 4]], ...]
    Column("total_seats", Integer, nullable=False),
    Column("create_time", Instant, nullable=False),
    UniqueConstraint("cinema_id", "name"),
    Index(None, "cinema_id", "auditorium_id"),
)

showtime = Table(
    "showtime",
    metadata,
    Column("showtime_id", ExactText, primary_key=True),
    Column("movie_id", ExactText, ForeignKey("movie.movie_id"), nullable=False),
    Column("auditorium_id", ExactText, ForeignKey("auditorium.auditorium_id"), nullable=False),
    Column("cinema_id", ExactText, nullable=False),  # the auditorium's, for the indexes
    Column("start_time", Instant, nullable=False),
    Column("end_time", Instant, nullable=False),
    Column("currency_code", ExactText, nullable=False),
    Column("seat_price", BigInteger, nullable=False),
    Column("seat_gap_policy", ExactText, nullable=False),
    Column("taken_seats", Integer, nullable=False),  # including those of lapsed holds that are not yet EXPIRED
    Column("revision", BigInteger, nullable=False),  # counts the commits to its seats and terms
    Column("commit_id", ExactText, nullable=False),  # the commit that made the revision
    Column("terms_revision", BigInteger, nullable=False),  # the revision that last changed start, price or gap policy
    Column("latest_time", Instant, nullable=False),  # the time of the last decision
    # One for each combination of filters, in the order of the list. Selling seats changes none of them.
    Index(None, "start_time", "showtime_id"),
    Index(None, "movie_id", "start_time", "showtime_id"),
    Index(None, "cinema_id", "start_time", "showtime_id"),
    Index(None, "cinema_id", "movie_id", "start_time", "showtime_id"),
    Index(None, "auditorium_id", "start_time", "showtime_id"),
    Index(None, "auditorium_id", "movie_id", "start_time", "showtime_id"),
)

# One row for each commit of the box office and showtime. It shows whether a commit was kept when its answer was lost,
# and whether a cached showtime is an ancestor of the stored one.
commit_log = Table(
    "commit_log",
    metadata,
    Column("showtime_id", ExactText, primary_key=True),
    Column("revision", BigInteger, primary_key=True),
    Column("commit_id", ExactText, nullable=False),
    Column("decide_time", Instant, nullable=False),
    sqlite_with_rowid=False,
)

ON_HOLD = "status = 'RESERVED'"
ENDED_UNPAID = "status IN ('CANCELLED', 'EXPIRED') AND confirm_time IS NULL"

booking = Table(
    "booking",
    metadata,
    Column("booking_id", ExactText, primary_key=True),
    Column("showtime_id", ExactText, ForeignKey("showtime.showtime_id"), nullable=False),
    Column("user_id", ExactText, ForeignKey("account.user_id"), nullable=False),
    Column("status", ExactText, nullable=False),
    Column("seats", ExactText, nullable=False),  # JSON, in row order: [["A1", 1250], ...], prices in minor units
    Column("seat_count", Integer, nullable=False),
    Column("currency_code", ExactText, nullable=False),
    Column("total_price", BigInteger, nullable=False),
    Column("create_time", Instant, nullable=False),
    Column("hold_expire_time", Instant, nullable=False),
    Column("hold_extended", Boolean, nullable=False),
    Column("confirm_time", Instant),
    Column("cancel_time", Instant),
    Column("revision", BigInteger, nullable=False),  # the showtime's, at the last change of this booking
    Column("relied_on", ExactText),  # JSON of Booking.relied_on: [["A1", "A10", ["A1", "A2"]], ...]; null for none
    # Lists of a customer's bookings. A new booking is written to the first of them alone.
    Index(None, "user_id", "status", "booking_id"),
    Index(
        "booking_of_showtime_index",
        "user_id",
        "showtime_id",
        "status",
        "booking_id",
        sqlite_where=text(NOT_RESERVED),
        postgresql_where=text(NOT_RESERVED),
    ),
    Index(
        "booking_lapse_index",
        "hold_expire_time",
        "showtime_id",
        "seat_count",
        "status",  # constant, but SQLite reads the table for a column that the index lacks
        sqlite_where=text(ON_HOLD),
        postgresql_where=text(ON_HOLD),
    ),
    # Read when a showtime is loaded; written when a hold ends, not when it begins.
    Index(
        "booking_unpaid_index",
        "showtime_id",
        "hold_expire_time",
        sqlite_where=text(ENDED_UNPAID),
        postgresql_where=text(ENDED_UNPAID),
    ),
)
# Finds what other replicas have changed. SQLite has no replicas, and each index costs every booking a page.
Index("booking_showtime_id_revision_index", booking.c.showtime_id, booking.c.revision).ddl_if(dialect="postgresql")

# Makes a double sale impossible, whatever the code does: a seat of a showtime has one owner.
# It has no foreign key to its showtime: PostgreSQL would look the showtime up and lock it for every seat.
seat_claim = Table(
    "seat_claim",
    metadata,
    Column("showtime_id", ExactText, primary_key=True),
    Column("seat", ExactText, primary_key=True),
    Column("booking_id", ExactText, ForeignKey("booking.booking_id"), nullable=False),
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
    *_retry_columns(),
    Index(
        "payment_attempt_open_index",
        "booking_id",
        unique=True,  # one charge at a time
        sqlite_where=text(UNSETTLED_ATTEMPT),
        postgresql_where=text(UNSETTLED_ATTEMPT),
    ),
)

refund = Table(
    "refund",
    metadata,
    Column("refund_id", ExactText, primary_key=True),
    Column("booking_id", ExactText, ForeignKey("booking.booking_id"), nullable=False, unique=True),
    Column("attempt_id", ExactText, ForeignKey("payment_attempt.attempt_id"), nullable=False, unique=True),
    Column("currency_code", ExactText, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("percent", Integer, nullable=False),
    Column("status", ExactText, nullable=False),
    Column("create_time", Instant, nullable=False),
    *_retry_columns(),
    Index(
        "refund_owed_index",
        "due_time",
        sqlite_where=text(OWED_REFUND),
        postgresql_where=text(OWED_REFUND),
    ),
)

# The responses of calls with a request_id, for 24 hours.
stored_response = Table(
    "stored_response",
    metadata,
    Column("caller", ExactText, primary_key=True),
    Column("rpc", ExactText, primary_key=True),
    Column("request_id", ExactText, primary_key=True),
    Column("digest", ExactText, nullable=False),  # of the request, in hexadecimal digits
    Column("response", ExactText, nullable=False),  # the response message, in base64
    Column("create_time", Instant, nullable=False),
    Index(None, "create_time"),
)
