"""Create the tables of showtimes, bookings and payments, and the view of whole bookings."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "2002"
down_revision = "2001"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

BOOKING_DETAIL = """
    CREATE VIEW booking_detail AS
    SELECT booking.*,
        CASE WHEN hold_extended THEN (
            SELECT json_agg(json_build_array(ticket.ticket_id, ticket.seat, ticket.code))
            FROM ticket WHERE ticket.booking_id = booking.booking_id
        ) END AS tickets,
        CASE WHEN hold_extended THEN (
            SELECT json_build_array(attempt.attempt_id, attempt.status, attempt.create_time, attempt.request,
                attempt.provider_id, attempt.action)
            FROM payment_attempt AS attempt WHERE attempt.booking_id = booking.booking_id
            ORDER BY attempt.create_time DESC, attempt.attempt_id DESC LIMIT 1
        ) END AS payment,
        CASE WHEN hold_extended THEN (
            SELECT json_agg(json_build_array(refund.refund_id, refund.attempt_id, refund.amount, refund.percent,
                refund.status, refund.create_time, refund.seats, refund.settled_by, refund.settle_time, refund.note,
                refund.provider_id))
            FROM refund WHERE refund.booking_id = booking.booking_id
        ) END AS refunds
    FROM booking"""
"""PostgreSQL's view of a whole booking. On SQLite each connection has a temporary one."""


def upgrade() -> None:
    """Create each table after those that it refers to."""
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


def _create_showtimes() -> None:
    op.create_table(
        "showtime",
        sa.Column("showtime_id", TEXT, nullable=False),
        sa.Column("movie_id", TEXT, nullable=False),
        sa.Column("auditorium_id", TEXT, nullable=False),
        sa.Column("cinema_id", TEXT, nullable=False),
        sa.Column("start_time", sa.BigInteger(), nullable=False),
        sa.Column("end_time", sa.BigInteger(), nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("cancel_time", sa.BigInteger()),
        sa.Column("cancel_reason", TEXT),
        sa.Column("moves", TEXT),
        sa.Column("currency_code", TEXT, nullable=False),
        sa.Column("prices", TEXT, nullable=False),
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
        sa.Column("wheelchair", sa.Boolean(), nullable=False),
        sa.Column("seat_count", sa.Integer(), nullable=False),
        sa.Column("currency_code", TEXT, nullable=False),
        sa.Column("total_price", sa.BigInteger(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("hold_expire_time", sa.BigInteger(), nullable=False),
        sa.Column("hold_extended", sa.Boolean(), nullable=False),
        sa.Column("hold_renewed", sa.Boolean(), nullable=False),
        sa.Column("confirm_time", sa.BigInteger()),
        sa.Column("cancel_time", sa.BigInteger()),
        sa.Column("cancel_cause", TEXT),
        sa.Column("cancel_reason", TEXT),
        sa.Column("tender", TEXT),
        sa.Column("sold_by", TEXT),
        sa.Column("sale_reason", TEXT),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("relied_on", TEXT),
        sa.ForeignKeyConstraint(["sold_by"], ["account.user_id"], name="booking_sold_by_fk"),
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
    op.create_index("booking_ended_index", "booking", ["showtime_id", "booking_id"], **_where("status <> 'RESERVED'"))
    op.create_index(
        "booking_sale_index", "booking", ["confirm_time", "showtime_id"], **_where("confirm_time IS NOT NULL")
    )
    op.create_index("booking_user_id_status_booking_id_index", "booking", ["user_id", "status", "booking_id"])


def _create_claims_and_tickets() -> None:
    op.create_table(
        "seat_block",
        sa.Column("block_id", TEXT, nullable=False),
        sa.Column("showtime_id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("seats", TEXT, nullable=False),
        sa.Column("seat_count", sa.Integer(), nullable=False),
        sa.Column("release_time", sa.BigInteger()),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("created_by", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["created_by"], ["account.user_id"], name="seat_block_created_by_fk"),
        sa.ForeignKeyConstraint(["showtime_id"], ["showtime.showtime_id"], name="seat_block_showtime_id_fk"),
        sa.PrimaryKeyConstraint("block_id", name="seat_block_pk"),
    )
    op.create_index("seat_block_showtime_id_index", "seat_block", ["showtime_id"])
    op.create_index(
        "seat_block_lapse_index",
        "seat_block",
        ["release_time", "showtime_id", "seat_count"],
        **_where("release_time IS NOT NULL"),
    )
    op.create_table(
        "seat_claim",
        sa.Column("showtime_id", TEXT, nullable=False),
        sa.Column("seat", TEXT, nullable=False),
        sa.Column("booking_id", TEXT),
        sa.Column("block_id", TEXT),
        sa.CheckConstraint("(booking_id IS NULL) <> (block_id IS NULL)", name="seat_claim_owner_check"),
        sa.ForeignKeyConstraint(["block_id"], ["seat_block.block_id"], name="seat_claim_block_id_fk"),
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
        sa.Column("provider_id", TEXT, server_default="", nullable=False),
        sa.Column("action", sa.Boolean(), server_default=sa.false(), nullable=False),
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
        sa.Column("showtime_id", TEXT, nullable=False),
        sa.Column("attempt_id", TEXT),
        sa.Column("seats", TEXT, nullable=False),
        sa.Column("currency_code", TEXT, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("settled_by", TEXT),
        sa.Column("settle_time", sa.BigInteger()),
        sa.Column("note", TEXT),
        sa.Column("provider_id", TEXT, server_default="", nullable=False),
        sa.Column("watched", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("due_time", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["payment_attempt.attempt_id"], name="refund_attempt_id_fk"),
        sa.ForeignKeyConstraint(["booking_id"], ["booking.booking_id"], name="refund_booking_id_fk"),
        sa.ForeignKeyConstraint(["settled_by"], ["account.user_id"], name="refund_settled_by_fk"),
        sa.PrimaryKeyConstraint("refund_id", name="refund_pk"),
    )
    op.create_index(
        "refund_owed_index", "refund", ["due_time"], **_where("status = 'PENDING' AND attempt_id IS NOT NULL")
    )
    op.create_index("refund_watched_index", "refund", ["due_time"], **_where("watched"))
    for columns in (["booking_id"], ["create_time"], ["showtime_id", "refund_id"], ["status", "refund_id"]):
        op.create_index(f"refund_{'_'.join(columns)}_index", "refund", columns)
