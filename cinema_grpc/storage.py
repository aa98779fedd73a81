"""Checks of the database: at the start of the server and of commands, and for the health service."""

import asyncio

from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.driver import Rights
from cinema_grpc.adapters.database.migrate import SELLING, CannotMigrate, check_rights, check_schema, migrate
from cinema_grpc.application.errors import StorageUnavailable
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


async def can_sell(database: Database) -> bool:
    """Return whether the database responds in time and grants the rights of a server."""
    try:
        async with asyncio.timeout(SECONDS_TO_CHECK):
            await database.check(SELLING)
    except (StorageUnavailable, TimeoutError):
        return False
    return True
