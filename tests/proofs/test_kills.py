"""Server processes that are killed under load: what was acknowledged is stored, and the money adds up."""

import asyncio
import json
import random as chances
import signal
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from cinema.v1 import booking_pb2

from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.simulated_ledger import ledger_of
from tests.chance import count, generator, seed
from tests.conftest import KINDS, Lend
from tests.e2e.conftest import Serving, run, serving
from tests.postgresql import free_port
from tests.replicas.conftest import Chain, Metadata, Replica
from tests.rpc.refusals import read_refusal

CLIENTS = 70
LONG, LEAST_RATE = 200, 100
"""How many kills the long form has, and how many bookings a second there have to be before each, on average."""
SHOWTIMES = 20
KEPT = 60
"""How many bookings a client keeps at most; it cancels older ones, so that seats come free."""
AGAIN = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED, grpc.StatusCode.DEADLINE_EXCEEDED}
"""What is answered to a call that may be repeated; ABORTED means that a payment is under way."""
SETTINGS = {
    "CINEMA_PAYMENT_GRACE_SECONDS": "1",
    "CINEMA_SIMULATED_PAYMENTS_DELAY_SECONDS": "0.01",  # so that many a kill finds charges under way
    "CINEMA_SIMULATED_PAYMENTS_FAIL_BEFORE": "0.02",
    "CINEMA_SIMULATED_PAYMENTS_FAIL_AFTER": "0.02",
    "CINEMA_LOG_LEVEL": "warning",
}
CHANNEL = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 100),
)


@dataclass
class Tally:
    """What clients were told.

    Attributes:
        told: The latest answer about each booking.
        calls: How many calls were answered in which way.
    """

    told: dict[str, booking_pb2.Booking] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)

    @property
    def sales(self) -> int:
        """How many bookings and payments were acknowledged."""
        return self.calls["booked"] + self.calls["paid"]

    async def more(self, number: int) -> None:
        """Wait for so many more sales."""
        goal = self.sales + number
        async with asyncio.timeout(60):
            while self.sales < goal:  # noqa: ASYNC110 (many clients count)
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kills", [1, pytest.param(LONG, marks=pytest.mark.torture)])
async def test_kills_under_load(
    kind: str, kills: int, lend: Lend, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Nothing that was acknowledged is lost, no seat is sold twice, and every charge has its booking."""
    chosen, kills = seed(), count(kills)
    with lend(kind, tmp_path) as url:
        database = Database(url)
        chain = Chain(url, database)
        await chain.furnish(SHOWTIMES, CLIENTS)
        with servers(tmp_path, url, 1 if kind == "sqlite" else 2) as replicas:
            tally, rate = await sell_and_kill(chain, replicas, kills, generator(chosen))
            await settled(chain)
            audited = run(tmp_path, "audit", "--json", CINEMA_DATABASE_URL=url)
            for replica in replicas:
                await replica.channel.close()
        record_property("figures", f"{kills} kills at {rate:.0f} bookings a second, and payments: {dict(tally.calls)}")
        report = json.loads(audited.stdout)
        assert [each for each in report["findings"] if each["breaches"]] == []
        assert audited.returncode == 0
        assert await lost(chain, tally) == []
        assert await astray(chain) == []
        assert kills < LONG or rate >= LEAST_RATE
        await database.close()


@contextmanager
def servers(folder: Path, url: str, number: int) -> Iterator[list["Mortal"]]:
    """Run servers at a database."""
    with ExitStack() as stack:
        yield [Mortal(folder, url, stack) for _ in range(number)]


class Mortal(Replica):
    """A server process that is killed, and started again at the same address."""

    def __init__(self, folder: Path, url: str, stack: ExitStack) -> None:
        address = f"127.0.0.1:{free_port()}"
        self._settings = {**SETTINGS, "CINEMA_DATABASE_URL": url, "CINEMA_LISTEN_ADDRESS": address}
        self._folder, self._stack = folder, stack
        super().__init__(self._start(), grpc.aio.insecure_channel(address, options=CHANNEL))

    def _start(self) -> Serving:
        return self._stack.enter_context(serving(self._folder, **self._settings))

    def kill(self) -> None:
        """End the process in the middle of whatever it does, and start another one."""
        self.send(signal.SIGKILL)
        self.process.process.wait()
        self.process = self._start()


async def sell_and_kill(
    chain: Chain, replicas: list[Mortal], kills: int, random: chances.Random
) -> tuple[Tally, float]:
    """Have clients buy while servers are killed; return what they know, and the rate of bookings before kills."""
    tally, stop, busy = Tally(), asyncio.Event(), 0.0
    clients = [
        asyncio.create_task(client(chain, replicas, customer, tally, stop, generator(random.random())))
        for customer in chain.customers
    ]
    booked = 0
    for _ in range(kills):
        await tally.more(5)
        start, before = time.monotonic(), tally.calls["booked"]
        await tally.more(50)  # the servers are at work when one is killed
        await asyncio.sleep(random.uniform(0, 0.5))
        busy, booked = busy + time.monotonic() - start, booked + tally.calls["booked"] - before
        await asyncio.to_thread(random.choice(replicas).kill)
    stop.set()
    await asyncio.wait_for(asyncio.gather(*clients), 120)
    return tally, booked / busy


def is_overloaded(error: grpc.aio.AioRpcError) -> bool:
    """Return whether a server was too busy for a call, whose first try may have been carried out."""
    return error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and read_refusal(error).reason == "OVERLOADED"


async def client(
    chain: Chain,
    replicas: list[Mortal],
    customer: Metadata,
    tally: Tally,
    stop: asyncio.Event,
    random: chances.Random,
) -> None:
    """Book, pay and cancel, and repeat each call with its request_id until its outcome is known."""
    kept: list[str] = []

    async def make(what: str, call: Callable[[Mortal, str], Awaitable[booking_pb2.Booking]]) -> str | None:
        request_id = str(uuid.UUID(int=random.getrandbits(128), version=4))
        async with asyncio.timeout(120):
            while True:
                try:
                    told = await call(random.choice(replicas), request_id)
                except grpc.aio.AioRpcError as error:
                    tally.calls[error.code().name] += 1
                    if error.code() not in AGAIN and not is_overloaded(error):
                        return None
                    await asyncio.sleep(0.05)
                else:
                    tally.calls[what] += 1
                    tally.told[told.booking_id] = told
                    return str(told.booking_id)

    while not stop.is_set():
        first, showtime_id = random.randint(1, 99), random.choice(chain.showtimes)
        seats = [f"{random.choice('ABCD')}{number}" for number in range(first, first + random.randint(1, 2))]
        booked = await make("booked", lambda at, once: at.book(customer, showtime_id, *seats, request_id=once))  # noqa: B023 (used at once)
        if booked is None:
            continue
        kept.append(booked)
        if random.random() < 0.9:
            await make("paid", lambda at, once: at.pay(customer, booked, once))  # noqa: B023 (used at once)
        if len(kept) > KEPT or random.random() < 0.3:
            given_up = kept.pop(random.randrange(len(kept)))
            await make("given up", lambda at, once: at.cancel(customer, given_up, once))  # noqa: B023 (used at once)


async def settled(chain: Chain) -> None:
    """Wait until recovery has done its work."""
    unsettled = (
        "SELECT (SELECT count(*) FROM payment_attempt WHERE status IN ('OPEN', 'VOIDING'))"
        " + (SELECT count(*) FROM refund WHERE status = 'PENDING')"
    )
    async with asyncio.timeout(90):
        while await chain.rows(unsettled) != [(0,)]:  # noqa: ASYNC110 (it is another process that does the work)
            await asyncio.sleep(0.2)


async def lost(chain: Chain, tally: Tally) -> list[str]:
    """Return where the database disagrees with what was acknowledged."""
    rows = await chain.rows("SELECT booking_id, status, seats FROM booking")
    there = {str(name): (status, [label for label, *_ in json.loads(str(seats))]) for name, status, seats in rows}
    wrong = [f"{name} was never acknowledged" for name in there.keys() - tally.told.keys()]
    for name, told in tally.told.items():
        status = booking_pb2.BookingStatus.Name(told.status).removeprefix("BOOKING_STATUS_")
        known = (status, [each.seat for each in told.seats])
        if there.get(name) != known:
            wrong.append(f"{name} is {there.get(name)}, and its owner was told {known}")
    return wrong


async def astray(chain: Chain) -> list[str]:
    """Return where the provider's ledger disagrees with the database: cancelled bookings were refunded in full."""
    rows = await chain.rows(
        "SELECT attempt_id, CASE WHEN booking.status = 'CONFIRMED' AND payment_attempt.status = 'CHARGED'"
        " THEN total_price ELSE 0 END FROM payment_attempt"
        " JOIN booking ON booking.booking_id = payment_attempt.booking_id"
    )
    ours = {str(name): amount for name, amount in rows}
    theirs = await ledger_of(chain.database).net()
    return [
        f"{name}: {ours.get(name)} in the database, {theirs.get(name)} in the ledger"
        for name in ours.keys() | theirs.keys()
        if (ours.get(name) or 0) != theirs.get(name, 0) or name not in ours
    ]
