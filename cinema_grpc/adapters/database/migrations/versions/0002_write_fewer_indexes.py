"""Write fewer indexes with each booking: lapsed holds are found, and counted, by one."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Replace the indexes of holds by one that covers both questions; SQLite alone has no use for revisions."""
    op.drop_index("booking_showtime_lapse_index", "booking")
    op.drop_index("booking_lapse_index", "booking")
    op.create_index(
        "booking_lapse_index",
        "booking",
        ["hold_expire_time", "showtime_id", "seat_count", "status"],
        sqlite_where=sa.text("status = 'RESERVED'"),
        postgresql_where=sa.text("status = 'RESERVED'"),
    )
    if op.get_context().dialect.name == "sqlite":
        op.drop_index("booking_showtime_id_revision_index", "booking")
