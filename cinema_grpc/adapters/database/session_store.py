"""Keeps sessions in the database."""

from collections.abc import Callable
from datetime import datetime

from cinema_grpc.adapters.database.account_store import BY_ID, user_of
from cinema_grpc.adapters.database.database import Database, uninterrupted
from cinema_grpc.adapters.database.prepared import (
    Found,
    Go,
    Together,
    delete_by,
    reader_of,
    row_of,
    select_by,
    update_by,
)
from cinema_grpc.adapters.database.schema import session
from cinema_grpc.application.account_ports import ChangedSession, SessionDecision
from cinema_grpc.domain.session import Session

_LOCK = select_by(session, ("session_id",), locking=" FOR UPDATE OF session")
_LOOK = Together(BY_ID, reading=True)
_UPDATE = update_by(session, ("session_id",), ("digest", "used_digest", "salt", "rotate_time", "expire_time"))
_DELETE = delete_by(session, ("session_id",))
_CHANGE = Together(_UPDATE, _DELETE)
_read_session = reader_of(session)


class SqlSessionStore:
    """Keeps sessions; fulfils account_ports.SessionStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @uninterrupted
    async def change(
        self, session_id: str, decide: SessionDecision, on_commit: Callable[[ChangedSession], None]
    ) -> ChangedSession | None:
        """Decide how a session goes on, one decision at a time; None if there is none."""

        def decision(found: Found, now: datetime, answers: list[Found]) -> tuple[ChangedSession | None, Go | None]:
            if not found:
                return None, None
            before, ((row,),) = Session(*_read_session(found[0])), answers
            after = decide(before, now)
            changed = ChangedSession(user_of(row), before, after)
            if after is None:
                return changed, _CHANGE.of({_DELETE: [{"session_id": session_id}]})
            return changed, _CHANGE.of({_UPDATE: [row_of(after)] if after != before else []})

        changed = await self._database.decide(
            (_LOCK, [{"session_id": session_id}]),
            decision,
            lambda found: _LOOK.of({BY_ID: [{"user_id": _read_session(row).user_id} for row in found]}),
        )
        if changed is None:
            return None
        on_commit(changed)
        return changed

    @uninterrupted
    async def end(self, session_id: str, on_commit: Callable[[str], None]) -> None:
        """End a session, if it is there."""

        def decision(found: Found, _now: datetime, _answers: list[Found]) -> tuple[str | None, Go | None]:
            if not found:
                return None, None
            return _read_session(found[0]).user_id, _CHANGE.of({_DELETE: [{"session_id": session_id}]})

        user_id = await self._database.decide((_LOCK, [{"session_id": session_id}]), decision)
        if user_id is not None:
            on_commit(user_id)
