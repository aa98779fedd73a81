"""How much a database does for a call: more, if it reads rows that the answer does not need."""

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import event

from cinema_grpc.adapters.database.database import Database
from tests.database import reading

OPCODES = 50
"""After how many steps of its virtual machine SQLite is asked to count them."""


class Meter:
    """Counts the steps of SQLite's virtual machine, or the rows that PostgreSQL's plans touch."""

    def __init__(self, database: Database) -> None:
        """Watch a database that has no connections yet."""
        self._database = database
        self._asked: list[tuple[str, Any]] = []
        self._steps = 0
        event.listen(database.engine.sync_engine, "connect", lambda each, _: self._watch(each.driver_connection))

    def _watch(self, driver: Any) -> None:
        if self._database.driver.shared:
            driver.add_query_logger(lambda query: self._asked.append((query.query, query.args)))
        else:
            driver._conn.set_progress_handler(self._count, OPCODES)

    def _count(self) -> int:
        self._steps += OPCODES
        return 0

    async def measure(self, call: Callable[[], Awaitable[object]]) -> int:
        """Make a call, and count."""
        self._steps = 0
        self._asked.clear()
        await call()
        if not self._database.driver.shared:
            return self._steps
        asked = [(query, arguments) for query, arguments in self._asked if "booking" in query or "showtime" in query]
        assert asked
        rows = 0
        async with reading(self._database) as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            for query, arguments in asked:
                explained = await driver.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", *arguments)
                rows += _touched(explained[0]["Plan"])  # SQLAlchemy has the driver read JSON
        return rows


def _touched(plan: Any) -> int:
    own = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
    return int(own * plan["Actual Loops"]) + sum(map(_touched, plan.get("Plans", ())))
