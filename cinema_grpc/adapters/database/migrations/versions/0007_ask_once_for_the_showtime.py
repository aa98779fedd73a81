"""Have the database look for a claim's showtime no more: the booking that claims the seat refers to it already."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Drop the foreign key; SQLite does that only by copying the table."""
    if op.get_context().dialect.name != "sqlite":
        # In the order of those who sell meanwhile; dropping alone takes the claims first, and would deadlock with them.
        op.execute("LOCK TABLE showtime, seat_claim IN ACCESS EXCLUSIVE MODE")
        op.drop_constraint("seat_claim_showtime_id_fk", "seat_claim", type_="foreignkey")
        return
    op.rename_table("seat_claim", "seat_claim_before")
    op.create_table(
        "seat_claim",
        sa.Column("showtime_id", sa.Text(), nullable=False),
        sa.Column("seat", sa.Text(), nullable=False),
        sa.Column("booking_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["booking_id"], ["booking.booking_id"], name="seat_claim_booking_id_fk"),
        sa.PrimaryKeyConstraint("showtime_id", "seat", name="seat_claim_pk"),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO seat_claim (showtime_id, seat, booking_id)"
        " SELECT showtime_id, seat, booking_id FROM seat_claim_before ORDER BY showtime_id, seat"
    )
    op.drop_table("seat_claim_before")
