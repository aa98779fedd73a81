"""Remember what the gap rule took for granted when a booking was made; find seats on hold and holds given up."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0007"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the column; what was booked before relies on nothing."""
    op.add_column("booking", sa.Column("relied_on", TEXT))
