"""Bringing the schema up to date."""

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from cinema_grpc.adapters.database.database import WRITES, Database


class CannotMigrate(Exception):
    """The database can't be used, or its schema is of a later version than this program."""


async def migrate(database: Database) -> None:
    """Bring the schema up to date, in one transaction; an empty database gets all of it.

    Raises:
        CannotMigrate: The message says why.
    """
    try:
        async with database.engine.connect() as connection:
            await connection.execution_options(**{WRITES: True})
            await connection.run_sync(_upgrade)
            await connection.commit()
    except DBAPIError as error:
        raise CannotMigrate(f"the database {database.engine.url.database} can't be used: {error.orig}") from error


def configuration() -> Config:
    """Give Alembic's configuration: where the migrations lie."""
    config = Config()
    config.set_main_option("script_location", "cinema_grpc.adapters.database:migrations")
    return config


def _upgrade(connection: Connection) -> None:
    config = configuration()
    current = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        raise CannotMigrate(f"the database's schema is of version {current}, which is later than this program")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
