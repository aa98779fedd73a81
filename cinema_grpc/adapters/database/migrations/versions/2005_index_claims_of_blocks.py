"""Index the seats of blocks, which the foreign key looks for when a block is deleted."""

import sqlalchemy as sa
from alembic import op

revision = "2005"
down_revision = "2004"

OF_A_BLOCK = "block_id IS NOT NULL"


def upgrade() -> None:
    """Create the index."""
    op.create_index(
        "seat_claim_block_id_index",
        "seat_claim",
        ["block_id"],
        sqlite_where=sa.text(OF_A_BLOCK),
        postgresql_where=sa.text(OF_A_BLOCK),
    )
