"""Keeps accounts in the database."""

from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.sql.elements import ColumnElement

from cinema_grpc.adapters.database.database import Database, uninterrupted
from cinema_grpc.adapters.database.prepared import reader_of, select_by
from cinema_grpc.adapters.database.schema import account
from cinema_grpc.application.ports import StorageConflict
from cinema_grpc.domain.account import Role, User, fold
from cinema_grpc.domain.errors import EmailTaken, UsernameTaken

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
        _, (found,) = await self._database.peek(lambda _now: [(_BY_ID, [{"user_id": user_id}])])
        return _user(_read_account(found[0])) if found else None

    @uninterrupted
    async def find_by_username(self, username: str) -> tuple[User, str] | None:
        """Read an account and its password hash by its name in any case, or None."""
        row = await self._row(account.c.folded_username == fold(username))
        return None if row is None else (_user(row), row.password_hash)

    @uninterrupted
    async def find_by_email(self, email: str) -> User | None:
        """Read an account by its email in any case, or None."""
        row = await self._row(account.c.folded_email == fold(email))
        return None if row is None else _user(row)

    @uninterrupted
    async def set_password_hash(self, user_id: str, password_hash: str) -> None:
        """Replace the password hash of an account."""
        async with self._database.writing() as connection:
            await connection.execute(
                update(account).where(account.c.user_id == user_id).values(password_hash=password_hash)
            )

    async def _row(self, condition: ColumnElement[bool]) -> Row[tuple[object, ...]] | None:
        async with self._database.reading() as connection:
            return (await connection.execute(select(account).where(condition))).one_or_none()


def _user(row: Any) -> User:
    return User(row.user_id, row.username, row.full_name, row.email, Role(row.role), row.create_time)
