"""Create the tables of accounts, of the catalog and of stored responses."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "2001"
down_revision = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create each table after those that it refers to."""
    _create_accounts()
    _create_catalog()


def _where(condition: str) -> dict[str, Any]:
    """Return what makes an index partial."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def _create_accounts() -> None:
    op.create_table(
        "account",
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("username", TEXT, nullable=False),
        sa.Column("folded_username", TEXT, nullable=False),
        sa.Column("full_name", TEXT, nullable=False),
        sa.Column("email", TEXT, nullable=False),
        sa.Column("folded_email", TEXT),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("password_hash", TEXT, nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("disabled", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("revoke_time", sa.BigInteger()),
        sa.PrimaryKeyConstraint("user_id", name="account_pk"),
        sa.UniqueConstraint("folded_email", name="account_folded_email_key"),
        sa.UniqueConstraint("folded_username", name="account_folded_username_key"),
    )
    op.create_index("account_revoke_time_index", "account", ["revoke_time"], **_where("revoke_time IS NOT NULL"))
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
    op.create_index("session_expire_time_index", "session", ["expire_time"])
    op.create_index("session_user_id_index", "session", ["user_id"])
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
    op.create_table(
        "stored_response",
        sa.Column("caller", TEXT, nullable=False),
        sa.Column("rpc", TEXT, nullable=False),
        sa.Column("request_id", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("response", TEXT, nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("caller", "rpc", "request_id", name="stored_response_pk"),
    )
    op.create_index("stored_response_create_time_index", "stored_response", ["create_time"])


def _create_catalog() -> None:
    op.create_table(
        "movie",
        sa.Column("movie_id", TEXT, nullable=False),
        sa.Column("title", TEXT, nullable=False),
        sa.Column("runtime", sa.BigInteger(), nullable=False),
        sa.Column("rating", TEXT, nullable=False),
        sa.Column("synopsis", TEXT, nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("movie_id", name="movie_pk"),
    )
    op.create_table(
        "cinema",
        sa.Column("cinema_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("time_zone", TEXT, nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("cinema_id", name="cinema_pk"),
    )
    op.create_table(
        "auditorium",
        sa.Column("auditorium_id", TEXT, nullable=False),
        sa.Column("cinema_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("rows", TEXT, nullable=False),
        sa.Column("areas", TEXT, nullable=False),
        sa.Column("wheelchair_spaces", TEXT, nullable=False),
        sa.Column("total_seats", sa.Integer(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["cinema_id"], ["cinema.cinema_id"], name="auditorium_cinema_id_fk"),
        sa.PrimaryKeyConstraint("auditorium_id", name="auditorium_pk"),
        sa.UniqueConstraint("cinema_id", "name", name="auditorium_cinema_id_name_key"),
    )
    op.create_index("auditorium_cinema_id_auditorium_id_index", "auditorium", ["cinema_id", "auditorium_id"])
    revisions = op.create_table(
        "catalog_revision",
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("revision", name="catalog_revision_pk"),
    )
    op.bulk_insert(revisions, [{"revision": 1}])
