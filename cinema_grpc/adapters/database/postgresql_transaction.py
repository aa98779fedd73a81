"""A transaction of the box office on PostgreSQL: begin, lock, load, release if it has to, write, commit."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import asyncpg

from cinema_grpc.adapters.database.column_types import microseconds, to_json
from cinema_grpc.adapters.database.statements import Row, read_statements
from cinema_grpc.application.box_office.store import NotLocked, StorageConflict, StorageContention
from cinema_grpc.application.clock import Clock
from cinema_grpc.application.errors import CommitOutcomeUnknown

STATEMENTS = read_statements("postgresql")
CONTENTION = {"40001", "40P01", "55P03"}
"""Serialization failure, deadlock, lock not available."""
CONSTRAINT = "23"
"""The class of errors of a violated constraint."""
BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"


class PostgresqlTransaction:
    """A transaction of the box office. Fulfils RawTransaction."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", clock: Clock | None) -> None:
        """Set up; `clock` decides instead of the server's, if given."""
        self._connection = connection
        self._clock = clock

    async def lock(
        self, showtime_ids: Collection[str], *, wait: bool, with_auditorium: Collection[str] = ()
    ) -> NotLocked:
        """Begin, lock showtimes and auditoriums, and return what was skipped."""
        await self._connection.execute(BEGIN)
        locked = await self._lock("lock", showtime_ids, wait=wait)
        moving = locked.intersection(with_auditorium)
        blocked = moving - await self._lock("lock_auditoriums", moving) if moving else ()
        missing = [each for each in showtime_ids if each not in locked]
        skipped = await self._run("existing", showtime_ids=to_json(missing)) if missing else ()
        return NotLocked([showtime_id for (showtime_id,) in skipped], blocked)

    async def load(self, parameters: Mapping[str, Any]) -> Row:
        """Run the statement `load`, which reads the server's clock now that the locks are acquired."""
        now = microseconds(self._clock.now()) if self._clock else None
        (row,) = await self._run("load", **{**parameters, "now": now})
        return tuple(row)

    async def find_commit(self, showtime_id: str, revision: int) -> str | None:
        """Return which commit made a revision of a locked showtime; None if none did."""
        rows = await self._run("find_commit", showtime_id=showtime_id, revision=revision)
        return rows[0][0] if rows else None

    async def commit(self, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Write rows, by the names in `sql/postgresql.sql`, and commit, without a time limit."""
        for name in ("release", "write"):
            given = {each: rows.get(each, ()) for each in STATEMENTS[name].names}
            if not any(given.values()):
                continue
            (hits,) = await self._run(name, **{each: to_json(some) for each, some in given.items()})
            for each, count in hits.items():
                if count != len(given[each]):
                    raise StorageConflict(f"{each}: {count} rows instead of {len(given[each])}")
        try:
            ended = await self._connection.execute("COMMIT")
        except Exception as error:
            sqlstate = str(getattr(error, "sqlstate", ""))
            if sqlstate.startswith(CONSTRAINT) or sqlstate in CONTENTION:
                raise
            raise CommitOutcomeUnknown from error
        if ended != "COMMIT":
            raise StorageContention(f"the transaction ended with {ended}")

    async def _lock(self, name: str, showtime_ids: Collection[str], *, wait: bool = False) -> set[str]:
        rows = await self._run(f"{name}_waiting" if wait else name, showtime_ids=to_json(list(showtime_ids)))
        return {showtime_id for (showtime_id,) in rows}

    async def _run(self, name: str, **parameters: Any) -> "list[asyncpg.Record]":
        statement = STATEMENTS[name]
        return await self._connection.fetch(statement.text, *statement.values(parameters))


async def prepare(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Run every statement on no rows, so that none has to be prepared while locks are held.

    A process that freezes between preparing a statement and running it is not idle for the server, so no timeout would
    end its transaction.
    """
    for statement in STATEMENTS.values():
        # Not `connection.transaction()`: if its BEGIN is cancelled, asyncpg takes every later one for a savepoint.
        await connection.execute(BEGIN)
        await connection.fetch(statement.text, *(None for _ in statement.names))
        await connection.execute("ROLLBACK")
