"""Migrations of the schema, and checks that a database has the schema and the rights that a command needs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import inspect
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from cinema_grpc.adapters.database.booking_detail import booking_detail
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.driver import Rights
from cinema_grpc.adapters.database.schema import metadata

if TYPE_CHECKING:
    from alembic.config import Config

# Alembic takes a fifth of the program's start-up time, so it is imported only where there is something to migrate.
# ruff: noqa: PLC0415

_TABLES = ("simulated_payment", *metadata.tables)
READING: Rights = dict.fromkeys(("alembic_version", booking_detail.name, *_TABLES), ("SELECT",))
"""Rights for an audit."""
REPORTING: Rights = dict.fromkeys(
    ("movie", "cinema", "auditorium", "showtime", "booking", "refund", "ticket", "redemption"), ("SELECT",)
)
"""Rights for a sales report."""
RECONCILING: Rights = dict.fromkeys(("payment_attempt", "refund", "booking"), ("SELECT",))
"""Rights for a comparison with the payment provider."""
SELLING: Rights = {
    "": ("TEMPORARY",),  # the storage check writes to a temporary table
    **dict.fromkeys(_TABLES, ("SELECT", "INSERT", "UPDATE", "DELETE")),
    **dict.fromkeys(("alembic_version", booking_detail.name), ("SELECT",)),
}
"""Rights for the server."""
IMPORTING: Rights = {
    **dict.fromkeys(("movie", "cinema", "auditorium"), ("SELECT", "INSERT", "UPDATE")),  # UPDATE to lock rows
    "showtime": ("SELECT", "INSERT"),
    "commit_log": ("INSERT",),
    "event_outbox": ("INSERT",),
}
"""Rights to import a programme."""
ADDING_ACCOUNTS: Rights = {"account": ("SELECT", "INSERT")}
"""Rights to create accounts of staff and services."""
SWITCHING_ACCOUNTS: Rights = {"account": ("SELECT", "UPDATE"), "session": ("SELECT", "DELETE")}
"""Rights to disable and enable accounts, and to set their passwords."""

VERSIONS = Path(__file__).parent / "migrations" / "versions"
PRERELEASES = frozenset(f"{number:04}" for number in range(1, 11))
"""Versions of the schema before the first one that can be upgraded."""


class CannotMigrate(Exception):
    """The database can't be used, or its schema is not the one that this program needs."""


async def migrate(database: Database) -> None:
    """Bring the schema up to date in one transaction; an empty database gets all of it.

    Processes may do so at the same time: one migrates, the others wait and find the schema up to date.

    Raises:
        CannotMigrate: The database can't be used, its schema can't be upgraded, or it has tables of another program
            under our names.
    """
    if await _version(database) == latest_revision():
        return
    with _explained(database):
        async with database.engine.connect() as connection:
            await database.driver.begin_migration(connection)
            await connection.run_sync(_upgrade)
            await connection.commit()


async def check_rights(database: Database, rights: Rights) -> None:
    """Check that the database's user has rights.

    Raises:
        CannotMigrate: The message names the missing rights.
    """
    with _explained(database):
        await database.driver.check_fitness(rights)


async def check_schema(database: Database) -> None:
    """Check that the schema is up to date. Changes nothing.

    Raises:
        CannotMigrate: It is not; the message says what to do.
    """
    version, latest = await _version(database), latest_revision()
    _refuse_prerelease(version)
    if version and version > latest:
        raise CannotMigrate(
            f"the database's schema is of version {version}, and this program knows {latest}: run the newer program"
        )
    if version != latest:
        found = f"of version {version}" if version else "empty"
        raise CannotMigrate(f"the database's schema is {found} and has to be {latest}: run `cinema migrate` first")


def latest_revision() -> str:
    """Return the number of the latest migration, with which the names of their files begin."""
    return max(file.name for file in VERSIONS.glob("[0-9]*.py")).partition("_")[0]


def configuration() -> "Config":
    """Return Alembic's configuration."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "cinema_grpc.adapters.database:migrations")
    return config


@contextmanager
def _explained(database: Database) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if isinstance(error, DBAPIError):  # its own text has SQLAlchemy's words around the driver's
            raise CannotMigrate(f"the database can't be used: {error.orig}") from error
        if database.driver.translate(error) is not None:
            raise CannotMigrate(f"the database can't be used: {str(error) or type(error).__name__}") from error
        raise


async def _version(database: Database) -> str | None:
    with _explained(database):
        await database.driver.check_fitness({})
        async with database.engine.connect() as connection:
            return await connection.run_sync(_current_revision)


def _current_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.script import ScriptDirectory

    config = configuration()
    version = _current_revision(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    _refuse_prerelease(version)
    if version is None:
        _refuse_tables_of_others(connection)
    elif version not in known:
        raise CannotMigrate(
            f"the database's schema has version {version}, which is later than this program's or is another program's"
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _refuse_prerelease(version: str | None) -> None:
    if version in PRERELEASES:
        raise CannotMigrate(
            f"the database's schema is of version {version}, made before the first release, and can't be upgraded: "
            "use an empty database"
        )


def _refuse_tables_of_others(connection: Connection) -> None:
    """Refuse a database that has tables under our names. A PostgreSQL database may hold tables of other names."""
    if found := [name for name in sorted(metadata.tables) if inspect(connection).has_table(name)]:
        raise CannotMigrate(
            f"the database holds tables of another program: {', '.join(found[:3])}; use a separate database, "
            "or a schema named in search_path"
        )
