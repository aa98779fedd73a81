"""What only PostgreSQL has: its own clock, locks between processes, migrations at once, and URLs of its kind."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import pytest
from sqlalchemy import insert

from cinema_grpc.adapters.database.account_store import SqlAccountStore
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.migrate import CannotMigrate, check_schema, migrate
from cinema_grpc.adapters.database.postgresql import PARAMETERS, PostgresqlDriver
from cinema_grpc.adapters.database.prepared import array_text
from cinema_grpc.adapters.database.schema import cinema
from cinema_grpc.application import expiry
from cinema_grpc.application import lane as module
from cinema_grpc.application.box_office import BoxOffice
from cinema_grpc.application.errors import Overloaded, StorageUnavailable
from cinema_grpc.application.ports import FoundBookings, StorageContention
from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.errors import ShowtimeNotFound
from tests.application.conftest import House, open_house
from tests.builders import NOW
from tests.e2e.conftest import run_here
from tests.postgresql import SPEED, PostgresServer, execute, in_thread, make_tables, with_database

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
HOLD_S1 = "SELECT 1 FROM showtime WHERE showtime_id = 's1' FOR NO KEY UPDATE"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    """A box office that waits for a lock for a tenth of a second, and its database."""
    async with open_house(f"{database_url}&lock_timeout=100") as house:
        yield house


@pytest.fixture
async def patient_house(database_url: str) -> AsyncIterator[House]:
    """A box office that waits for a lock longer than a slow machine takes for a few bookings."""
    async with open_house(f"{database_url}&lock_timeout=5000") as house:
        yield house


async def test_time_is_the_servers(database: Database) -> None:
    """To the microsecond, and later with each reading."""
    async with database.reading() as connection:
        readings = [await database.now(connection) for _ in range(10)]
    assert readings == sorted(set(readings))
    assert abs(readings[0] - datetime.now(UTC)) < timedelta(seconds=5)  # the server is on this machine


async def test_a_reader_sees_one_state(database: Database) -> None:
    async with database.reading() as connection:
        assert (await connection.execute(cinema.select())).all() == []
        async with database.writing() as other:
            await other.execute(insert(cinema).values(cinema_id="c", name="A House", time_zone="UTC", create_time=NOW))
        assert (await connection.execute(cinema.select())).all() == []


async def test_parameters_are_set_and_the_url_has_the_last_word(database_url: str) -> None:
    database = Database(f"{database_url}&lock_timeout=7s")
    async with database.reading() as connection:
        shown = {
            name: (await connection.exec_driver_sql(f"SHOW {name}")).scalar_one()  # (names of ours)
            for name in PARAMETERS
        }
    await database.close()
    assert shown == {**PARAMETERS, "lock_timeout": "7s"}


async def test_a_nul_is_nowhere(house: House) -> None:
    """PostgreSQL's text can't hold one; whatever has one in its name is simply not there."""
    assert await SqlAccountStore(house.database).find_by_username("ada\0") is None
    assert await house.reader.find("\0") is None
    assert await house.reader.of_user("ada", "s1\0", None, "", 10) == FoundBookings([], "")
    with pytest.raises(ShowtimeNotFound):
        await house.hold("A1", at="s1\0")


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (
            "varchar",
            ["", " ", "null", None, 'a"b', r"a\b", "a\\", "a\nb", "\x01\x1f\x7f", "{1,2}", "a,b", "é", "\u2028", "🎬"],
        ),
        ("text", ["null", None, " a ", "{}", "a,b", "é", "\u2028", "🎬"]),
        ("bigint", [0, -1, None, 2**63 - 1, -(2**63)]),
        ("integer", [0, -1, None, 2**31 - 1]),
        ("boolean", [True, False, None]),
        ("text", []),
    ],
)
async def test_arrays_are_read_as_they_were_written(database: Database, kind: str, values: list[object]) -> None:
    async with database.reading() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        assert await driver.fetchval(f"SELECT $1::text::{kind}[]", array_text(values)) == values


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


class TestBusyShowtimes:
    """Another process has locked s1."""

    async def test_others_are_sold_meanwhile_and_it_as_soon_as_it_is_let_go(self, patient_house: House) -> None:
        house = patient_house
        async with house.database.writing() as connection:
            await connection.exec_driver_sql(HOLD_S1)
            waiting = [asyncio.create_task(house.hold(f"A{number}")) for number in (1, 2, 3)]
            for number in range(1, 6):
                assert (await house.hold(f"A{number}", at="s2")).seats == (f"A{number}",)
            assert not any(each.done() for each in waiting)
        booked = await asyncio.gather(*waiting)
        assert [each.seats for each in booked] == [("A1",), ("A2",), ("A3",)]

    async def test_who_waits_too_long_is_told_so(self, house: House) -> None:
        """And may repeat the call; the lane goes on."""
        async with house.database.writing() as connection:
            await connection.exec_driver_sql(HOLD_S1)
            with pytest.raises(StorageUnavailable):
                await house.hold("A1")
            assert isinstance(await house.hold("A1", at="s2"), Booking)
        assert isinstance(await house.hold("A1"), Booking)

    async def test_more_busy_ones_than_may_be_waited_for(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        """The rest is asked for again and again, and served in order of arrival."""
        monkeypatch.setattr(house.box_office._lanes[0], "_most_apart", 0)
        async with house.database.writing() as connection:
            await connection.exec_driver_sql(HOLD_S1)
            waiting = [asyncio.create_task(house.hold("A1", by=name)) for name in ("ada", "bob")]
            assert isinstance(await house.hold("A1", at="s2"), Booking)
            await asyncio.sleep(10 * module.SECONDS_BETWEEN_SKIPS)
            assert not any(each.done() for each in waiting)
        first, second = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(first, Booking)
        assert not isinstance(second, Booking)

    async def test_its_lapsed_holds_keep_nobody_from_those_of_others(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """However many it has, and though they are found first."""
        monkeypatch.setattr(expiry, "SHOWTIMES_A_PASS", 2)
        for number in (1, 2, 3):
            await house.hold(f"A{number}")
        later = await house.hold("A1", at="s2")
        house.clock.advance(timedelta(minutes=10))
        async with house.database.writing() as connection:
            await connection.exec_driver_sql(HOLD_S1)
            await expiry.HoldExpiry(house.store, house.box_office).run_pass()
            statuses = {row["booking_id"]: row["status"] for row in await house.rows("booking")}
        assert statuses.pop(later.booking_id) == "EXPIRED"
        assert [*statuses.values()] == ["RESERVED"] * 3

    async def test_who_would_wait_too_long_for_one_is_turned_away(self, house: House) -> None:
        """Also while it is served apart from the others, which nobody has to wait for."""
        box_office = BoxOffice(house.store, lambda _: None, apart=1, longest_wait=0)
        box_office.start()
        impatient, (lane,) = replace(house, box_office=box_office), box_office._lanes
        async with house.database.writing() as connection:
            await connection.exec_driver_sql(HOLD_S1)
            first = asyncio.create_task(impatient.hold("A1"))
            while not lane._rounds_apart:  # noqa: ASYNC110 (it is about to be)
                await asyncio.sleep(0)
            with pytest.raises(Overloaded):
                await impatient.hold("A2")
            assert isinstance(await impatient.hold("A1", at="s2"), Booking)
        assert isinstance(await first, Booking)
        while lane._apart:  # noqa: ASYNC110 (as above)
            await asyncio.sleep(0)
        assert isinstance(await impatient.hold("A2"), Booking)
        await box_office.stop()

    async def test_holds_that_all_replicas_leave_to_each_other_are_written_down(self, house: House) -> None:
        """After some passes in vain they are put in line like anything else, and wait for their showtime."""
        await house.hold("A1")
        house.clock.advance(timedelta(minutes=10))
        sweep = expiry.HoldExpiry(house.store, house.box_office)
        async with house.database.writing() as connection:
            await connection.exec_driver_sql(HOLD_S1)
            for _ in range(expiry.MOST_REFUSALS):
                await asyncio.wait_for(sweep.run_pass(), 10)
            waiting = asyncio.create_task(sweep.run_pass())
            while not house.box_office._lanes[0]._apart:  # noqa: ASYNC110 (it is about to be served there)
                await asyncio.sleep(0)
        await waiting
        assert [row["status"] for row in await house.rows("booking")] == ["EXPIRED"]
        assert not sweep._refused

    async def test_what_only_tidies_is_left_to_whoever_has_it(self, house: House) -> None:
        async with house.database.writing() as connection:
            await connection.exec_driver_sql(HOLD_S1)
            with pytest.raises(StorageContention):
                await house.box_office.execute("s1", lambda showtime, now: showtime.expire(25, now), tidying=True)
        assert await house.box_office.execute("s1", lambda showtime, now: showtime.expire(25, now), tidying=True) == 0


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
