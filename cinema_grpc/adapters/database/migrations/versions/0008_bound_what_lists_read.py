"""Let every page of a list be read from an index that is in its order, whatever the filters."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
SETTLED = sa.text("status <> 'RESERVED'")


def upgrade() -> None:
    """Write down each showtime's cinema, and replace the indexes that lists are read from."""
    if op.get_context().dialect.name == "postgresql":
        # Both at once, in the lock order of running servers: one by one might deadlock with them.
        op.execute("LOCK TABLE showtime, booking IN ACCESS EXCLUSIVE MODE")
    op.add_column("showtime", sa.Column("cinema_id", TEXT, nullable=False, server_default=""))
    op.execute(
        "UPDATE showtime SET cinema_id = (SELECT auditorium.cinema_id FROM auditorium"
        " WHERE auditorium.auditorium_id = showtime.auditorium_id)"
    )
    op.drop_index("showtime_movie_id_start_time_index", "showtime")
    op.drop_index("showtime_auditorium_id_start_time_index", "showtime")
    for fixed in ("movie_id", "cinema_id", "cinema_id movie_id", "auditorium_id", "auditorium_id movie_id"):
        columns = [*fixed.split(), "start_time", "showtime_id"]
        op.create_index(f"showtime_{'_'.join(columns)}_index", "showtime", columns)
    op.create_index("auditorium_cinema_id_auditorium_id_index", "auditorium", ["cinema_id", "auditorium_id"])
    op.drop_index("booking_user_id_booking_id_index", "booking")
    op.create_index("booking_user_id_status_booking_id_index", "booking", ["user_id", "status", "booking_id"])
    op.create_index(
        "booking_of_showtime_index",
        "booking",
        ["user_id", "showtime_id", "status", "booking_id"],
        sqlite_where=SETTLED,
        postgresql_where=SETTLED,
    )
