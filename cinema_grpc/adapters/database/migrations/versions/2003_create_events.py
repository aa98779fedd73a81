"""Create the tables of the event feed."""

import sqlalchemy as sa
from alembic import op

revision = "2003"
down_revision = "2002"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create the tables, and the row that is locked."""
    feed = op.create_table(
        "event_feed",
        sa.Column("feed_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("trimmed_position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("feed_id", name="event_feed_pk"),
    )
    op.bulk_insert(feed, [{"feed_id": 1, "trimmed_position": 0}])
    op.create_table(
        "event_outbox",
        sa.Column("decide_time", sa.BigInteger(), nullable=False),
        sa.Column("showtime_id", TEXT, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("events", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("decide_time", "showtime_id", "revision", name="event_outbox_pk"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "event",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        *(sa.Column(name, TEXT, nullable=False) for name in ("event_id", "type")),
        sa.Column("time", sa.BigInteger(), nullable=False),
        *(sa.Column(name, TEXT, nullable=False) for name in ("showtime_id", "cinema_id")),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        *(sa.Column(name, TEXT, nullable=False) for name in ("booking_id", "user_id", "seats", "currency_code")),
        sa.Column("amount", sa.BigInteger()),
        *(sa.Column(name, TEXT, nullable=False) for name in ("refund_id", "ticket_id")),
        sa.Column("last_of_change", sa.Boolean(), nullable=False),
        sa.Column("decide_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position", name="event_pk"),
        sqlite_with_rowid=False,
    )
