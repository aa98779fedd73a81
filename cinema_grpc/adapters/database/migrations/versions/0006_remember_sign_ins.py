"""Remember sign-ins that failed, and from where others succeeded."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the table."""
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
