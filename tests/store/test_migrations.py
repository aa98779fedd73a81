"""The migrations lead to the tables that the code declares, and the connection is as durable as it has to be."""

import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, insert, inspect, text

from cinema_grpc.adapters.database.booking_detail import BOOKING_DETAIL_SQL, booking_detail
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.migrate import CannotMigrate, check_schema, configuration, latest_revision, migrate
from cinema_grpc.adapters.database.schema import cinema, metadata
from tests.builders import NOW, FakeClock
from tests.database import reading, writing

ON_SQLITE = pytest.mark.parametrize("empty_url", ["sqlite"], indirect=True)


@pytest.fixture
async def database(empty_url: str) -> AsyncIterator[Database]:
    database = Database(empty_url, FakeClock())
    yield database
    await database.close()


async def differences(database: Database) -> list[object]:
    """Compare what is in a database with what the code declares."""

    def compared(connection: Connection) -> list[object]:
        # PostgreSQL alone has the index, and the simulated provider's books, which are no tables of ours.
        apart = {"simulated_payment"}
        if connection.dialect.name != "postgresql":
            apart.add("booking_showtime_id_revision_index")
        options = {"include_object": lambda _thing, name, *_: name not in apart}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    async with reading(database) as connection:
        return await connection.run_sync(compared)


async def test_they_make_what_is_declared(database: Database) -> None:
    await migrate(database)
    assert await differences(database) == []


def test_the_latest_is_that_of_alembic() -> None:
    assert latest_revision() == ScriptDirectory.from_config(configuration()).get_current_head()


@pytest.mark.parametrize("version", ["0001", "0010"])
async def test_a_version_before_the_first_release_is_refused(database: Database, version: str) -> None:
    """The message says what was found and what to do; nothing is changed."""
    async with database.engine.begin() as connection:
        await connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        await connection.execute(text("INSERT INTO alembic_version VALUES (:version)"), {"version": version})
        await connection.exec_driver_sql("CREATE TABLE request (caller TEXT)")
    for refused in (migrate(database), check_schema(database)):
        with pytest.raises(CannotMigrate, match=f"of version {version}, .* use an empty database"):
            await refused
    async with reading(database) as connection:
        names = await connection.run_sync(lambda each: inspect(each).get_table_names())
    assert sorted(names) == ["alembic_version", "request"]


async def test_the_view_of_bookings_is_the_declared_one(database: Database) -> None:
    """A migration has its own copy of the text, which must not change after a release."""
    await migrate(database)
    async with database.engine.connect() as connection:
        found = await connection.exec_driver_sql("SELECT * FROM booking_detail")
        assert list(found.keys()) == [column.name for column in booking_detail.columns]
        if database.driver.shared:
            query = "SELECT pg_get_viewdef('booking_detail'::regclass)"
            migrated = (await connection.exec_driver_sql(query)).scalar_one()
            await connection.exec_driver_sql("DROP VIEW booking_detail")
            await connection.exec_driver_sql(BOOKING_DETAIL_SQL["postgresql"])
            assert (await connection.exec_driver_sql(query)).scalar_one() == migrated


async def test_twice_is_once(database: Database) -> None:
    """An up-to-date database is left as it is, with what is in it."""
    await migrate(database)
    async with writing(database) as connection:
        values = {"cinema_id": "c", "name": "A House", "time_zone": "UTC", "create_time": NOW, "archived": False}
        await connection.execute(insert(cinema).values(values))
    await migrate(database)
    async with reading(database) as connection:
        assert len((await connection.execute(cinema.select())).all()) == 1


async def test_a_later_version_is_refused(database: Database) -> None:
    await migrate(database)
    async with writing(database) as connection:
        await connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(CannotMigrate, match="9999"):
        await migrate(database)
    with pytest.raises(CannotMigrate, match=r"9999.*run the newer program"):
        await check_schema(database)


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
async def test_tables_of_other_names_are_left_alone(database: Database) -> None:
    """A PostgreSQL database may be shared; a file of SQLite may not, which tests of the commands show."""
    async with database.engine.begin() as connection:
        await connection.exec_driver_sql("CREATE TABLE holidays (day TEXT)")
    await migrate(database)
    await check_schema(database)


@pytest.mark.parametrize("name", ["booking", "account"])
async def test_a_table_of_ours_that_another_program_made(database: Database, name: str) -> None:
    """Is left as it is, and nothing is added beside it."""
    async with database.engine.begin() as connection:
        await connection.exec_driver_sql(f"CREATE TABLE {name} (day TEXT)")
    await database.engine.dispose()
    with pytest.raises(CannotMigrate, match=f"another program: .*{name}"):
        await migrate(database)
    await database.engine.dispose()


@ON_SQLITE
@pytest.mark.parametrize("content", [b"this is no database at all" * 100, None], ids=["rubbish", "folder"])
async def test_a_file_that_can_not_be_used_leaves_no_thread(
    database: Database, tmp_path: Path, content: bytes | None
) -> None:
    """One that outlives the event loop, which it reports to, would end with a traceback."""
    file = tmp_path / "cinema.db"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    for _ in range(20):
        with pytest.raises(CannotMigrate):
            await migrate(database)
        assert not [each.name for each in threading.enumerate() if "connection_worker" in each.name]


@ON_SQLITE
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
    async with database.engine.connect() as connection:
        assert (await connection.exec_driver_sql(f"PRAGMA {pragma}")).scalar_one() == value


@ON_SQLITE
async def test_one_connection_alone(database: Database) -> None:
    """All of a process goes through one connection, so that none ever waits for another's lock."""
    assert database.engine.pool.size() == 1  # type: ignore[attr-defined] # a queue pool has a size
