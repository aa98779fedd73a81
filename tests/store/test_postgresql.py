"""What only PostgreSQL has: its own clock, migrations at once, and URLs of its kind."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import pytest
from structlog.testing import capture_logs

from cinema_grpc.adapters.database.account_store import SqlAccountStore
from cinema_grpc.adapters.database.booking_reader import SqlBookingReader
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.listings_reader import SqlListingsReader
from cinema_grpc.adapters.database.migrate import CannotMigrate, check_schema, migrate
from cinema_grpc.adapters.database.postgresql import PARAMETERS, PostgresqlDriver
from cinema_grpc.application.errors import StorageUnavailable
from cinema_grpc.application.ports import Page
from tests.database import writing
from tests.e2e.conftest import run_here
from tests.faults import failing, make_breakable
from tests.postgresql import SPEED, PostgresServer, execute, in_thread, make_tables, with_database

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


async def test_time_is_the_servers(database: Database) -> None:
    """To the microsecond, and later with each reading."""
    readings = [await database.now() for _ in range(10)]
    readings += await database.transact(lambda connection: [database.time(connection) for _ in range(10)])
    assert readings == sorted(set(readings))
    assert abs(readings[0] - datetime.now(UTC)) < timedelta(seconds=5)  # the server is on this machine


async def test_parameters_are_set_and_the_url_has_the_last_word(database_url: str) -> None:
    database = Database(f"{database_url}&lock_timeout=7s")
    async with database.engine.connect() as connection:
        shown = {
            name: (await connection.exec_driver_sql(f"SHOW {name}")).scalar_one()  # (names of ours)
            for name in PARAMETERS
        }
    await database.close()
    assert shown == {**PARAMETERS, "lock_timeout": "7s"}


async def test_text_with_a_nul_finds_nothing(database: Database) -> None:
    """PostgreSQL's text can't hold one."""
    assert await SqlAccountStore(database).find_by_username("ada\0") is None
    assert await SqlBookingReader(database).find("\0") is None
    assert await SqlBookingReader(database).of_user("ada", "s1\0", None, "", 10) == Page([])
    assert await SqlListingsReader(database).entry("s1\0", 1) is None
    await SqlAccountStore(database).disable("ada\0")


async def test_a_connection_whose_rollback_failed_is_not_used_again(database: Database) -> None:
    """As one may whose statement is cancelled: the connection is not lost, but still in its transaction."""
    make_breakable(database)
    fails = {"SELECT 2", "ROLLBACK"}
    with failing(database, fails.__contains__) as failed, pytest.raises(StorageUnavailable):
        await database.transact(lambda connection: [connection.exec_driver_sql(f"SELECT {n}") for n in (1, 2)])
    assert {*failed} == fails
    assert await database.transact(lambda connection: connection.exec_driver_sql("SELECT 3").scalar_one()) == 3


@pytest.mark.parametrize("table", ["showtime", "booking", "seat_claim"])
async def test_a_table_of_sales_that_another_session_locks(database_url: str, table: str) -> None:
    """As VACUUM FULL does: nothing can be sold, and the check fails until the lock is released."""
    database = Database(f"{database_url}&lock_timeout=100ms")
    async with writing(database) as other:
        await other.exec_driver_sql(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        with capture_logs() as logs, pytest.raises(StorageUnavailable):
            await database.check()
    assert [line["error"] for line in logs] == [f"another session keeps the table {table} locked"]
    await database.check()
    await database.close()


async def test_ten_migrations_at_once(database_url: str) -> None:
    """One makes the tables, the others wait and find them."""
    name = "cinema_test_migrated_at_once"
    await execute(database_url, f"DROP DATABASE IF EXISTS {name}")
    await execute(database_url, f"CREATE DATABASE {name}")
    databases = [Database(with_database(database_url, name)) for _ in range(10)]
    with pytest.raises(CannotMigrate, match="run `cinema migrate` first"):
        await check_schema(databases[0])
    await asyncio.gather(*(migrate(each) for each in databases))
    for each in databases:
        await check_schema(each)
        await each.close()
    await execute(database_url, f"DROP DATABASE {name}")


async def test_of_several_servers_the_one_that_takes_writes_is_used(database_url: str) -> None:  # noqa: ARG001 (as below)
    """Whether another one is read-only, as a standby is, or down."""
    read_only = PostgresServer((*SPEED, "default_transaction_read_only=on"))
    with closing(read_only) as first, closing(PostgresServer()) as second:
        first.start()
        second.start()
        in_thread(make_tables(second.url()))
        url = second.url().replace("host=", f"host={first.folder},")
        both = Database(f"{url}&target_session_attrs=read-write")
        await both.check()
        await check_schema(both)
        await both.close()
        alone = Database(first.url())
        with pytest.raises(StorageUnavailable):
            await alone.check()
        await alone.close()
        first.kill()
        await both.check()
        await both.close()


async def test_a_server_that_says_nothing_keeps_nobody_from_the_next(database_url: str, tmp_path: Path) -> None:
    """As one whose machine hangs, or whose network swallows packets; later it is not asked first."""
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / ".s.PGSQL.5432"))
        silent.listen()
        url = database_url.replace("host=", f"host={tmp_path},")
        database = Database(f"{url}&connect_timeout=3", pool_size=7)  # 3 s for the one that answers, too
        start = time.monotonic()
        await database.check()
        assert time.monotonic() - start >= 3
        assert isinstance(database.driver, PostgresqlDriver)
        assert [str(tmp_path) in unquote(url) for url in database.driver._urls] == [False, True]
        await database.close()


async def test_a_server_that_hangs_up_keeps_nobody_from_the_next(database_url: str, tmp_path: Path) -> None:
    """As a proxy does whose own server is gone."""
    called = 0

    def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal called
        called += 1
        writer.close()

    async with await asyncio.start_unix_server(hang_up, tmp_path / ".s.PGSQL.5432"):
        url = database_url.replace("host=", f"host={tmp_path},")
        for sslmode in ("prefer", "disable"):
            database = Database(f"{url}&sslmode={sslmode}", pool_size=7)
            await database.check()
            await database.close()
    assert called >= 2


@pytest.mark.parametrize(
    ("parameter", "hint"),
    [
        ("lock_timeout=soon", 'invalid value for parameter "lock_timeout"'),
        ("no_such_parameter=1", "unrecognized configuration parameter"),
        ("options=-x", "invalid"),
        ("user=nobody", 'role "nobody" does not exist'),
    ],
)
def test_what_the_server_or_the_driver_refuses(database_url: str, tmp_path: Path, parameter: str, hint: str) -> None:
    """Is told in one line."""
    without_user = database_url.replace("cinema@", "") if "user=" in parameter else database_url
    ended = run_here(tmp_path, "migrate", CINEMA_DATABASE_URL=f"{without_user}&{parameter}")
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("cinema: CINEMA_DATABASE_URL: the database can't be used: ")
    assert hint in line


@pytest.mark.parametrize(("name", "value"), [("PGPORT", "x"), ("PGSSLMODE", "x"), ("PGTARGETSESSIONATTRS", "x")])
def test_a_bad_environment(
    database_url: str,  # noqa: ARG001 (of every test here)
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
) -> None:
    """What libpq's variables say is a part of the URL."""
    monkeypatch.setenv(name, value)
    ended = run_here(tmp_path, "migrate", CINEMA_DATABASE_URL="postgresql+asyncpg://cinema@127.0.0.1/cinema")
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("cinema: CINEMA_DATABASE_URL: the database can't be used: ")
