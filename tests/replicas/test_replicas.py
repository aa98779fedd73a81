"""Many replicas, one truth: first come first served, reads after writes, frozen and killed processes, lapsed holds."""

import asyncio
import random
import signal
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from itertools import cycle
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from cinema.v1 import booking_pb2

from tests import chance
from tests.postgresql import execute
from tests.replicas.audit import Log, audit
from tests.replicas.conftest import Chain, Replica, a_chain

TORTURE = pytest.mark.torture
SECONDS_TO_IDLE = 10


@pytest.mark.parametrize("rounds", [5, pytest.param(500, marks=TORTURE)])
async def test_two_hundred_clients_on_one_seat(
    chain: Chain, rounds: int, record_property: Callable[[str, object], None]
) -> None:
    """Whichever of three replicas each asks: one winner, and everyone else is told that the seat is taken."""
    showtime_id = chain.showtimes[0]
    for number in range(rounds):
        seat = f"{'ABCD'[number % 4]}{number // 4 % 100 + 1}"
        asked = zip(chain.customers, cycle(chain.replicas))
        results = await asyncio.gather(
            *(replica.book(customer, showtime_id, seat) for customer, replica in asked), return_exceptions=True
        )
        winners = [result for result in results if isinstance(result, booking_pb2.Booking)]
        refusals = Counter(result.details() for result in results if isinstance(result, grpc.aio.AioRpcError))
        assert len(winners) == 1
        assert refusals == {f"these seats are taken: {seat}; choose others": len(results) - 1}
        by = chain.customers[results.index(winners[0])]
        await random.choice(chain.replicas).cancel(by, winners[0].booking_id)  # noqa: S311 (whichever)
    record_property("figures", f"{rounds} rounds, one winner each")


@pytest.mark.parametrize("commands", [500, pytest.param(20_000, marks=TORTURE)])
async def test_random_commands(chain: Chain, commands: int, record_property: Callable[[str, object], None]) -> None:
    """What twenty clients were told agrees with what is in the database, whatever they did and wherever."""
    log = Log()
    seed = chance.seed()

    async def client(number: int) -> None:
        generator = chance.generator(seed, number)
        customer = chain.customers[number]
        for _ in range(commands // 20):
            await log.command(generator, generator.choice(chain.replicas), customer, chain.showtimes)

    await asyncio.gather(*(client(number) for number in range(20)))
    record_property("figures", f"{commands} commands: {dict(log.outcomes)}")
    assert log.outcomes["INTERNAL"] == 0, (seed, log.outcomes)
    assert log.outcomes["UNAVAILABLE"] == 0, (seed, log.outcomes)
    assert await audit(chain, log) == [], seed


async def test_one_request_at_three_replicas_at_once(chain: Chain) -> None:
    """Has one effect, and one answer everywhere; for another showtime the same id is refused."""
    customer = chain.customers[0]
    for number in range(1, 11):
        request_id = str(uuid.uuid4())
        answers = await asyncio.gather(
            *(
                replica.book(customer, chain.showtimes[number - 1], f"A{number}", request_id=request_id)
                for replica in chain.replicas * 3
            )
        )
        assert all(answer == answers[0] for answer in answers)
        await chain.replicas[0].cancel(customer, answers[0].booking_id)
        results = await asyncio.gather(
            *(
                replica.book(customer, showtime_id, "B1", request_id=(again := f"{uuid.UUID(int=number)}"))
                for replica, showtime_id in zip(chain.replicas, chain.showtimes, strict=False)
            ),
            return_exceptions=True,
        )
        (won,) = [result for result in results if isinstance(result, booking_pb2.Booking)]
        refused = {result.details() for result in results if isinstance(result, grpc.aio.AioRpcError)}
        assert refused == {f"the request_id {again} was used before for a call with other content; use a new one"}
        await chain.replicas[0].cancel(customer, won.booking_id)


async def test_a_replica_shows_what_another_has_acknowledged(chain: Chain) -> None:
    """At once and always: a booking, its cancellation, and what is left for others."""
    showtime_id, customer = chain.showtimes[0], chain.customers[0]
    for number in range(1, 31):
        writer, *readers = random.sample(chain.replicas, 3)
        held = await writer.book(customer, showtime_id, f"A{number}")
        for seen in await asyncio.gather(*(reader.taken(showtime_id) for reader in readers)):
            assert seen == {f"A{number}"}
        await readers[0].cancel(customer, held.booking_id)
        assert await writer.taken(showtime_id) == await readers[1].taken(showtime_id) == set()


@pytest_asyncio.fixture
async def idle_chain(postgresql_url: str, tmp_path: Path) -> AsyncIterator[Chain]:
    """A chain whose transactions may idle for longer than a busy machine takes for some bookings."""
    url = f"{postgresql_url}&idle_in_transaction_session_timeout={1_000 * SECONDS_TO_IDLE}"
    async with a_chain(tmp_path, url, replicas=3, showtimes=10, customers=200) as chain:
        yield chain


async def test_a_frozen_replica_stops_nobody_else(idle_chain: Chain) -> None:
    """Whatever it has locked as it freezes, the others sell the other showtimes, and those as soon as it is let go."""
    chain = idle_chain
    frozen, *others = chain.replicas
    stop = asyncio.Event()

    async def rush(replica: Replica, customer: int) -> None:
        while not stop.is_set():
            seat = f"{random.choice('ABCD')}{random.randint(1, 100)}"  # noqa: S311 (any)
            try:
                held = await replica.book(chain.customers[customer], random.choice(chain.showtimes[:5]), seat)  # noqa: S311
                await replica.cancel(chain.customers[customer], held.booking_id)
            except grpc.aio.AioRpcError as error:
                if error.code() not in {grpc.StatusCode.FAILED_PRECONDITION, *TO_REPEAT}:
                    raise

    rushing = [asyncio.create_task(rush(frozen, number)) for number in range(8)]
    try:
        await freeze_in_a_transaction(chain, frozen)
        for number in range(10):
            replica = others[number % 2]
            await replica.book(chain.customers[100 + number], chain.showtimes[5 + number % 5], f"A{number + 1}")
        # It may have a second one, of a statement that waited for a lock.
        assert await chain.rows(HOLDING) != [(0,)], "it still has its locks, which it loses after some seconds"
        # What it has locked is free again after at most the time that a transaction may idle.
        for showtime_id in chain.showtimes[:5]:
            await book_at_last(others[0], chain.customers[150], showtime_id)
    finally:
        frozen.send(signal.SIGCONT)
        stop.set()
        await asyncio.gather(*rushing)
    assert await frozen.taken(chain.showtimes[5]) == await others[0].taken(chain.showtimes[5])


TO_REPEAT = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}
"""What a client repeats: a replica that was frozen finds itself OVERLOADED for a moment."""
HOLDING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'replica-0'"
    " AND state = 'idle in transaction' AND backend_xid IS NOT NULL"
)
"""How many transactions of the first replica have locked something and wait for it to go on."""


async def freeze_in_a_transaction(chain: Chain, replica: Replica) -> None:
    """Freeze a replica while it holds locks."""
    for _ in range(200):
        replica.send(signal.SIGSTOP)
        await asyncio.sleep(0.02)  # statements that were under way end
        if await chain.rows(HOLDING) == [(1,)]:
            return
        replica.send(signal.SIGCONT)
        await asyncio.sleep(random.uniform(0.001, 0.02))  # noqa: S311 (any)
    raise AssertionError("the replica was never in the middle of a transaction")


async def book_at_last(replica: Replica, customer: tuple[tuple[str, str], ...], showtime_id: str) -> None:
    """Book and give back a seat; a client repeats what may work later."""
    deadline = time.monotonic() + 30
    while True:
        try:
            held = await replica.book(customer, showtime_id, "D100")
            await replica.cancel(customer, held.booking_id)
        except grpc.aio.AioRpcError as error:
            if error.code() not in TO_REPEAT or time.monotonic() > deadline:
                raise
        else:
            return


COUNTING_EXPIRIES = (
    "CREATE TABLE expiry (booking_id text)",
    """CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO expiry VALUES (NEW.booking_id); RETURN NEW; END $$""",
    "CREATE TRIGGER note AFTER UPDATE ON booking FOR EACH ROW WHEN (NEW.status = 'EXPIRED') EXECUTE FUNCTION note()",
)


async def test_holds_expire_once(postgresql_url: str, tmp_path: Path) -> None:
    """Three replicas see to it, also when one of them is killed: each hold is written down as over one time."""
    async with a_chain(tmp_path, postgresql_url, 3, 10, 200, CINEMA_HOLD_SECONDS="2") as chain:
        for order in COUNTING_EXPIRIES:
            await execute(postgresql_url, order)
        held = await asyncio.gather(
            *(
                chain.replicas[number % 3].book(customer, chain.showtimes[number % 10], f"A{number // 10 + 1}")
                for number, customer in enumerate(chain.customers)
            )
        )
        chain.replicas[0].send(signal.SIGKILL)
        chain.replicas[0].process.process.wait()
        over = max(each.hold_expire_time.ToNanoseconds() for each in held) / 1e9
        while await chain.rows("SELECT count(*) FROM booking WHERE status = 'EXPIRED'") != [(200,)]:
            # Within 4 seconds, if the machine is not busy, though the replica that is killed may leave locks behind.
            assert time.time() < over + 30, "holds that are over are written down"
            await asyncio.sleep(0.1)
        assert await chain.rows("SELECT count(*) FROM seat_claim") == [(0,)]
        assert await chain.rows("SELECT sum(taken_seats) FROM showtime") == [(0,)]
        assert await chain.rows("SELECT count(*), count(DISTINCT booking_id) FROM expiry") == [(200, 200)]
