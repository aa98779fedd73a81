"""The event feed of three replicas: no gap and nothing skipped, with open transactions and killed replicas."""

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from cinema.v1 import event_pb2, event_service_pb2, event_service_pb2_grpc
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from cinema_grpc.adapters.database.audit import audit
from tests import chance
from tests.database import reading, writing
from tests.replicas.conftest import DEADLINE, Chain, a_chain
from tests.replicas.naive_readers import SET_UP, TEAR_DOWN, HorizonReader, IdReader, committed

TORTURE = pytest.mark.torture
LATE = "a late showtime"
GONE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}
"""What a consumer repeats: a replica that was frozen finds itself OVERLOADED for a moment."""
CREATED = '[["late", "SHOWTIME_CREATED", null, "", "", [], "", null, "", ""]]'


@pytest_asyncio.fixture
async def chain(postgresql_url: str, tmp_path: Path) -> AsyncIterator[Chain]:
    """Three replicas, ten showtimes and 20 customers, who may try for as long as they like."""
    unlimited = {"CINEMA_UNPAID_HOLDS_PER_SHOWTIME": "0", "CINEMA_CHANGES_PER_MINUTE": "0"}
    async with a_chain(tmp_path, postgresql_url, replicas=3, showtimes=10, customers=20, **unlimited) as chain:
        yield chain


class Consumer:
    """Reads the feed from any replica that answers, keeps next_position alone, and checks every page."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self.events: list[event_pb2.Event] = []
        self.lags: list[float] = []

    async def read(self) -> None:
        """Read what is new."""
        replica = random.choice(self._chain.replicas)  # noqa: S311 (not a secret)
        stub = event_service_pb2_grpc.EventServiceStub(replica.channel)
        request = event_service_pb2.ListEventsRequest(after_position=len(self.events), page_size=200)
        try:
            page = await stub.ListEvents(request, metadata=self._chain.staff, timeout=DEADLINE)
        except grpc.aio.AioRpcError as error:
            assert error.code() in GONE  # noqa: PT017 (a replica that was killed, or was frozen)
            return
        now = datetime.now(UTC)
        for event in page.events:
            assert event.position == len(self.events) + 1
            self.events.append(event)
            self.lags.append((now - event.time.ToDatetime(UTC)).total_seconds())
        assert page.next_position == len(self.events)

    async def catch_up(self) -> None:
        """Read until nothing is left without a position."""
        end = time.monotonic() + DEADLINE
        while await self._chain.rows("SELECT 1 FROM event_outbox LIMIT 1"):
            assert time.monotonic() < end
            await asyncio.sleep(0.05)
        ((latest,),) = await self._chain.rows("SELECT max(position) FROM event")
        while len(self.events) < int(str(latest)):
            assert time.monotonic() < end
            await self.read()


async def sell(chain: Chain, customer: int, stop: asyncio.Event) -> int:
    """Book and cancel at random until told to stop; return how many calls succeeded."""
    by, random_ = chain.customers[customer], chance.generator("event feed", customer)
    done = 0
    while not stop.is_set():
        replica, showtime_id = random_.choice(chain.replicas), random_.choice(chain.showtimes)
        seat = f"{random_.choice('ABCD')}{random_.randint(1, 100)}"
        try:
            booking = await replica.book(by, showtime_id, seat)
            await random_.choice(chain.replicas).cancel(by, booking.booking_id)
            done += 2
        except grpc.aio.AioRpcError:
            await asyncio.sleep(0.01)
    return done


@asynccontextmanager
async def selling(chain: Chain, customers: int) -> AsyncIterator[list[int]]:
    """Sell during the body; the list has the number of calls that succeeded after it."""
    stop, done = asyncio.Event(), [0]
    tasks = [asyncio.create_task(sell(chain, customer, stop)) for customer in range(customers)]
    try:
        yield done
    finally:
        stop.set()
        done[0] = sum(await asyncio.gather(*tasks))


async def open_late_commit(chain: Chain, connection: AsyncConnection) -> None:
    """Write a showtime and its event, and leave the transaction open."""
    await connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
    ((columns,),) = await chain.rows(
        "SELECT string_agg(column_name, ', ') FROM information_schema.columns WHERE table_name = 'showtime' "
        "AND column_name NOT IN ('showtime_id', 'start_time', 'end_time', 'revision', 'taken_seats')"
    )
    day = 86_400_000_000
    values = {"id": LATE, "of": chain.showtimes[0], "events": CREATED}
    await connection.execute(
        text(
            f"INSERT INTO showtime (showtime_id, start_time, end_time, revision, taken_seats, {columns}) "  # noqa: S608 (ours)
            f"SELECT :id, start_time + {day}, end_time + {day}, 1, 0, {columns} FROM showtime WHERE showtime_id = :of"
        ),
        values,
    )
    await connection.execute(
        text("INSERT INTO commit_log SELECT :id, 1, commit_id, latest_time FROM showtime WHERE showtime_id = :id"),
        values,
    )
    await connection.execute(
        text("INSERT INTO event_outbox SELECT latest_time, :id, 1, :events FROM showtime WHERE showtime_id = :id"),
        values,
    )


async def until_oldest(chain: Chain, connection: AsyncConnection) -> None:
    """Wait until a transaction is the oldest that is open: those that began before it would move the horizon."""
    own = (await connection.exec_driver_sql("SELECT CAST(pg_current_xact_id() AS text)")).scalar_one()
    async with asyncio.timeout(DEADLINE):
        oldest = "SELECT CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text)"
        while await chain.rows(oldest) != [(own,)]:  # noqa: ASYNC110 (of the server)
            await asyncio.sleep(0.02)


async def pg(chain: Chain, *statements: str) -> None:
    async with writing(chain.database) as connection:
        for statement in statements:
            await connection.exec_driver_sql(statement)


@pytest.mark.parametrize("seconds", [5, pytest.param(600, marks=TORTURE)])
async def test_a_transaction_that_stays_open(
    chain: Chain, seconds: int, record_property: Callable[[str, object], None]
) -> None:
    """It stalls a reader that waits for the horizon, a reader by id skips its row, and the feed does neither."""
    consumer, by_id, by_horizon = Consumer(chain), IdReader(), HorizonReader()
    await pg(chain, *SET_UP)
    async with AsyncExitStack() as stack:
        naive = await stack.enter_async_context(reading(chain.database))
        async with selling(chain, 20) as done, writing(chain.database) as late:
            await open_late_commit(chain, late)
            await until_oldest(chain, late)
            await by_horizon.read(naive)
            before = len(by_horizon.seen), len(consumer.events)
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                await consumer.read()
                await by_id.read(naive)
                await by_horizon.read(naive)
                await asyncio.sleep(0.02)
            read_meanwhile = len(by_horizon.seen) - before[0], len(consumer.events) - before[1]
            assert LATE not in {event.showtime_id for event in consumer.events}
        await consumer.catch_up()
        await by_id.read(naive)
        everything = await committed(naive)
        async with asyncio.timeout(30):  # other transactions, such as of a replica's tasks, may hold the horizon still
            while not by_horizon.seen >= everything:
                await by_horizon.read(naive)
                await asyncio.sleep(0.02)
    await pg(chain, *TEAR_DOWN)
    assert done[0] > 20
    # The horizon stood still all the time; a reader by id never sees the row of the transaction.
    assert read_meanwhile[0] == 0
    assert by_horizon.seen == everything
    assert by_id.seen < everything
    # The feed went on, and lacks nothing.
    assert read_meanwhile[1] >= done[0] / 2
    assert LATE in {event.showtime_id for event in consumer.events}
    lags = sorted(lag for event, lag in zip(consumer.events, consumer.lags, strict=True) if event.booking_id)
    record_property("events", len(consumer.events))
    record_property("skipped by an id reader", len(everything - by_id.seen))
    record_property("lag p99", round(lags[len(lags) * 99 // 100], 3))
    assert lags[len(lags) // 2] < 1
    await check(chain, consumer)


@pytest.mark.parametrize("rounds", [2, pytest.param(40, marks=TORTURE)])
async def test_replicas_that_are_killed_or_frozen(chain: Chain, rounds: int) -> None:
    """Whichever of them gives positions: another goes on, and there is no gap and no event twice."""
    consumer, random_ = Consumer(chain), chance.generator("event feed")
    async with selling(chain, 20) as done:
        for number in range(rounds):
            victim = chain.replicas[random_.randrange(len(chain.replicas))]
            victim.send(signal.SIGSTOP)
            end = time.monotonic() + 3
            if number == rounds - 1:
                chain.replicas.remove(victim)
                victim.send(signal.SIGKILL)
            while time.monotonic() < end:
                await asyncio.sleep(0.05)
                async with asyncio.timeout(DEADLINE):
                    await _read_from_others(consumer, chain, victim)
            if victim in chain.replicas:
                victim.send(signal.SIGCONT)
    await consumer.catch_up()
    assert done[0] > 20
    await check(chain, consumer)


async def _read_from_others(consumer: Consumer, chain: Chain, frozen: object) -> None:
    everyone = chain.replicas
    chain.replicas = [each for each in everyone if each is not frozen]
    try:
        await consumer.read()
    finally:
        chain.replicas = everyone


async def check(chain: Chain, consumer: Consumer) -> None:
    """Check that what a consumer has read is the feed, and that folding it gives the tables."""
    rows = await chain.rows("SELECT position, event_id FROM event ORDER BY position")
    assert [(event.position, event.event_id) for event in consumer.events] == rows
    assert len({event.event_id for event in consumer.events}) == len(rows)
    report = await audit(chain.database)
    assert [finding.rule for finding in report.findings if finding.breaches] == []
