"""Let attempts to charge and refunds be taken up again, and old requests be found; the simulated provider's books."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
UNSETTLED_ATTEMPT = sa.text("status IN ('OPEN', 'VOIDING')")
OWED_REFUND = sa.text("status = 'PENDING'")


def upgrade() -> None:
    """Add when each attempt and refund is due; what is unsettled now is due since it was made."""
    op.add_column("payment_attempt", sa.Column("request", TEXT, nullable=False, server_default=""))
    for table in ("payment_attempt", "refund"):
        op.add_column(table, sa.Column("due_time", sa.BigInteger(), nullable=False, server_default="0"))
        op.add_column(table, sa.Column("tries", sa.Integer(), nullable=False, server_default="0"))
    op.drop_index("payment_attempt_open_index", "payment_attempt")
    op.create_index(
        "payment_attempt_open_index",
        "payment_attempt",
        ["booking_id"],
        unique=True,
        sqlite_where=UNSETTLED_ATTEMPT,
        postgresql_where=UNSETTLED_ATTEMPT,
    )
    op.drop_index("refund_owed_index", "refund")
    op.create_index("refund_owed_index", "refund", ["due_time"], sqlite_where=OWED_REFUND, postgresql_where=OWED_REFUND)
    op.create_index("request_create_time_index", "request", ["create_time"])
    if op.get_context().dialect.name == "postgresql":
        op.create_table(
            "simulated_payment",
            sa.Column("key", TEXT, nullable=False),
            sa.Column("charge_key", TEXT, nullable=False),
            sa.Column("currency_code", TEXT, nullable=False),
            sa.Column("amount", sa.BigInteger(), nullable=False),
            sa.Column("outcome", TEXT, nullable=False),
            sa.PrimaryKeyConstraint("key", name="simulated_payment_pk"),
        )
