"""Positions of events: one process gives them, in order, and a page costs the same however many events there are."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.column_types import to_json
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.event_rows import outbox_row
from cinema_grpc.adapters.database.event_store import _ASSIGN_POSITIONS, SqlEventStore
from cinema_grpc.adapters.database.sqlite_transaction import STATEMENTS
from cinema_grpc.application.errors import StorageUnavailable
from cinema_grpc.application.event_ports import EventFilter
from cinema_grpc.application.events import EventFeed
from cinema_grpc.domain.events import EventType, NewEvent
from tests.builders import NOW, FakeClock
from tests.database import SHOWTIMES, furnish, reading, writing
from tests.store.work import Meter

ALL = EventFilter()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, FakeClock())
    await furnish(database)
    await SqlEventStore(database).assign_positions(10)
    yield database
    await database.close()


@pytest.fixture
async def shared(postgresql_url: str) -> AsyncIterator[Database]:
    """A database that replicas share."""
    database = Database(postgresql_url)
    await furnish(database)
    await SqlEventStore(database).assign_positions(10)
    yield database
    await database.close()


async def write(database: Database, *commits: tuple[int, str, int, int]) -> None:
    """Write commits: when (in microseconds), where, which revision, and how many events."""
    rows: list[dict[str, Any]] = []
    for time, showtime_id, revision, number in commits:
        events = [NewEvent(EventType.SEATS_HELD, f"b{revision}-{each}", "ada", ["A1"]) for each in range(number)]
        rows.append(outbox_row(showtime_id, revision, time, events))
    async with writing(database) as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        for row in rows:
            if database.driver.shared:
                values = [row[name] for name in ("decide_time", "showtime_id", "revision", "events")]
                await driver.execute("INSERT INTO event_outbox VALUES ($1, $2, $3, $4)", *values)
            else:
                await driver.execute(STATEMENTS["add_events"].text, {"outbox": to_json([row])})


async def test_they_follow_the_decisions_and_the_revisions(shared: Database) -> None:
    """Whatever the order in which they were written; the events of a change stay together."""
    store = SqlEventStore(shared)
    await write(shared, (3, "s2", 7, 1), (2, "s3", 4, 2), (2, "s1", 5, 1), (2, "s1", 4, 3))
    assert [await store.assign_positions(2) for _ in range(3)] == [2, 2, 0]
    page = await store.read(ALL, 3, 50)
    assert [(each.showtime_id, each.revision, each.last_of_change) for each in page.events] == [
        ("s1", 4, False),
        ("s1", 4, False),
        ("s1", 4, True),
        ("s1", 5, True),
        ("s3", 4, False),
        ("s3", 4, True),
        ("s2", 7, True),
    ]
    assert [each.booking_id for each in page.events[:3]] == ["b4-0", "b4-1", "b4-2"]
    assert [each.position for each in page.events] == list(range(4, 11))


async def test_one_process_gives_them(shared: Database) -> None:
    """The others do not wait for it, and writers do not either."""
    store = SqlEventStore(shared)
    await write(shared, (1, "s1", 1, 1))
    async with writing(shared) as other:
        await other.exec_driver_sql("SELECT 1 FROM event_feed FOR NO KEY UPDATE")
        async with asyncio.timeout(20):
            assert await store.assign_positions(10) is None
            await write(shared, (2, "s1", 2, 1))
    assert await store.assign_positions(10) == 2


async def test_many_processes_at_once(shared: Database) -> None:
    """Every event gets one position, and there is no gap."""
    stores = [SqlEventStore(shared) for _ in range(4)]

    async def give(store: SqlEventStore) -> None:
        for _ in range(10):
            await store.assign_positions(3)

    async def add(showtime_id: str) -> None:
        for revision in range(1, 11):
            await write(shared, (revision, showtime_id, revision, 2))

    await asyncio.gather(*map(give, stores), *map(add, ("s1", "s2", "s3")))
    while await stores[0].assign_positions(10) != 0:
        pass
    page = await stores[0].read(ALL, 0, 200)
    assert [each.position for each in page.events] == list(range(1, 64))
    for showtime_id in ("s1", "s2", "s3"):
        revisions = [each.revision for each in page.events if each.showtime_id == showtime_id]
        assert revisions == sorted(revisions)
        assert len(revisions) == 21


async def test_a_page_costs_the_same_however_many_events_there_are(database_url: str) -> None:
    """Wherever it begins, and also if a filter leaves everything out."""
    database = Database(database_url, FakeClock())
    meter, store = Meter(database), SqlEventStore(database, examined=50)
    await furnish(database)
    costs = []
    for first in (1, 501):
        await write(database, *((number, "s1", number, 1) for number in range(first, first + 500)))
        await store.assign_positions(1_000)
        latest = await store.latest_position()
        costs.append(
            [
                await meter.measure(partial(store.read, wanted, after, 10))
                for after in (0, 250, latest - 20, latest)
                for wanted in (ALL, EventFilter(booking_id="none"))
            ]
        )
    await database.close()
    assert all(more <= 1.2 * fewer + 100 for fewer, more in zip(*costs, strict=True)), costs


async def test_an_event_is_the_same_on_both_databases(database: Database) -> None:
    """Also one that has no seats and no amount."""
    await write(database, (1, "s1", 1, 1))
    await SqlEventStore(database).assign_positions(10)
    page = await SqlEventStore(database).read(ALL, 0, 50)
    created, held = page.events[0], page.events[-1]
    assert (created.type, created.time, created.seats, created.amount) == (EventType.SHOWTIME_CREATED, NOW, [], None)
    assert (held.type, held.seats, held.cinema_id, held.last_of_change) == (EventType.SEATS_HELD, ["A1"], "c1", True)
    async with reading(database) as connection:
        assert (await connection.execute(schema.event_outbox.select())).all() == []


async def test_the_events_of_a_commit_are_read_once(database: Database) -> None:
    """Not once for each event: a CancelShowtime may have thousands."""
    async with reading(database) as connection:
        if database.driver.shared:
            plan = await connection.exec_driver_sql(
                f"EXPLAIN (VERBOSE) {_ASSIGN_POSITIONS.text.replace(':limit', '9')}"
            )
            steps = [row[0].strip() for row in plan]
            (sort,) = (number for number, step in enumerate(steps) if step.startswith("->  Sort"))
            assert "commits.revision" in steps[sort + 1]
            assert "commits.events" not in steps[sort + 1]
        else:
            plan = await connection.exec_driver_sql(
                f"EXPLAIN QUERY PLAN {STATEMENTS['add_events'].text}", {"outbox": ""}
            )
            assert "MATERIALIZE change" in [row.detail for row in plan]


class SlowStore(SqlEventStore):
    """A database whose statements end in time only if they are for a few commits."""

    most = 100
    is_locked = False

    async def assign_positions(self, limit: int) -> int | None:
        if self.is_locked:
            return None
        self.asked = limit
        if limit > self.most:
            raise StorageUnavailable
        return await super().assign_positions(limit)


async def test_a_backlog_that_is_too_much_for_one_transaction(shared: Database) -> None:
    """Is worked off in smaller ones, which grow again once that is done."""
    await write(shared, *((at, "s1", at, 1) for at in range(1, 251)))
    store = SlowStore(shared)
    feed = EventFeed(store)
    for _ in range(5):  # from 2,000 to 62 commits
        with pytest.raises(StorageUnavailable):
            await feed.run_pass()
    store.is_locked = True  # by another process, which tries as many as before
    for _ in range(5):
        await feed.run_pass()
    store.is_locked = False
    await feed.run_pass()
    assert await store.latest_position() == 250 + len(SHOWTIMES)
    store.most = 2_000
    for at in range(251, 260):
        await write(shared, (at, "s1", at, 1))
        feed.note_commit()
        await feed.run_pass()
    assert store.asked == 2_000
