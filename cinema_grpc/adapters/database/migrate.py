"""Bringing the schema up to date."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import inspect
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.driver import Rights
from cinema_grpc.adapters.database.schema import metadata

if TYPE_CHECKING:
    from alembic.config import Config

# Alembic is imported where there is something to migrate: it takes a fifth of the time in which the program starts.
# ruff: noqa: PLC0415

READING: Rights = dict.fromkeys(("alembic_version", "simulated_payment", *metadata.tables), ("SELECT",))
SELLING: Rights = {
    "": ("TEMPORARY",),  # for the storage check, which writes to a table of its own
    **dict.fromkeys(("simulated_payment", *metadata.tables), ("SELECT", "INSERT", "UPDATE", "DELETE")),
    "alembic_version": ("SELECT",),
}
ADDING_ACCOUNTS: Rights = {"account": ("SELECT", "INSERT")}
SWITCHING_ACCOUNTS: Rights = {"account": ("SELECT", "UPDATE"), "session": ("SELECT", "DELETE")}
"""What the database's user has to be allowed to audit, to serve, to create staff, and to disable accounts."""

VERSIONS = Path(__file__).parent / "migrations" / "versions"


class CannotMigrate(Exception):
    """The database can't be used, or its schema is not the one that this program needs."""


async def migrate(database: Database) -> None:
    """Bring the schema up to date, in one transaction; an empty database gets all of it.

    Any number of processes may do so at once: one does it, and the others wait and find it done.

    Raises:
        CannotMigrate: The message says why.
    """
    with _explained(database):
        async with database.engine.connect() as connection:
            await database.driver.check_fitness(connection, {})
            up_to_date = await connection.run_sync(_current_revision) == latest_revision()
        if up_to_date:
            return
        async with database.engine.connect() as connection:
            await connection.execution_options(**database.driver.writing)
            async with connection.begin():
                await database.driver.prepare_to_migrate(connection)
                await connection.run_sync(_upgrade)


async def check_rights(database: Database, rights: Rights) -> None:
    """Check that the database's user has rights.

    Raises:
        CannotMigrate: The message names those that it lacks.
    """
    with _explained(database):
        async with database.engine.connect() as connection:
            await database.driver.check_fitness(connection, rights)


async def check_schema(database: Database) -> None:
    """Check that the schema is up to date, and change nothing.

    Raises:
        CannotMigrate: It is not; the message says what to do.
    """
    with _explained(database):
        async with database.engine.connect() as connection:
            await database.driver.check_fitness(connection, {})
            current = await connection.run_sync(_current_revision)
    latest = latest_revision()
    if current != latest:
        version = f"of version {current}" if current else "empty"
        raise CannotMigrate(f"the database's schema is {version} and has to be {latest}: run `cinema migrate` first")


@contextmanager
def _explained(database: Database) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if isinstance(error, DBAPIError):  # SQLAlchemy puts its own words around the driver's
            raise CannotMigrate(f"the database can't be used: {error.orig}") from error
        if database.driver.translate(error) is not None:
            raise CannotMigrate(f"the database can't be used: {str(error) or type(error).__name__}") from error
        raise


def latest_revision() -> str:
    """Give the number of the latest migration, with which the names of their files begin."""
    return max(file.name for file in VERSIONS.glob("[0-9]*.py")).partition("_")[0]


def configuration() -> "Config":
    """Give Alembic's configuration: where the migrations lie."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "cinema_grpc.adapters.database:migrations")
    return config


def _current_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()


def _refuse_another_programs(connection: Connection) -> None:
    """Check that no table of ours is there yet. PostgreSQL's databases may be shared with tables of other names.

    Raises:
        CannotMigrate: One is.
    """
    found = [name for name in sorted(metadata.tables) if inspect(connection).has_table(name)]
    if found:
        raise CannotMigrate(
            f"the database holds another program's {', '.join(found[:3])}; use a database of its own, or a schema, "
            "which search_path names"
        )


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.script import ScriptDirectory

    config = configuration()
    current = _current_revision(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        raise CannotMigrate(
            f"the database's schema is of version {current}, which is later than this program, or another program's"
        )
    if current is None:
        _refuse_another_programs(connection)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
