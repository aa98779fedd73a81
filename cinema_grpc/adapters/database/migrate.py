"""Bringing the schema up to date."""

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from cinema_grpc.adapters.database.database import Database


class SchemaTooNew(Exception):
    """The database was written by a later version of the program."""


async def migrate(database: Database) -> None:
    """Bring the schema up to date, in one transaction; an empty database gets all of it.

    Raises:
        SchemaTooNew: Its schema is of a later version, which this one does not know.
        StorageUnavailable.
    """
    async with database.writing() as connection:
        await connection.run_sync(_upgrade)


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
        raise SchemaTooNew(f"the database's schema is of version {current}, which is later than this program")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
