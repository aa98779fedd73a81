"""Accounts in the database, and the sessions that they begin."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy import BigInteger, bindparam, delete, insert, select, update
from sqlalchemy.engine import Connection

from cinema_grpc.adapters.database.column_types import MICROSECOND
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.schema import account, session
from cinema_grpc.adapters.database.statements import Query
from cinema_grpc.application.box_office.store import StorageConflict
from cinema_grpc.domain.account import Role, User, fold
from cinema_grpc.domain.errors import EmailTaken, UsernameTaken
from cinema_grpc.domain.session import RefreshToken, Session

T = TypeVar("T")

USER = [account.c[each.name] for each in fields(User)]
"""The columns that `to_user` reads."""

_BY_ID = Query(select(*USER).where(account.c.user_id == bindparam("user_id")))
_BY_EMAIL = Query(select(*USER).where(account.c.folded_email == bindparam("email")))
_BY_USERNAME = Query(select(account.c.password_hash, *USER).where(account.c.folded_username == bindparam("username")))
_NOW, _WITHIN = bindparam("now", type_=BigInteger), bindparam("within", type_=BigInteger)
_REVOKED = Query(select(account.c.user_id).where(account.c.revoke_time > _NOW - _WITHIN))


class SqlAccountStore:
    """Stores accounts. Fulfils AccountStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, user: User, password_hash: str) -> None:
        """Add an account."""
        await self._add(user, password_hash, lambda _: None)

    async def add_signed_in(
        self, user: User, password_hash: str, token: RefreshToken, on_commit: Callable[[], None]
    ) -> Session:
        """Add an account and a session of it; return the session."""

        def begin_session(connection: Connection) -> Session:
            return self._begin_session(connection, user.user_id, token)

        return await self._add(user, password_hash, begin_session, lambda _: on_commit())

    async def find(self, user_id: str) -> User | None:
        """Return an account, or None."""
        _, rows = await self._database.read(_BY_ID, user_id=user_id)
        return to_user(rows[0]) if rows else None

    async def find_by_username(self, username: str) -> tuple[User, str] | None:
        """Return an account and its password hash, or None."""
        _, rows = await self._database.read(_BY_USERNAME, username=fold(username))
        return (to_user(rows[0][1:]), rows[0][0]) if rows else None

    async def find_by_email(self, email: str) -> User | None:
        """Return an account, or None."""
        _, rows = await self._database.read(_BY_EMAIL, email=fold(email))
        return to_user(rows[0]) if rows else None

    async def begin_session(
        self,
        user_id: str,
        known_hash: str,
        token: RefreshToken,
        on_commit: Callable[[], None],
        *,
        new_hash: str | None = None,
        end_others: bool = False,
    ) -> Session | None:
        """Add a session of a user whose password was checked; return None if it has been changed since."""

        def begin(connection: Connection) -> Session | None:
            # Locked, so that a change of the password at the same time ends this session too.
            stored = select(account.c.password_hash, account.c.disabled).where(account.c.user_id == user_id)
            if connection.execute(stored.with_for_update(key_share=True)).first() != (known_hash, False):
                return None
            if new_hash is not None:
                _set_password_hash(connection, user_id, new_hash)
            if end_others:
                _end_sessions(connection, user_id)
            return self._begin_session(connection, user_id, token)

        return await self._database.transact(begin, on_commit=lambda begun: on_commit() if begun else None)

    async def set_password_hash(self, user_id: str, password_hash: str, *, revoke_tokens: bool = False) -> None:
        """Replace the password hash of an account, and end its sessions.

        Args:
            user_id: The account.
            password_hash: The new hash.
            revoke_tokens: Whether to revoke the access tokens that were issued before now, too.
        """

        def replace(connection: Connection) -> None:
            _set_password_hash(connection, user_id, password_hash)
            _end_sessions(connection, user_id)
            if revoke_tokens:
                self._revoke_tokens(connection, user_id)

        await self._database.transact(replace)

    async def disable(self, user_id: str) -> None:
        """Disable an account, end its sessions, and revoke the access tokens that were issued before now."""

        def disable(connection: Connection) -> None:
            connection.execute(update(account).where(account.c.user_id == user_id).values(disabled=True))
            self._revoke_tokens(connection, user_id)
            _end_sessions(connection, user_id)

        await self._database.transact(disable)

    def _revoke_tokens(self, connection: Connection, user_id: str) -> None:
        """Revoke the access tokens of an account, whose row is locked."""
        now = self._database.time(connection)
        connection.execute(update(account).where(account.c.user_id == user_id).values(revoke_time=now))

    async def enable(self, user_id: str) -> None:
        """Enable an account. Revoked access tokens stay revoked."""
        enable = update(account).where(account.c.user_id == user_id).values(disabled=False)
        await self._database.transact(lambda connection: connection.execute(enable).close())

    async def revoked(self, within: timedelta) -> list[str]:
        """Return the accounts whose access tokens were revoked within some time, however busy the database is."""
        _, rows = await self._database.read(_REVOKED, must_run=True, within=within // MICROSECOND)
        return [user_id for (user_id,) in rows]

    async def _add(
        self,
        user: User,
        password_hash: str,
        then: Callable[[Connection], T],
        on_commit: Callable[[T], None] | None = None,
    ) -> T:
        values = asdict(user) | {
            "folded_username": fold(user.username),
            "folded_email": fold(user.email) or None,
            "role": user.role.value,
            "password_hash": password_hash,
        }

        def add(connection: Connection) -> T:
            connection.execute(insert(account).values(values))
            return then(connection)

        try:
            return await self._database.transact(add, on_commit=on_commit)
        except StorageConflict:
            # Drivers name the constraint in different ways. Accounts are never deleted, so the other one is found.
            if await self.find_by_username(user.username) is not None:
                raise UsernameTaken(user.username) from None
            if await self.find_by_email(user.email) is not None:
                raise EmailTaken(user.email) from None
            raise

    def _begin_session(self, connection: Connection, user_id: str, token: RefreshToken) -> Session:
        begun = Session.begin(token, user_id, self._database.time(connection))
        connection.execute(insert(session).values(asdict(begun)))
        return begun


def to_user(row: Sequence[Any]) -> User:
    """Return the account of a row of USER."""
    user_id, username, full_name, email, role, *rest = row
    return User(user_id, username, full_name, email, Role(role), *rest)


def _set_password_hash(connection: Connection, user_id: str, password_hash: str) -> None:
    this = account.c.user_id == user_id
    connection.execute(update(account).where(this).values(password_hash=password_hash))


def _end_sessions(connection: Connection, user_id: str) -> None:
    connection.execute(delete(session).where(session.c.user_id == user_id))
