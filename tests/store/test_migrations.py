"""The migrations lead to the tables that the code declares, and the connection is as durable as it has to be."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, insert

from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.migrate import CannotMigrate, migrate
from cinema_grpc.adapters.database.schema import cinema, metadata
from tests.builders import NOW, FakeClock


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'cinema.db'}", FakeClock())
    yield database
    await database.close()


async def test_they_make_what_is_declared(database: Database) -> None:
    await migrate(database)

    def is_for_all(_thing: object, name: str | None, *_: object) -> bool:
        return name != "booking_showtime_id_revision_index"  # PostgreSQL has it alone

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"include_object": is_for_all})
        return list(compare_metadata(context, metadata))

    async with database.reading() as connection:
        assert await connection.run_sync(differences) == []


async def test_twice_is_once(database: Database) -> None:
    """An up-to-date database is left as it is, with what is in it."""
    await migrate(database)
    async with database.writing() as connection:
        values = {"cinema_id": "c", "name": "A House", "time_zone": "UTC", "create_time": NOW}
        await connection.execute(insert(cinema).values(values))
    await migrate(database)
    async with database.reading() as connection:
        assert len((await connection.execute(cinema.select())).all()) == 1


async def test_a_later_version_is_refused(database: Database) -> None:
    await migrate(database)
    async with database.writing() as connection:
        await connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(CannotMigrate, match="9999"):
        await migrate(database)


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("journal_mode", "persist"),  # not WAL, in which SQLite before 3.51.3 can lose a commit
        ("synchronous", 2),  # FULL: what is acknowledged is on the disk
        ("foreign_keys", 1),
        ("busy_timeout", 5_000),
    ],
)
async def test_how_sqlite_is_set_up(database: Database, pragma: str, value: object) -> None:
    async with database.reading() as connection:
        assert (await connection.exec_driver_sql(f"PRAGMA {pragma}")).scalar_one() == value


async def test_one_connection_alone(database: Database) -> None:
    """All of a process goes through one connection, so that none ever waits for another's lock."""
    assert database.engine.pool.size() == 1  # type: ignore[attr-defined] # a queue pool has a size
