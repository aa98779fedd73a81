"""Keep sessions."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table."""
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
    op.create_index("session_user_id_index", "session", ["user_id"])
    op.create_index("session_expire_time_index", "session", ["expire_time"])
