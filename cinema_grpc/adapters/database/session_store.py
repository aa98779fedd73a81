"""Keeps sessions in the database."""

from collections.abc import Callable
from dataclasses import asdict

from sqlalchemy import delete, select, update

from cinema_grpc.adapters.database.account_store import user_of
from cinema_grpc.adapters.database.database import Database, uninterrupted
from cinema_grpc.adapters.database.schema import account, session
from cinema_grpc.application.account_ports import ChangedSession, Continue
from cinema_grpc.domain.session import Session


class SqlSessionStore:
    """Keeps sessions; fulfils ports.SessionStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @uninterrupted
    async def change(
        self, session_id: str, go_on: Continue, tell: Callable[[ChangedSession], None]
    ) -> ChangedSession | None:
        """Decide how a session goes on, one decision at a time, and tell of it; None if there is none."""
        found = (
            select(session, account)
            .join(account, session.c.user_id == account.c.user_id)
            .where(session.c.session_id == session_id)
            .with_for_update(of=session)
        )
        this_one = session.c.session_id == session_id
        async with self._database.writing() as connection:
            row = (await connection.execute(found)).one_or_none()
            if row is None:
                return None
            before = Session(**{column.name: row._mapping[column] for column in session.c})  # noqa: SLF001 (public)
            after = go_on(before, await self._database.now(connection))
            if after is None:
                await connection.execute(delete(session).where(this_one))
            elif after != before:
                await connection.execute(update(session).where(this_one).values(asdict(after)))
        changed = ChangedSession(user_of(row), before, after)
        tell(changed)
        return changed

    @uninterrupted
    async def end(self, session_id: str, tell: Callable[[str], None]) -> None:
        """End a session, if it is there, and tell whose it was."""
        async with self._database.writing() as connection:
            ended = delete(session).where(session.c.session_id == session_id).returning(session.c.user_id)
            user_id: str | None = await connection.scalar(ended)
        if user_id is not None:
            tell(user_id)
