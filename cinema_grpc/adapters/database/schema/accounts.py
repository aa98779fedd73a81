"""Accounts, sessions and sign-ins, and the responses of calls."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, LargeBinary, Table, false

from cinema_grpc.adapters.database.column_types import ExactText, Instant
from cinema_grpc.adapters.database.schema.base import metadata, where

account = Table(
    "account",
    metadata,
    Column("user_id", ExactText, primary_key=True),
    Column("username", ExactText, nullable=False),
    Column("folded_username", ExactText, nullable=False, unique=True),
    Column("full_name", ExactText, nullable=False),
    Column("email", ExactText, nullable=False),
    Column("folded_email", ExactText, unique=True),  # null for an account without an email
    Column("role", ExactText, nullable=False),
    Column("password_hash", ExactText, nullable=False),
    Column("create_time", Instant, nullable=False),
    Column("disabled", Boolean, nullable=False, server_default=false()),
    Column("revoke_time", Instant),  # access tokens from before it are refused; null if they never were
    # Every process reads those of two hours every 1.5 seconds.
    Index("account_revoke_time_index", "revoke_time", **where("revoke_time IS NOT NULL")),
)

session = Table(
    "session",
    metadata,
    Column("session_id", ExactText, primary_key=True),
    Column("user_id", ExactText, ForeignKey("account.user_id"), nullable=False, index=True),
    Column("digest", LargeBinary, nullable=False),
    Column("used_digest", LargeBinary, nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Column("rotate_time", Instant, nullable=False),
    Column("expire_time", Instant, nullable=False, index=True),
    sqlite_with_rowid=False,
)

# Failed and successful sign-ins, by a digest of the account's name, of the client network, or of both.
sign_in = Table(
    "sign_in",
    metadata,
    Column("subject", LargeBinary, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("latest_time", Instant, nullable=False),
    Column("known", Boolean, nullable=False),
    Column("expire_time", Instant, nullable=False, index=True),
    sqlite_with_rowid=False,
)

# The responses of calls with a request_id, for 24 hours.
stored_response = Table(
    "stored_response",
    metadata,
    Column("caller", ExactText, primary_key=True),
    Column("rpc", ExactText, primary_key=True),
    Column("request_id", ExactText, primary_key=True),
    Column("digest", ExactText, nullable=False),  # of the request, in hexadecimal digits
    Column("response", ExactText, nullable=False),  # the response message, in base64
    Column("create_time", Instant, nullable=False),
    Index(None, "create_time"),
)
