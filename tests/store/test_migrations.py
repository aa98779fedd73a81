"""The migrations lead to the tables that the code declares, and the connection is as durable as it has to be."""

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, insert, inspect

from cinema_grpc.adapters.database.box_office_store import SqlBoxOfficeStore
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.migrate import CannotMigrate, check_schema, configuration, latest_revision, migrate
from cinema_grpc.adapters.database.schema import booking, cinema, metadata, seat_claim
from cinema_grpc.application.box_office import BoxOffice
from cinema_grpc.domain.booking_errors import SeatsUnavailable
from tests.application.conftest import furnish
from tests.builders import NOW, FakeClock

HOLD = timedelta(minutes=10)


WAITING = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
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

    async with database.reading() as connection:
        return await connection.run_sync(compared)


async def contents(database: Database) -> dict[str, list[dict[str, object]]]:
    """Read all that a database of any version holds, column by column."""
    async with database.reading() as connection:
        names = await connection.run_sync(lambda each: inspect(each).get_table_names())
        return {
            name: [
                dict(row._mapping)
                for row in await connection.exec_driver_sql(f"SELECT * FROM {name} ORDER BY 1, 2")  # noqa: S608
            ]
            for name in names
            if name != "alembic_version"
        }


async def test_they_make_what_is_declared(database: Database) -> None:
    await migrate(database)
    assert await differences(database) == []


def test_the_latest_is_that_of_alembic() -> None:
    assert latest_revision() == ScriptDirectory.from_config(configuration()).get_current_head()


async def test_an_old_database_keeps_what_is_in_it(database: Database) -> None:
    """One of the first version, with bookings, becomes what the code declares, and sells on."""

    def make_first_version(connection: Connection) -> None:
        config = configuration()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")

    async with database.writing() as connection:
        await connection.run_sync(make_first_version)
    await furnish(database, newest=False)
    held: dict[str, object] = {
        "booking_id": "b1",
        "showtime_id": "s1",
        "user_id": "ada",
        "status": "RESERVED",
        "seats": "A1,A2",
    }
    held |= {"seat_count": 2, "currency_code": "EUR", "seat_price": 1_250, "hold_extended": False, "revision": 1}
    async with database.writing() as connection:
        await connection.execute(insert(booking).values(**held, create_time=NOW, hold_expire_time=NOW + HOLD))
        claims = [{"showtime_id": "s1", "seat": seat, "booking_id": "b1"} for seat in ("A1", "A2")]
        await connection.execute(insert(seat_claim), claims)
    before = await contents(database)
    with pytest.raises(CannotMigrate, match="of version 0001"):
        await check_schema(database)
    await migrate(database)
    await check_schema(database)
    assert await differences(database) == []
    after = await contents(database)
    for name, rows in before.items():
        kept = [{each: row[each] for each in old} for row, old in zip(after[name], rows, strict=True)]
        assert kept == rows
    box_office = BoxOffice(SqlBoxOfficeStore(database), lambda _: None)
    box_office.start()
    with pytest.raises(SeatsUnavailable):
        await box_office.execute("s1", lambda showtime, now: showtime.hold("b2", "bob", ["A2"], HOLD, now))
    await box_office.execute("s1", lambda showtime, now: showtime.hold("b3", "bob", ["A3"], HOLD, now))
    await box_office.stop()


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
async def test_one_who_sells_meanwhile_does_not_deadlock_with_them(database: Database) -> None:
    """A transaction that has locked its showtime, while the migration comes, can claim its seats and commit."""

    def make_version_before(connection: Connection) -> None:
        config = configuration()
        config.attributes["connection"] = connection
        command.upgrade(config, "0006")

    async with database.writing() as connection:
        await connection.run_sync(make_version_before)
    await furnish(database, newest=False)
    held: dict[str, object] = {
        "booking_id": "b1",
        "showtime_id": "s1",
        "user_id": "ada",
        "status": "RESERVED",
        "seats": "A1",
    }
    held |= {"seat_count": 1, "currency_code": "EUR", "seat_price": 1_250, "hold_extended": False, "revision": 1}
    async with database.writing() as connection:
        await connection.exec_driver_sql("SELECT 1 FROM showtime WHERE showtime_id = 's1' FOR UPDATE")
        migrating = asyncio.create_task(migrate(database))
        async with asyncio.timeout(30):
            while not migrating.done():
                if (await connection.exec_driver_sql(WAITING)).first():
                    break
                await connection.exec_driver_sql("SELECT pg_stat_clear_snapshot()")
                await asyncio.sleep(0.01)
        await connection.execute(insert(booking).values(**held, create_time=NOW, hold_expire_time=NOW + HOLD))
        await connection.execute(insert(seat_claim).values(showtime_id="s1", seat="A1", booking_id="b1"))
    await migrating
    assert await differences(database) == []


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
    with pytest.raises(CannotMigrate, match=f"another program's.* {name}"):
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
    async with database.reading() as connection:
        assert (await connection.exec_driver_sql(f"PRAGMA {pragma}")).scalar_one() == value


@ON_SQLITE
async def test_one_connection_alone(database: Database) -> None:
    """All of a process goes through one connection, so that none ever waits for another's lock."""
    assert database.engine.pool.size() == 1  # type: ignore[attr-defined] # a queue pool has a size
