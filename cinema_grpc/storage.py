"""Checks of the database: at the start of the server and of commands, and for the health service."""

import asyncio

from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.driver import Rights
from cinema_grpc.adapters.database.migrate import SELLING, CannotMigrate, check_rights, check_schema, migrate
from cinema_grpc.config import PREFIX, BadSettings

SECONDS_BETWEEN_CHECKS = 2.0
SECONDS_TO_CHECK = 10.0
"""Time between two checks for the health service, and the time limit of one."""


async def bring_up_to_date(database: Database, rights: Rights, *, with_migration: bool = True) -> None:
    """Migrate the schema, or only check that it is up to date; then check the rights of the database user.

    Raises:
        BadSettings: The schema is not up to date, a right is missing, or the database can't be used.
    """
    try:
        await (migrate(database) if with_migration else check_schema(database))
        await check_rights(database, rights)
    except CannotMigrate as error:
        raise BadSettings(f"{PREFIX}DATABASE_URL: {error}") from error


class StorageCheck:
    """Checks that the database responds in time and grants the rights of a server.

    A check that does not end in time goes on, and the next one waits for it: each holds a connection.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._check: asyncio.Task[None] | None = None

    async def can_sell(self) -> bool:
        """Return whether a check passes."""
        if self._check is None or self._check.done():
            self._check = asyncio.create_task(self._database.check(SELLING), name="storage check")
            self._check.add_done_callback(lambda check: check.cancelled() or check.exception())  # it may come late
        await asyncio.wait([self._check], timeout=SECONDS_TO_CHECK)
        return self._check.done() and not self._check.cancelled() and self._check.exception() is None
