"""A server that is killed at any statement of CancelShowtime has cancelled all or nothing, and the money comes back."""

import asyncio
import json
import random as chances
import signal
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from cinema.v1 import showtime_service_pb2

from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.simulated_ledger import ledger_of
from cinema_grpc.domain.seating import SeatRow
from tests.chance import count, generator, seed
from tests.conftest import KINDS, Lend
from tests.e2e.conftest import CINEMA, SECONDS, Serving, run, serving
from tests.replicas.conftest import Chain, Replica

MORTAL = (sys.executable, "-m", "tests.proofs.mortal")
ROOT = str(Path(__file__).parents[2])
SEATS_A_ROW = 200
LONG = 100
SHORTEST_DELAY = 0.001
"""After how many seconds a COMMIT is cut off first, divided by the number of kills; then it gets twice as long."""
STATEMENTS_OF_A_CALL, STATEMENTS_OF_PAYOUTS = 5, 40
"""How many statements there are at least before the first that writes, and up to which one payouts are cut off."""
TABLES = {
    "showtime": "showtime_id",
    "booking": "booking_id",
    "seat_claim": "showtime_id, seat",
    "refund": "refund_id",
    "ticket": "ticket_id",
    "payment_attempt": "attempt_id",
    "commit_log": "showtime_id, revision",
    "stored_response WHERE caller <> ''": "caller, rpc, request_id",
}
"""Everything that a cancellation could leave a half of, and how to sort it."""
REFUNDED = "SELECT coalesce(sum(amount), 0) FROM refund"
PAID = "SELECT coalesce(sum(total_price), 0) FROM booking WHERE confirm_time IS NOT NULL"
LEFTOVERS = {
    "a showtime that is not cancelled": "SELECT count(*) FROM showtime WHERE status <> 'CANCELLED' OR taken_seats <> 0",
    "bookings": "SELECT count(*) FROM booking WHERE status <> 'CANCELLED'",
    "claims": "SELECT count(*) FROM seat_claim",
    "bookings that are not refunded in full": (
        "SELECT count(*) FROM booking WHERE total_price <>"
        " (SELECT coalesce(sum(amount), 0) FROM refund WHERE refund.booking_id = booking.booking_id)"
    ),
}
"""Counts that are 0 once a showtime is cancelled whose bookings were all paid for."""
PENDING = "SELECT count(*) FROM refund WHERE status = 'PENDING'"
UNDONE = f"SELECT ({PENDING}) + (SELECT count(*) FROM event_outbox)"  # noqa: S608 (ours)
"""Refunds that are to be paid, and commits whose events have no positions yet."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("seats", "kills"), [(12, 1), pytest.param(2_000, LONG, marks=pytest.mark.torture)])
async def test_a_showtime_is_cancelled_or_not(
    kind: str, seats: int, kills: int, lend: Lend, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """With all seats sold, some of them twice: its refunds are what was paid and not refunded, and are paid out."""
    random, kills = generator(seed()), count(kills)
    with lend(kind, tmp_path) as url:
        stage = Stage(tmp_path, Chain(url, Database(url)))
        await stage.sell_out(seats, random)
        await stage.die_before_the_commit(random, kills)
        await stage.die_in_the_commit(SHORTEST_DELAY / kills)
        pending = await stage.ask(PENDING)
        await stage.die_while_paying_out(random, kills)
        async with stage.server() as replica:
            assert (await stage.cancel(replica)).impact == stage.preview.impact
            async with asyncio.timeout(90):
                while await stage.ask(UNDONE):  # noqa: ASYNC110 (it is another process that does the work)
                    await asyncio.sleep(0.1)
        net = await ledger_of(stage.chain.database).net()
        assert len(net) >= pending
        assert set(net.values()) == {0}
        audited = run(tmp_path, "audit", "--json", CINEMA_DATABASE_URL=url)
        assert [each for each in json.loads(audited.stdout)["findings"] if each["breaches"]] == []
        assert audited.returncode == 0
        await stage.chain.database.close()
    record_property("figures", f"{pending} refunds; killed at {dict(stage.deaths)}")


@dataclass
class Stage:
    """A showtime that is sold out, and servers that die while they cancel it.

    Attributes:
        deaths: How often a server died at which kind of statement.
    """

    folder: Path
    chain: Chain
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    deaths: Counter[str] = field(default_factory=Counter)
    preview: showtime_service_pb2.CancelShowtimeResponse = field(
        default_factory=showtime_service_pb2.CancelShowtimeResponse
    )

    def process(self, program: Sequence[str] = (str(CINEMA),), **settings: str) -> AbstractContextManager[Serving]:
        """Run a server until it is not needed any more, or dies."""
        settings |= {"CINEMA_DATABASE_URL": self.chain.database_url, "CINEMA_PAYMENT_GRACE_SECONDS": "0.1"}
        return serving(self.folder, program=program, PYTHONPATH=ROOT, **settings)

    @asynccontextmanager
    async def connected(self, process: Serving) -> AsyncIterator[Replica]:
        """Connect to a server."""
        address = await asyncio.to_thread(lambda: process.address)
        async with grpc.aio.insecure_channel(address) as channel:
            yield Replica(process, channel)

    @asynccontextmanager
    async def server(self) -> AsyncIterator[Replica]:
        """Run a server that lives, and connect to it."""
        with self.process() as process:
            async with self.connected(process) as replica:
                yield replica

    async def sell_out(self, seats: int, random: chances.Random) -> None:
        """Sell all seats; one in ten is given back and sold again."""
        labels = [chr(ord("A") + number) for number in range(-(-seats // SEATS_A_ROW))]
        length = min(seats, SEATS_A_ROW)
        await self.chain.furnish(1, 60, [SeatRow(label, (length,)) for label in labels])
        free = [f"{label}{number + 1}" for label in labels for number in range(length)]
        showtime_id = self.chain.showtimes[0]

        async def buy(replica: Replica, *some: str) -> None:
            customer = random.choice(self.chain.customers)
            booked = await replica.book(customer, showtime_id, *some)
            await replica.pay(customer, booked.booking_id)
            if len(some) > 1 and random.random() < 0.2:
                await replica.cancel(customer, booked.booking_id, seats=some[:1])
                free.append(some[0])

        async with self.server() as replica:
            while free:
                purchases: list[Coroutine[Any, Any, None]] = []
                while free and len(purchases) < 20:
                    some = [free.pop(0) for _ in range(min(len(free), random.randint(1, 3)))]
                    purchases.append(buy(replica, *some))
                await asyncio.gather(*purchases)
            async with asyncio.timeout(SECONDS):
                while await self.ask(PENDING):  # noqa: ASYNC110 (as above)
                    await asyncio.sleep(0.1)
            self.preview = await replica.cancel_showtime(self.chain.staff, showtime_id, validate_only=True)
        assert self.preview.impact.seats == seats
        owed = await self.ask(PAID) - await self.ask(REFUNDED)
        assert self.preview.impact.refund_total.minor_units == owed

    async def cancel(self, replica: Replica) -> showtime_service_pb2.CancelShowtimeResponse:
        """Cancel the showtime, as often as need be."""
        return await replica.cancel_showtime(
            self.chain.staff, self.chain.showtimes[0], self.request_id, self.preview.showtime.revision
        )

    async def die_before_the_commit(self, random: chances.Random, kills: int) -> None:
        """Have servers die at the COMMIT, at the first of each kind of statement before, and at others."""
        before = await self.state()
        at_commit = await self.die("write", "COMMIT")
        assert await self.state() == before
        deaths: list[tuple[str, str]] = []
        if kills > 1:
            last = at_commit["statement"]
            others = random.sample(range(1, last), min(kills, last) - 1)
            deaths += [("call", str(number)) for number in range(1, STATEMENTS_OF_A_CALL + 1)]
            # The COMMIT may come earlier the next time: statements of other tasks count too.
            deaths += [("write", f"{number},COMMIT") for number in sorted({*at_commit["firsts"], *others})]
        for since, at in deaths:
            await self.die(since, at)
            assert await self.state() == before

    async def die_in_the_commit(self, delay: float) -> None:
        """Have servers die ever later in the COMMIT, from `delay` seconds after its start on, until one has made it."""
        before = await self.state()
        while await self.state() == before:
            await self.die("write", "COMMIT", delay)
            delay *= 2
        assert {what: await self.ask(query) for what, query in LEFTOVERS.items()} == dict.fromkeys(LEFTOVERS, 0)

    async def die_while_paying_out(self, random: chances.Random, kills: int) -> None:
        """Have servers die while they pay refunds out."""
        for _ in range(kills):
            pending = await self.ask(PENDING)
            if not pending:
                return
            await self.die("refund", str(random.randint(1, STATEMENTS_OF_PAYOUTS)))
            assert await self.ask(PENDING) <= pending

    async def die(self, since: str, at: str, delay: float = 0) -> dict[str, Any]:
        """Have a server die; return what it has said of that."""
        settings = {"MORTAL_SINCE": since, "MORTAL_AT": at, "MORTAL_DELAY": str(delay)}
        with self.process(MORTAL, **settings) as process:
            if since != "refund":
                async with self.connected(process) as replica:
                    (answer,) = await asyncio.gather(self.cancel(replica), return_exceptions=True)
                if isinstance(answer, grpc.aio.AioRpcError):
                    assert answer.code() is grpc.StatusCode.UNAVAILABLE
                else:
                    assert delay
                    assert not isinstance(answer, BaseException)
                    assert answer.impact == self.preview.impact
            assert await asyncio.to_thread(process.process.wait, SECONDS) == -signal.SIGKILL
        (line,) = [each for each in process.lines if each.startswith('{"died')]
        died: dict[str, Any] = json.loads(line)
        self.deaths[died["died"]] += 1
        return died

    async def ask(self, query: str) -> int:
        """Ask the database for a number."""
        rows: Any = await self.chain.rows(query)
        return int(rows[0][0])  # a decimal on PostgreSQL

    async def state(self) -> list[object]:
        """Read everything that a cancellation changes."""
        return [await self.chain.rows(f"SELECT * FROM {table} ORDER BY {key}") for table, key in TABLES.items()]  # noqa: S608 (names of ours)
