"""The commands that work on the database and end: migrations, the audit, accounts."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from cinema_grpc.adapters.clock import SystemClock
from cinema_grpc.adapters.database.audit import CannotCopy, Report, audit
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.driver import Rights
from cinema_grpc.adapters.database.migrate import READING
from cinema_grpc.adapters.passwords import Argon2Passwords
from cinema_grpc.application.accounts import Accounts
from cinema_grpc.config import PREFIX, BadSettings, Settings
from cinema_grpc.identity import build_identity
from cinema_grpc.storage import bring_up_to_date

T = TypeVar("T")


@asynccontextmanager
async def opened(settings: Settings, rights: Rights, *, with_migration: bool = False) -> AsyncIterator[Database]:
    """Open the database for the body, and close it at its end.

    Args:
        settings: Name the database.
        rights: What the database user must be allowed to do.
        with_migration: Whether to migrate the schema; otherwise it must be up to date.

    Raises:
        BadSettings: There is no such database, its schema is not up to date, a right is missing, or it can't be used.
    """
    database = Database(settings.database_url)
    try:
        if not with_migration:
            _check_exists(database)  # SQLite would create the file
        await bring_up_to_date(database, rights, with_migration=with_migration)
        yield database
    finally:
        await database.close()


async def migrate_database(settings: Settings, rights: Rights, *, with_migration: bool = True) -> None:
    """Migrate the schema, or only check that it is up to date; then check the rights of the database user.

    Raises:
        BadSettings: The schema is not up to date, a right is missing, or the database can't be used.
    """
    async with opened(settings, rights, with_migration=with_migration):
        pass


async def audit_database(settings: Settings) -> Report:
    """Return the report of an audit, which changes nothing.

    Raises:
        BadSettings: There is no such database, its schema is not up to date, or there is no room for a copy of it.
        StorageUnavailable: The database can't be read.
    """
    async with opened(settings, READING) as database:
        try:
            return await audit(database)
        except CannotCopy as error:
            if error.of_source:
                raise BadSettings(f"{PREFIX}DATABASE_URL: {error}") from error
            raise BadSettings(f"TMPDIR: {error}; set it to a folder with enough room") from error


async def with_accounts(
    settings: Settings, rights: Rights, work: Callable[[Accounts], Awaitable[T]], *, with_migration: bool = False
) -> T:
    """Do something with the accounts of a database, while a server runs or not, and return what that returns.

    Args:
        settings: Name the database.
        rights: What the database user must be allowed to do.
        work: What to do.
        with_migration: Whether to migrate the schema, as before the first start of a server.

    Raises:
        BadSettings: There is no such database, its schema is not up to date, a right is missing, or it can't be used.
        StorageUnavailable: The database failed.
    """
    async with opened(settings, rights, with_migration=with_migration) as database:
        passwords = Argon2Passwords()
        try:
            # No tokens are issued, so none of the keys is needed.
            without_keys = settings.model_copy(update={"signing_keys": None})
            identity = build_identity(without_keys, secrets.token_bytes(32), database, SystemClock(), passwords)
            return await work(identity.accounts)
        finally:
            passwords.close()


def _check_exists(database: Database) -> None:
    file = str(database.engine.url.database)
    if database.engine.dialect.name == "sqlite" and not Path(file).exists():
        raise BadSettings(f"{PREFIX}DATABASE_URL: there is no file {file}")
