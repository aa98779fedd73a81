"""Create the tables, and the view of whole bookings."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "2001"
down_revision = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

BOOKING_DETAIL = """
    CREATE VIEW booking_detail AS
    SELECT booking.*,
        CASE WHEN hold_extended THEN (
            SELECT json_agg(json_build_array(ticket.ticket_id, ticket.seat, ticket.code))
            FROM ticket WHERE ticket.booking_id = booking.booking_id
        ) END AS tickets,
        CASE WHEN hold_extended THEN (
            SELECT json_build_array(attempt.attempt_id, attempt.status, attempt.create_time, attempt.request)
            FROM payment_attempt AS attempt WHERE attempt.booking_id = booking.booking_id
            ORDER BY attempt.create_time DESC, attempt.attempt_id DESC LIMIT 1
        ) END AS payment,
        CASE WHEN hold_extended THEN (
            SELECT json_build_array(refund.refund_id, refund.attempt_id, refund.amount, refund.percent, refund.status,
                refund.create_time)
            FROM refund WHERE refund.booking_id = booking.booking_id
        ) END AS refund
    FROM booking"""
"""PostgreSQL's view of a whole booking. On SQLite each connection has a temporary one."""


def upgrade() -> None:
    """Create each table after those that it refers to."""
    _create_accounts()
    _create_catalog()
    _create_showtimes()
    _create_bookings()
    _create_claims_and_tickets()
    _create_payments()
    if op.get_bind().dialect.name == "postgresql":
        op.create_index("booking_showtime_id_revision_index", "booking", ["showtime_id", "revision"])
        op.execute(BOOKING_DETAIL)
        op.create_table(
            "simulated_payment",  # on SQLite in a file beside the database
            sa.Column("key", TEXT, nullable=False),
            sa.Column("charge_key", TEXT, nullable=False),
            sa.Column("currency_code", TEXT, nullable=False),
            sa.Column("amount", sa.BigInteger(), nullable=False),
            sa.Column("outcome", TEXT, nullable=False),
            sa.PrimaryKeyConstraint("key", name="simulated_payment_pk"),
        )


def _where(condition: str) -> dict[str, Any]:
    """Return what makes an index partial."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def _create_accounts() -> None:
    op.create_table(
        "account",
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("username", TEXT, nullable=False),
        sa.Column("folded_username", TEXT, nullable=False),
        sa.Column("full_name", TEXT, nullable=False),
        sa.Column("email", TEXT, nullable=False),
        sa.Column("folded_email", TEXT),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("password_hash", TEXT, nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("disabled", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("revoke_time", sa.BigInteger()),
        sa.PrimaryKeyConstraint("user_id", name="account_pk"),
        sa.UniqueConstraint("folded_email", name="account_folded_email_key"),
        sa.UniqueConstraint("folded_username", name="account_folded_username_key"),
    )
    op.create_index("account_revoke_time_index", "account", ["revoke_time"], **_where("revoke_time IS NOT NULL"))
    op.create_table(
        "session",
        sa.Column("session_id", TEXT, nullable=False),
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("used_digest", sa.LargeBinary(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("rotate_time", sa.BigInteger(), nullable=False),
        sa.Column("expire_time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["account.user_id"], name="session_user_id_fk"),
        sa.PrimaryKeyConstraint("session_id", name="session_pk"),
        sqlite_with_rowid=False,
    )
    op.create_index("session_expire_time_index", "session", ["expire_time"])
    op.create_index("session_user_id_index", "session", ["user_id"])
    op.create_table(
        "sign_in",
        sa.Column("subject", sa.LargeBinary(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("latest_time", sa.BigInteger(), nullable=False),
        sa.Column("known", sa.Boolean(), nullable=False),
        sa.Column("expire_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name="sign_in_pk"),
        sqlite_with_rowid=False,
    )
    op.create_index("sign_in_expire_time_index", "sign_in", ["expire_time"])
    op.create_table(
        "stored_response",
        sa.Column("caller", TEXT, nullable=False),
        sa.Column("rpc", TEXT, nullable=False),
        sa.Column("request_id", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("response", TEXT, nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("caller", "rpc", "request_id", name="stored_response_pk"),
    )
    op.create_index("stored_response_create_time_index", "stored_response", ["create_time"])


def _create_catalog() -> None:
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
        "cinema",
        sa.Column("cinema_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("time_zone", TEXT, nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("cinema_id", name="cinema_pk"),
    )
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
    op.create_index("auditorium_cinema_id_auditorium_id_index", "auditorium", ["cinema_id", "auditorium_id"])


def _create_showtimes() -> None:
    op.create_table(
        "showtime",
        sa.Column("showtime_id", TEXT, nullable=False),
        sa.Column("movie_id", TEXT, nullable=False),
        sa.Column("auditorium_id", TEXT, nullable=False),
        sa.Column("cinema_id", TEXT, nullable=False),
        sa.Column("start_time", sa.BigInteger(), nullable=False),
        sa.Column("end_time", sa.BigInteger(), nullable=False),
        sa.Column("currency_code", TEXT, nullable=False),
        sa.Column("seat_price", sa.BigInteger(), nullable=False),
        sa.Column("seat_gap_policy", TEXT, nullable=False),
        sa.Column("taken_seats", sa.Integer(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("commit_id", TEXT, nullable=False),
        sa.Column("terms_revision", sa.BigInteger(), nullable=False),
        sa.Column("latest_time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["auditorium_id"], ["auditorium.auditorium_id"], name="showtime_auditorium_id_fk"),
        sa.ForeignKeyConstraint(["movie_id"], ["movie.movie_id"], name="showtime_movie_id_fk"),
        sa.PrimaryKeyConstraint("showtime_id", name="showtime_pk"),
    )
    for filtered_by in (
        [],
        ["movie_id"],
        ["cinema_id"],
        ["cinema_id", "movie_id"],
        ["auditorium_id"],
        ["auditorium_id", "movie_id"],
    ):
        columns = [*filtered_by, "start_time", "showtime_id"]
        op.create_index(f"showtime_{'_'.join(columns)}_index", "showtime", columns)
    op.create_table(
        "commit_log",
        sa.Column("showtime_id", TEXT, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("commit_id", TEXT, nullable=False),
        sa.Column("decide_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("showtime_id", "revision", name="commit_log_pk"),
        sqlite_with_rowid=False,
    )


def _create_bookings() -> None:
    op.create_table(
        "booking",
        sa.Column("booking_id", TEXT, nullable=False),
        sa.Column("showtime_id", TEXT, nullable=False),
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("seats", TEXT, nullable=False),
        sa.Column("seat_count", sa.Integer(), nullable=False),
        sa.Column("currency_code", TEXT, nullable=False),
        sa.Column("total_price", sa.BigInteger(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("hold_expire_time", sa.BigInteger(), nullable=False),
        sa.Column("hold_extended", sa.Boolean(), nullable=False),
        sa.Column("confirm_time", sa.BigInteger()),
        sa.Column("cancel_time", sa.BigInteger()),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("relied_on", TEXT),
        sa.ForeignKeyConstraint(["showtime_id"], ["showtime.showtime_id"], name="booking_showtime_id_fk"),
        sa.ForeignKeyConstraint(["user_id"], ["account.user_id"], name="booking_user_id_fk"),
        sa.PrimaryKeyConstraint("booking_id", name="booking_pk"),
    )
    op.create_index(
        "booking_lapse_index",
        "booking",
        ["hold_expire_time", "showtime_id", "seat_count", "status"],
        **_where("status = 'RESERVED'"),
    )
    op.create_index(
        "booking_of_showtime_index",
        "booking",
        ["user_id", "showtime_id", "status", "booking_id"],
        **_where("status <> 'RESERVED'"),
    )
    op.create_index(
        "booking_unpaid_index",
        "booking",
        ["showtime_id", "hold_expire_time"],
        **_where("status IN ('CANCELLED', 'EXPIRED') AND confirm_time IS NULL"),
    )
    op.create_index("booking_user_id_status_booking_id_index", "booking", ["user_id", "status", "booking_id"])


def _create_claims_and_tickets() -> None:
    op.create_table(
        "seat_claim",
        sa.Column("showtime_id", TEXT, nullable=False),
        sa.Column("seat", TEXT, nullable=False),
        sa.Column("booking_id", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["booking_id"], ["booking.booking_id"], name="seat_claim_booking_id_fk"),
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


def _create_payments() -> None:
    op.create_table(
        "payment_attempt",
        sa.Column("attempt_id", TEXT, nullable=False),
        sa.Column("booking_id", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("request", TEXT, nullable=False),
        sa.Column("due_time", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["booking_id"], ["booking.booking_id"], name="payment_attempt_booking_id_fk"),
        sa.PrimaryKeyConstraint("attempt_id", name="payment_attempt_pk"),
    )
    op.create_index("payment_attempt_booking_id_index", "payment_attempt", ["booking_id"])
    op.create_index(
        "payment_attempt_open_index",
        "payment_attempt",
        ["booking_id"],
        unique=True,
        **_where("status IN ('OPEN', 'VOIDING')"),
    )
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
        sa.Column("due_time", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["payment_attempt.attempt_id"], name="refund_attempt_id_fk"),
        sa.ForeignKeyConstraint(["booking_id"], ["booking.booking_id"], name="refund_booking_id_fk"),
        sa.PrimaryKeyConstraint("refund_id", name="refund_pk"),
        sa.UniqueConstraint("attempt_id", name="refund_attempt_id_key"),
        sa.UniqueConstraint("booking_id", name="refund_booking_id_key"),
    )
    op.create_index("refund_owed_index", "refund", ["due_time"], **_where("status = 'PENDING'"))
