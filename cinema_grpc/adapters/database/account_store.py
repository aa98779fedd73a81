"""Keeps accounts in the database, and begins their sessions."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select

from cinema_grpc.adapters.database.database import Database, uninterrupted
from cinema_grpc.adapters.database.prepared import (
    Found,
    Go,
    Together,
    delete_by,
    insert_into,
    reader_of,
    row_of,
    select_by,
    update_by,
)
from cinema_grpc.adapters.database.schema import account, microseconds, session
from cinema_grpc.application.ports import StorageConflict
from cinema_grpc.domain.account import Role, User, fold
from cinema_grpc.domain.errors import EmailTaken, UsernameTaken
from cinema_grpc.domain.session import RefreshToken, Session

BY_ID = select_by(account, ("user_id",))
_BY_USERNAME = select_by(account, ("folded_username",))
_BY_EMAIL = select_by(account, ("folded_email",))
# Locked, so that a password that is changed meanwhile ends a session that begins.
_LOCK_HASH = select_by(account, ("user_id",), "password_hash, disabled", locking=" FOR NO KEY UPDATE OF account")
_INSERT = insert_into(account)
_UPDATE_HASH = update_by(account, ("user_id",), ("password_hash",))
_DISABLE = update_by(account, ("user_id",), ("disabled", "revoke_time"))
_ENABLE = update_by(account, ("user_id",), ("disabled",))
_BEGIN_SESSION = insert_into(session)
_END_SESSIONS = delete_by(session, ("user_id",), exactly=False)
_ADD = Together(_INSERT, _BEGIN_SESSION)
_SIGN_IN = Together(_UPDATE_HASH, _END_SESSIONS, _BEGIN_SESSION)
_SWITCH = Together(_DISABLE, _ENABLE, _END_SESSIONS)
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
        await self._add(user, password_hash, None)

    @uninterrupted
    async def add_signed_in(
        self, user: User, password_hash: str, token: RefreshToken, on_commit: Callable[[], None]
    ) -> Session:
        """Add an account, begin a session of it with its first token.

        Raises:
            UsernameTaken, EmailTaken.
        """
        (begun,) = await self._add(user, password_hash, token)
        on_commit()
        return begun

    async def _add(self, user: User, password_hash: str, token: RefreshToken | None) -> list[Session]:
        row = {
            **row_of(user),
            "folded_username": fold(user.username),
            "folded_email": fold(user.email) or None,
            "role": user.role.value,
            "password_hash": password_hash,
        }

        def decision(_: Found, now: datetime, _answers: list[Found]) -> tuple[list[Session], Go]:
            begun = [Session.begin(token, user.user_id, now)] if token else []
            return begun, _ADD.of({_INSERT: [row], _BEGIN_SESSION: [row_of(each) for each in begun]})

        try:
            return await self._database.decide((BY_ID, []), decision)  # there is nothing to lock
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
        _, (found,) = await self._database.peek([(BY_ID, [{"user_id": user_id}])])
        return user_of(found[0]) if found else None

    async def find_by_username(self, username: str) -> tuple[User, str] | None:
        """Read an account and its password hash by its name in any case, or None."""
        _, (found,) = await self._database.peek([(_BY_USERNAME, [{"folded_username": fold(username)}])])
        return (user_of(found[0]), _read_account(found[0]).password_hash) if found else None

    async def find_by_email(self, email: str) -> User | None:
        """Read an account by its email in any case, or None."""
        _, (found,) = await self._database.peek([(_BY_EMAIL, [{"folded_email": fold(email) or None}])])
        return user_of(found[0]) if found else None

    @uninterrupted
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
        """Begin a session of a user whose password was checked, if that is still the same and the account enabled.

        Args:
            user_id: Whose session it is.
            known_hash: The password hash that was checked.
            token: The first token of the session.
            on_commit: Called once it is committed.
            new_hash: What replaces the password hash, if anything does.
            end_others: Whether all other sessions of the user end.

        Returns:
            The session; None if the password hash is another one by now, or the account was disabled.
        """

        def decision(found: Found, now: datetime, _: list[Found]) -> tuple[Session | None, Go | None]:
            if list(map(tuple, found)) != [(known_hash, False)]:
                return None, None
            begun = Session.begin(token, user_id, now)
            return begun, _SIGN_IN.of(
                {
                    _UPDATE_HASH: [{"user_id": user_id, "password_hash": new_hash}] if new_hash is not None else [],
                    _END_SESSIONS: [{"user_id": user_id}] if end_others else [],
                    _BEGIN_SESSION: [row_of(begun)],
                }
            )

        begun = await self._database.decide((_LOCK_HASH, [{"user_id": user_id}]), decision)
        if begun is not None:
            on_commit()
        return begun

    @uninterrupted
    async def set_password_hash(self, user_id: str, password_hash: str) -> None:
        """Replace the password hash of an account, and end its sessions."""
        go = _SIGN_IN.of(
            {
                _UPDATE_HASH: [{"user_id": user_id, "password_hash": password_hash}],
                _END_SESSIONS: [{"user_id": user_id}],
            }
        )
        await self._database.decide((_LOCK_HASH, [{"user_id": user_id}]), lambda *_: (None, go))

    @uninterrupted
    async def disable(self, user_id: str) -> None:
        """Disable an account: end its sessions, and revoke the access tokens that were issued before now."""

        def decision(_found: Found, now: datetime, _answers: list[Found]) -> tuple[None, Go]:
            disabled = {"user_id": user_id, "disabled": True, "revoke_time": microseconds(now)}
            return None, _SWITCH.of({_DISABLE: [disabled], _END_SESSIONS: [{"user_id": user_id}]})

        await self._database.decide((_LOCK_HASH, [{"user_id": user_id}]), decision)

    @uninterrupted
    async def enable(self, user_id: str) -> None:
        """Let an account sign in again; what was revoked stays so."""
        go = _SWITCH.of({_ENABLE: [{"user_id": user_id, "disabled": False}]})
        await self._database.decide((_LOCK_HASH, [{"user_id": user_id}]), lambda *_: (None, go))

    async def revoked(self) -> list[str]:
        """List the accounts, by user_id, that were ever disabled, however busy the database is."""
        async with self._database.reading(owed=True) as connection:
            ever = select(account.c.user_id).where(account.c.revoke_time.is_not(None))
            return list((await connection.execute(ever)).scalars())


def user_of(row: Sequence[Any]) -> User:
    """Read the columns of an account."""
    read = _read_account(row)
    return User(
        read.user_id,
        read.username,
        read.full_name,
        read.email,
        Role(read.role),
        read.create_time,
        read.disabled,
        read.revoke_time,
    )
