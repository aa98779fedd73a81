"""Make the tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables, each after those that it refers to."""
    _make_accounts_catalog_and_requests()
    _make_auditoriums_and_showtimes()
    _make_bookings()
    _make_payment_attempts()
    _make_seat_claims_and_tickets()
    _make_refunds()


def _make_accounts_catalog_and_requests() -> None:
    """Make what stands by itself: accounts, cinemas, movies, and requests that were carried out."""
    op.create_table(
        "account",
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("username", TEXT, nullable=False),
        sa.Column("folded_username", TEXT, nullable=False),
        sa.Column("full_name", TEXT, nullable=False),
        sa.Column("email", TEXT, nullable=False),
        sa.Column("folded_email", TEXT, nullable=True),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("password_hash", TEXT, nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="account_pk"),
        sa.UniqueConstraint("folded_email", name="account_folded_email_key"),
        sa.UniqueConstraint("folded_username", name="account_folded_username_key"),
    )
    op.create_table(
        "cinema",
        sa.Column("cinema_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("time_zone", TEXT, nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("cinema_id", name="cinema_pk"),
    )
    op.create_table(
        "movie",
        sa.Column("movie_id", TEXT, nullable=False),
        sa.Column("title", TEXT, nullable=False),
        sa.Column("runtime", sa.BigInteger(), nullable=False),
        sa.Column("rating", TEXT, nullable=False),
        sa.Column("synopsis", TEXT, nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("movie_id", name="movie_pk"),
    )
    op.create_table(
        "request",
        sa.Column("caller", TEXT, nullable=False),
        sa.Column("rpc", TEXT, nullable=False),
        sa.Column("request_id", TEXT, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("outcome", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("caller", "rpc", "request_id", name="request_pk"),
        sqlite_with_rowid=False,
    )


def _make_auditoriums_and_showtimes() -> None:
    """Make auditoriums, and the showtimes in them."""
    op.create_table(
        "auditorium",
        sa.Column("auditorium_id", TEXT, nullable=False),
        sa.Column("cinema_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("rows", TEXT, nullable=False),
        sa.Column("total_seats", sa.Integer(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["cinema_id"], ["cinema.cinema_id"], name="auditorium_cinema_id_fk"),
        sa.PrimaryKeyConstraint("auditorium_id", name="auditorium_pk"),
        sa.UniqueConstraint("cinema_id", "name", name="auditorium_cinema_id_name_key"),
    )
    op.create_table(
        "showtime",
        sa.Column("showtime_id", TEXT, nullable=False),
        sa.Column("movie_id", TEXT, nullable=False),
        sa.Column("auditorium_id", TEXT, nullable=False),
        sa.Column("start_time", sa.BigInteger(), nullable=False),
        sa.Column("end_time", sa.BigInteger(), nullable=False),
        sa.Column("currency_code", TEXT, nullable=False),
        sa.Column("seat_price", sa.BigInteger(), nullable=False),
        sa.Column("seat_gap_policy", TEXT, nullable=False),
        sa.Column("taken_seats", sa.Integer(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("stamp", TEXT, nullable=False),
        sa.Column("latest_time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["auditorium_id"], ["auditorium.auditorium_id"], name="showtime_auditorium_id_fk"),
        sa.ForeignKeyConstraint(["movie_id"], ["movie.movie_id"], name="showtime_movie_id_fk"),
        sa.PrimaryKeyConstraint("showtime_id", name="showtime_pk"),
    )
    op.create_index("showtime_auditorium_id_start_time_index", "showtime", ["auditorium_id", "start_time"])
    op.create_index("showtime_movie_id_start_time_index", "showtime", ["movie_id", "start_time"])
    op.create_index("showtime_start_time_showtime_id_index", "showtime", ["start_time", "showtime_id"])


def _make_bookings() -> None:
    """Make bookings."""
    op.create_table(
        "booking",
        sa.Column("booking_id", TEXT, nullable=False),
        sa.Column("showtime_id", TEXT, nullable=False),
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("seats", TEXT, nullable=False),
        sa.Column("seat_count", sa.Integer(), nullable=False),
        sa.Column("currency_code", TEXT, nullable=False),
        sa.Column("seat_price", sa.BigInteger(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("hold_expire_time", sa.BigInteger(), nullable=False),
        sa.Column("hold_extended", sa.Boolean(), nullable=False),
        sa.Column("confirm_time", sa.BigInteger(), nullable=True),
        sa.Column("cancel_time", sa.BigInteger(), nullable=True),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["showtime_id"], ["showtime.showtime_id"], name="booking_showtime_id_fk"),
        sa.ForeignKeyConstraint(["user_id"], ["account.user_id"], name="booking_user_id_fk"),
        sa.PrimaryKeyConstraint("booking_id", name="booking_pk"),
    )
    op.create_index(
        "booking_lapse_index",
        "booking",
        ["hold_expire_time"],
        sqlite_where=sa.text("status = 'RESERVED'"),
        postgresql_where=sa.text("status = 'RESERVED'"),
    )
    op.create_index("booking_showtime_id_revision_index", "booking", ["showtime_id", "revision"])
    op.create_index(
        "booking_showtime_lapse_index",
        "booking",
        ["showtime_id", "hold_expire_time"],
        sqlite_where=sa.text("status = 'RESERVED'"),
        postgresql_where=sa.text("status = 'RESERVED'"),
    )
    op.create_index("booking_user_id_booking_id_index", "booking", ["user_id", "booking_id"])


def _make_payment_attempts() -> None:
    """Make the attempts at paying for bookings."""
    op.create_table(
        "payment_attempt",
        sa.Column("attempt_id", TEXT, nullable=False),
        sa.Column("booking_id", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["booking_id"], ["booking.booking_id"], name="payment_attempt_booking_id_fk"),
        sa.PrimaryKeyConstraint("attempt_id", name="payment_attempt_pk"),
    )
    op.create_index("payment_attempt_booking_id_index", "payment_attempt", ["booking_id"])
    op.create_index(
        "payment_attempt_open_index",
        "payment_attempt",
        ["booking_id"],
        unique=True,
        sqlite_where=sa.text("status = 'OPEN'"),
        postgresql_where=sa.text("status = 'OPEN'"),
    )


def _make_seat_claims_and_tickets() -> None:
    """Make what a booking gives: claims to seats, and tickets."""
    op.create_table(
        "seat_claim",
        sa.Column("showtime_id", TEXT, nullable=False),
        sa.Column("seat", TEXT, nullable=False),
        sa.Column("booking_id", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["booking_id"], ["booking.booking_id"], name="seat_claim_booking_id_fk"),
        sa.ForeignKeyConstraint(["showtime_id"], ["showtime.showtime_id"], name="seat_claim_showtime_id_fk"),
        sa.PrimaryKeyConstraint("showtime_id", "seat", name="seat_claim_pk"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ticket",
        sa.Column("ticket_id", TEXT, nullable=False),
        sa.Column("booking_id", TEXT, nullable=False),
        sa.Column("seat", TEXT, nullable=False),
        sa.Column("code", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["booking_id"], ["booking.booking_id"], name="ticket_booking_id_fk"),
        sa.PrimaryKeyConstraint("ticket_id", name="ticket_pk"),
        sa.UniqueConstraint("code", name="ticket_code_key"),
    )
    op.create_index("ticket_booking_id_index", "ticket", ["booking_id"])


def _make_refunds() -> None:
    """Make refunds of what was paid."""
    op.create_table(
        "refund",
        sa.Column("refund_id", TEXT, nullable=False),
        sa.Column("booking_id", TEXT, nullable=False),
        sa.Column("attempt_id", TEXT, nullable=False),
        sa.Column("currency_code", TEXT, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["payment_attempt.attempt_id"], name="refund_attempt_id_fk"),
        sa.ForeignKeyConstraint(["booking_id"], ["booking.booking_id"], name="refund_booking_id_fk"),
        sa.PrimaryKeyConstraint("refund_id", name="refund_pk"),
        sa.UniqueConstraint("attempt_id", name="refund_attempt_id_key"),
        sa.UniqueConstraint("booking_id", name="refund_booking_id_key"),
    )
    op.create_index(
        "refund_owed_index",
        "refund",
        ["refund_id"],
        sqlite_where=sa.text("status = 'PENDING'"),
        postgresql_where=sa.text("status = 'PENDING'"),
    )
