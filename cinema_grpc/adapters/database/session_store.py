"""Sessions in the database."""

from collections.abc import Callable
from dataclasses import asdict

from sqlalchemy import delete, select, update
from sqlalchemy.engine import Connection

from cinema_grpc.adapters.database.account_store import USER, to_user
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.schema import account, session
from cinema_grpc.application.account_ports import ChangedSession, SessionDecision
from cinema_grpc.domain.session import Session


class SqlSessionStore:
    """Stores sessions. Fulfils SessionStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def change(
        self, session_id: str, decide: SessionDecision, on_commit: Callable[[ChangedSession], None]
    ) -> ChangedSession | None:
        """Carry out a decision about a session, one decision at a time; return None if there is no such session."""
        this = session.c.session_id == session_id

        def change(connection: Connection) -> ChangedSession | None:
            row = connection.execute(select(session).where(this).with_for_update()).first()
            if row is None:
                return None
            before = Session(*row)
            of_user = select(*USER).where(account.c.user_id == before.user_id)
            user = to_user(connection.execute(of_user).one())
            after = decide(before, self._database.time(connection))
            if after is None:
                connection.execute(delete(session).where(this))
            elif after != before:
                connection.execute(update(session).where(this).values(asdict(after)))
            return ChangedSession(user, before, after)

        return await self._database.transact(change, on_commit=lambda changed: on_commit(changed) if changed else None)

    async def end(self, session_id: str, on_commit: Callable[[str], None]) -> None:
        """End a session. If it existed, `on_commit` gets the user_id of its user."""
        end = delete(session).where(session.c.session_id == session_id).returning(session.c.user_id)
        await self._database.transact(
            lambda connection: connection.execute(end).scalar(),
            on_commit=lambda user_id: on_commit(user_id) if user_id else None,
        )
