"""Keeps accounts in the database, and begins their sessions."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import Update
from sqlalchemy.sql.elements import ColumnElement

from cinema_grpc.adapters.database.database import Database, uninterrupted
from cinema_grpc.adapters.database.prepared import reader_of, select_by
from cinema_grpc.adapters.database.schema import account, session
from cinema_grpc.application.ports import StorageConflict
from cinema_grpc.domain.account import Role, User, fold
from cinema_grpc.domain.errors import EmailTaken, UsernameTaken
from cinema_grpc.domain.session import RefreshToken, Session

_BY_ID = select_by(account, ("user_id",))
_read_account = reader_of(account)


class SqlAccountStore:
    """Keeps accounts; what is unique without regard to case is compared in its folded form."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @uninterrupted
    async def add(self, user: User, password_hash: str) -> None:
        """Add an account.

        Raises:
            UsernameTaken, EmailTaken.
        """
        async with self._adding(user, password_hash):
            pass

    @uninterrupted
    async def add_signed_in(
        self, user: User, password_hash: str, token: RefreshToken, tell: Callable[[], None]
    ) -> Session:
        """Add an account, begin a session of it with its first token, and tell of it.

        Raises:
            UsernameTaken, EmailTaken.
        """
        async with self._adding(user, password_hash) as connection:
            session = await self._begin(connection, user.user_id, token)
        tell()
        return session

    @asynccontextmanager
    async def _adding(self, user: User, password_hash: str) -> AsyncIterator[AsyncConnection]:
        row = {
            "user_id": user.user_id,
            "username": user.username,
            "folded_username": fold(user.username),
            "full_name": user.full_name,
            "email": user.email,
            "folded_email": fold(user.email) or None,
            "role": user.role.value,
            "password_hash": password_hash,
            "create_time": user.create_time,
        }
        try:
            async with self._database.writing() as connection:
                await connection.execute(insert(account), row)
                yield connection
        except StorageConflict:
            # Which constraint it was is told by looking, since each driver words it in its own way. Accounts are never
            # deleted, so whoever was first is still there.
            if await self.find_by_username(user.username) is not None:
                raise UsernameTaken(user.username) from None
            if await self.find_by_email(user.email) is not None:
                raise EmailTaken(user.email) from None
            raise

    async def find(self, user_id: str) -> User | None:
        """Read an account by its identifier, or None."""
        # On the morning of a sale every call is of somebody who was not seen before.
        _, (found,) = await self._database.peek([(_BY_ID, [{"user_id": user_id}])])
        return user_of(_read_account(found[0])) if found else None

    @uninterrupted
    async def find_by_username(self, username: str) -> tuple[User, str] | None:
        """Read an account and its password hash by its name in any case, or None."""
        row = await self._row(account.c.folded_username == fold(username))
        return None if row is None else (user_of(row), row.password_hash)

    @uninterrupted
    async def find_by_email(self, email: str) -> User | None:
        """Read an account by its email in any case, or None."""
        row = await self._row(account.c.folded_email == fold(email))
        return None if row is None else user_of(row)

    @uninterrupted
    async def begin_session(
        self,
        user_id: str,
        known_hash: str,
        token: RefreshToken,
        tell: Callable[[], None],
        *,
        new_hash: str | None = None,
        alone: bool = False,
    ) -> Session | None:
        """Begin a session of a user whose password was checked, if the password is still the same.

        Args:
            user_id: Whose session it is.
            known_hash: The password hash that was checked.
            token: The first token of the session.
            tell: Called once it is written down.
            new_hash: What replaces the password hash, if anything does.
            alone: Whether all other sessions of the user end.

        Returns:
            The session; None if the password hash is another one by now.
        """
        async with self._database.writing() as connection:
            kept = select(account.c.password_hash).where(account.c.user_id == user_id)
            # Locked, so that a password that is changed meanwhile ends this session too.
            if await connection.scalar(kept.with_for_update(key_share=True)) != known_hash:
                return None
            if new_hash is not None:
                await connection.execute(_with_hash(user_id, new_hash))
            if alone:
                await connection.execute(delete(session).where(session.c.user_id == user_id))
            begun = await self._begin(connection, user_id, token)
        tell()
        return begun

    @uninterrupted
    async def set_password_hash(self, user_id: str, password_hash: str) -> None:
        """Replace the password hash of an account, and end its sessions."""
        async with self._database.writing() as connection:
            await connection.execute(_with_hash(user_id, password_hash))
            await connection.execute(delete(session).where(session.c.user_id == user_id))

    async def _begin(self, connection: AsyncConnection, user_id: str, token: RefreshToken) -> Session:
        begun = Session.begin(token, user_id, await self._database.now(connection))
        await connection.execute(insert(session).values(asdict(begun)))
        return begun

    async def _row(self, condition: ColumnElement[bool]) -> Row[tuple[object, ...]] | None:
        async with self._database.reading() as connection:
            return (await connection.execute(select(account).where(condition))).one_or_none()


def user_of(row: Any) -> User:
    """Read the columns of an account."""
    return User(row.user_id, row.username, row.full_name, row.email, Role(row.role), row.create_time)


def _with_hash(user_id: str, password_hash: str) -> Update:
    return update(account).where(account.c.user_id == user_id).values(password_hash=password_hash)
