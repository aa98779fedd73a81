"""Two common ways to read new rows of a table in order, for comparison with the event feed. Both are wrong.

A trigger copies each row of the outbox to a table with a sequence, in the writer's transaction.
"""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

SET_UP = (
    "CREATE TABLE naive_event (id bigserial PRIMARY KEY, xid xid8 NOT NULL DEFAULT pg_current_xact_id())",
    """
    CREATE FUNCTION copy_to_naive() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO naive_event DEFAULT VALUES; RETURN NEW; END $$
    """,
    "CREATE TRIGGER copy_to_naive AFTER INSERT ON event_outbox FOR EACH ROW EXECUTE FUNCTION copy_to_naive()",
)
TEAR_DOWN = ("DROP TRIGGER copy_to_naive ON event_outbox", "DROP FUNCTION copy_to_naive", "DROP TABLE naive_event")


class IdReader:
    """Reads rows whose id is higher than the last one: skips those of a transaction that commits late."""

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self._last = 0

    async def read(self, connection: AsyncConnection) -> None:
        """Read what is new."""
        query = f"SELECT id FROM naive_event WHERE id > {self._last} ORDER BY id"  # noqa: S608 (a number of ours)
        for id_ in await _ids(connection, query):
            self.seen.add(id_)
            self._last = id_


class HorizonReader:
    """Reads rows of transactions older than every open one: stalls while any transaction of the cluster is open."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    async def read(self, connection: AsyncConnection) -> None:
        """Read what is new."""
        query = "SELECT id FROM naive_event WHERE xid < pg_snapshot_xmin(pg_current_snapshot())"
        self.seen |= set(await _ids(connection, query))


async def committed(connection: AsyncConnection) -> set[int]:
    """Return the rows that there are."""
    return set(await _ids(connection, "SELECT id FROM naive_event"))


async def _ids(connection: AsyncConnection, query: str) -> Sequence[int]:
    rows = await connection.exec_driver_sql(query)
    ids = [row[0] for row in rows]
    await connection.rollback()  # the next read needs a new snapshot
    return ids
