"""Create the table of redemptions, and show them in the view of whole bookings."""

import sqlalchemy as sa
from alembic import op

revision = "2004"
down_revision = "2003"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
STANDING = "kind = 'ADMITTED' AND reverse_time IS NULL"
CONFLICTING = "kind <> 'ADMITTED'"
SOLD = "confirm_time IS NOT NULL"

BOOKING_DETAIL = """
    CREATE OR REPLACE VIEW booking_detail AS
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
        ) END AS refunds,
        CASE WHEN confirm_time IS NOT NULL THEN (
            SELECT json_agg(json_build_array(redemption.redemption_id, redemption.ticket_id, redemption.gate,
                redemption.redeem_time, redemption.redeemed_by, redemption.record_time, redemption.kind,
                redemption.reverse_time, redemption.reversed_by, redemption.reverse_reason))
            FROM redemption WHERE redemption.booking_id = booking.booking_id
        ) END AS redemptions
    FROM booking"""
"""PostgreSQL's view of a whole booking. On SQLite each connection has a temporary one."""


def upgrade() -> None:
    """Create the table and the indexes, and replace the view."""
    op.create_table(
        "redemption",
        sa.Column("redemption_id", TEXT, nullable=False),
        sa.Column("ticket_id", TEXT, nullable=False),
        sa.Column("booking_id", TEXT, nullable=False),
        sa.Column("gate", TEXT, nullable=False),
        sa.Column("redeem_time", sa.BigInteger(), nullable=False),
        sa.Column("redeemed_by", TEXT, nullable=False),
        sa.Column("record_time", sa.BigInteger(), nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("reverse_time", sa.BigInteger()),
        sa.Column("reversed_by", TEXT),
        sa.Column("reverse_reason", TEXT),
        sa.ForeignKeyConstraint(["booking_id"], ["booking.booking_id"], name="redemption_booking_id_fk"),
        sa.ForeignKeyConstraint(["redeemed_by"], ["account.user_id"], name="redemption_redeemed_by_fk"),
        sa.ForeignKeyConstraint(["reversed_by"], ["account.user_id"], name="redemption_reversed_by_fk"),
        sa.ForeignKeyConstraint(["ticket_id"], ["ticket.ticket_id"], name="redemption_ticket_id_fk"),
        sa.PrimaryKeyConstraint("redemption_id", name="redemption_pk"),
    )
    op.create_index("redemption_booking_id_index", "redemption", ["booking_id"])
    op.create_index(
        "redemption_standing_index",
        "redemption",
        ["ticket_id"],
        unique=True,
        sqlite_where=sa.text(STANDING),
        postgresql_where=sa.text(STANDING),
    )
    op.create_index(
        "redemption_conflict_index",
        "redemption",
        ["redeem_time"],
        sqlite_where=sa.text(CONFLICTING),
        postgresql_where=sa.text(CONFLICTING),
    )
    op.create_index(
        "booking_door_index",
        "booking",
        ["showtime_id", "revision", "booking_id"],
        sqlite_where=sa.text(SOLD),
        postgresql_where=sa.text(SOLD),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(BOOKING_DETAIL)
