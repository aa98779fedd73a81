"""Remember what the gap rule took for granted when a booking was made; find holds that ended unpaid."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

ENDED_UNPAID = sa.text("status IN ('CANCELLED', 'EXPIRED') AND confirm_time IS NULL")


def upgrade() -> None:
    """Add the column and the index; what was booked before relies on nothing."""
    op.add_column("booking", sa.Column("relied_on", TEXT))
    op.create_index(
        "booking_unpaid_index",
        "booking",
        ["showtime_id", "hold_expire_time"],
        sqlite_where=ENDED_UNPAID,
        postgresql_where=ENDED_UNPAID,
    )
