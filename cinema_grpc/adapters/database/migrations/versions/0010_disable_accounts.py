"""Let accounts be disabled, and their access tokens be revoked."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the columns, and the index by which servers find the accounts whose tokens they must not trust."""
    op.add_column("account", sa.Column("disabled", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("account", sa.Column("revoke_time", sa.BigInteger()))
    op.create_index(
        "account_revoke_time_index",
        "account",
        ["revoke_time"],
        sqlite_where=sa.text("revoke_time IS NOT NULL"),
        postgresql_where=sa.text("revoke_time IS NOT NULL"),
    )
