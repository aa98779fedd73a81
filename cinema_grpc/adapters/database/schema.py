"""The tables. What changes here needs a migration beside it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.types import TypeEngine

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    """Give a moment as it is kept."""
    return (moment - EPOCH) // MICROSECOND


def moment(microseconds: int) -> datetime:
    """Give a kept moment."""
    return EPOCH + timedelta(microseconds=microseconds)


class ExactText(TypeDecorator[str]):
    """Text that is compared character by character in every database, whatever language the database speaks."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[str]:
        """Choose the type for a database."""
        return Text(collation="C") if dialect.name == "postgresql" else Text()

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Turn what can't be in the database into what is not.

        PostgreSQL's text holds no NUL. The transport lets none be written, but names and identifiers that are looked up
        may be anything; no name and no identifier is empty.
        """
        return "" if value is not None and "\0" in value and dialect.name == "postgresql" else value


class Instant(TypeDecorator[datetime]):
    """A moment, kept as microseconds since 1970 in UTC: exact, sorted, and the same in every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002 (SQLAlchemy's)
        """Turn a moment into microseconds."""
        return None if value is None else microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 (SQLAlchemy's)
        """Turn microseconds into a moment."""
        return None if value is None else moment(value)


class Span(TypeDecorator[timedelta]):
    """A span of time, kept as microseconds."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: timedelta | None, dialect: Dialect) -> int | None:  # noqa: ARG002 (SQLAlchemy's)
        """Turn a span into microseconds."""
        return None if value is None else value // MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> timedelta | None:  # noqa: ARG002 (SQLAlchemy's)
        """Turn microseconds into a span."""
        return None if value is None else timedelta(microseconds=value)


metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pk",
        "fk": "%(table_name)s_%(column_0_name)s_fk",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_index",
    }
)

SETTLED_BOOKING = "status <> 'RESERVED'"
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

# What is remembered of sign-ins, under a digest of an account's name, of a place, or of both.
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
    Column("cinema_id", ExactText, nullable=False, server_default=""),  # the auditorium's, for the indexes
    Column("start_time", Instant, nullable=False),
    Column("end_time", Instant, nullable=False),
    Column("currency_code", ExactText, nullable=False),
    Column("seat_price", BigInteger, nullable=False),
    Column("seat_gap_policy", ExactText, nullable=False),
    Column("taken_seats", Integer, nullable=False),  # with those of holds that are over but not written down so
    Column("revision", BigInteger, nullable=False),
    Column("stamp", ExactText, nullable=False),
    Column("latest_time", Instant, nullable=False),  # the moment of the last decision
    # One for each combination of filters, in the order of the list. None is written when seats are sold.
    Index(None, "start_time", "showtime_id"),
    Index(None, "movie_id", "start_time", "showtime_id"),
    Index(None, "cinema_id", "start_time", "showtime_id"),
    Index(None, "cinema_id", "movie_id", "start_time", "showtime_id"),
    Index(None, "auditorium_id", "start_time", "showtime_id"),
    Index(None, "auditorium_id", "movie_id", "start_time", "showtime_id"),
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
    Column("seats", ExactText, nullable=False),  # labels in row order, with commas between them
    Column("seat_count", Integer, nullable=False),
    Column("currency_code", ExactText, nullable=False),
    Column("seat_price", BigInteger, nullable=False),
    Column("create_time", Instant, nullable=False),
    Column("hold_expire_time", Instant, nullable=False),
    Column("hold_extended", Boolean, nullable=False),
    Column("confirm_time", Instant),
    Column("cancel_time", Instant),
    Column("revision", BigInteger, nullable=False),  # the showtime's, at the last change of this booking
    Column("relied_on", ExactText),  # Booking.relied_on, such as "A1-A10:A1,A2 B1-B4:B4"; null for nothing
    # By these a customer's bookings are listed. A new booking is written to the first of them alone.
    Index(None, "user_id", "status", "booking_id"),
    Index(
        "booking_of_showtime_index",
        "user_id",
        "showtime_id",
        "status",
        "booking_id",
        sqlite_where=text(SETTLED_BOOKING),
        postgresql_where=text(SETTLED_BOOKING),
    ),
    Index(
        "booking_lapse_index",
        "hold_expire_time",
        "showtime_id",
        "seat_count",
        "status",  # always the same, but SQLite looks into the table for what the index lacks
        sqlite_where=text(ON_HOLD),
        postgresql_where=text(ON_HOLD),
    ),
    # Written when a hold ends, not when it begins; read when a showtime is loaded.
    Index(
        "booking_unpaid_index",
        "showtime_id",
        "hold_expire_time",
        sqlite_where=text(ENDED_UNPAID),
        postgresql_where=text(ENDED_UNPAID),
    ),
)
# By which a replica finds what others have changed; SQLite has no replicas, and each index costs every booking a page.
Index("booking_showtime_id_revision_index", booking.c.showtime_id, booking.c.revision).ddl_if(dialect="postgresql")

# The row that makes a double sale impossible, whatever the code above it does: a seat of a showtime has one owner.
# It refers to its showtime through its booking: a foreign key would have PostgreSQL look for the showtime, and lock its
# row, for every seat.
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


def _taken_up_again() -> list[Column[Any]]:
    """Make the columns of what is taken up again until it is settled: when next, and how often it was before."""
    return [
        Column("due_time", Instant, nullable=False, server_default="0"),
        Column("tries", Integer, nullable=False, server_default="0"),
    ]


payment_attempt = Table(
    "payment_attempt",
    metadata,
    Column("attempt_id", ExactText, primary_key=True),
    Column("booking_id", ExactText, ForeignKey("booking.booking_id"), nullable=False, index=True),
    Column("status", ExactText, nullable=False),
    Column("create_time", Instant, nullable=False),
    Column("request", ExactText, nullable=False, server_default=""),  # by what a repeat of the call is known
    *_taken_up_again(),
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
    *_taken_up_again(),
    Index(
        "refund_owed_index",
        "due_time",
        sqlite_where=text(OWED_REFUND),
        postgresql_where=text(OWED_REFUND),
    ),
)

request = Table(
    "request",
    metadata,
    Column("caller", ExactText, primary_key=True),
    Column("rpc", ExactText, primary_key=True),
    Column("request_id", ExactText, primary_key=True),
    Column("content", LargeBinary, nullable=False),  # a digest
    Column("outcome", LargeBinary, nullable=False),  # the answer, as JSON
    Column("create_time", Instant, nullable=False),
    Index(None, "create_time"),  # by which old ones are found to be forgotten
)
