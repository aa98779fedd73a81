"""Keep requests in SQLite in the order in which they come, so that each batch fills few pages and not one a request."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the table of SQLite anew, with a number for each row; PostgreSQL's is in that order already."""
    if op.get_context().dialect.name != "sqlite":
        return
    op.drop_index("request_create_time_index", "request")
    op.rename_table("request", "request_by_key")
    op.create_table(
        "request",
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("rpc", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("outcome", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("caller", "rpc", "request_id", name="request_pk"),
    )
    op.execute(
        "INSERT INTO request (caller, rpc, request_id, content, outcome, create_time)"
        " SELECT caller, rpc, request_id, content, outcome, create_time FROM request_by_key ORDER BY create_time"
    )
    op.drop_table("request_by_key")
    op.create_index("request_create_time_index", "request", ["create_time"])
