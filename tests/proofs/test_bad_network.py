"""Many clients on a network that delays, loses and resets: each seat has a history that explains all they saw."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import grpc
import pytest

from cinema_grpc.adapters.database.database import Database
from cinema_grpc.domain.seating import SeatRow
from tests.chance import count, generator, seed
from tests.conftest import KINDS, Lend
from tests.e2e.conftest import serving
from tests.proofs.customers import CHANNEL_OPTIONS, Customer, Entry
from tests.proofs.histories import Histories, Kept
from tests.proofs.proxy import FaultyProxy, faulty_network
from tests.replicas.conftest import Chain

ROWS = [SeatRow("A", (6, 6))]
SEATS = [f"A{number}" for number in range(1, 13)]
HOLD_SECONDS = 1.5
FAULTS_OF_A_THOUSAND = 20
REPLAYS = 500
FAULT = re.compile(r'"code":"(INTERNAL|UNKNOWN)"')
"""What the log line of a call looks like that failed by a fault of ours."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("calls", "clients"), [(300, 20), pytest.param(100_000, 50, marks=pytest.mark.torture)])
async def test_random_calls_on_a_bad_network(
    kind: str,
    calls: int,
    clients: int,
    lend: Lend,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """The answers about each seat are linearizable, and no call had two effects, however often it was repeated."""
    chosen, calls = seed(), count(calls)
    with lend(kind, tmp_path) as url:
        database = Database(url)
        chain = Chain(url, database)
        await chain.furnish(showtimes=max(2, clients // 4), customers=clients, rows=ROWS)
        settings = {"CINEMA_DATABASE_URL": url, "CINEMA_HOLD_SECONDS": str(HOLD_SECONDS)}
        with serving(tmp_path, **settings) as server:
            address = await asyncio.to_thread(lambda: server.address)
            async with faulty_network(address, generator(chosen, "network"), FAULTS_OF_A_THOUSAND) as proxy:
                diary = await sell(chain, proxy, chosen, calls, clients)
                faults = proxy.faults
            diary += await look_at_the_end(chain, address)
            kept = await kept_bookings(chain)
            breaches = Histories(diary, kept).breaches()
            breaches += await replay(chain, address, diary)
            if await kept_bookings(chain) != kept:
                breaches.append("repeated calls left something behind")
            breaches += [line for line in server.lines if FAULT.search(line)]
            assert server.stop() == 0
        await database.close()
    outcomes = Counter(f"{entry.kind} {entry.outcome or 'unknown'}" for entry in diary)
    repeated = sum(entry.tries > 1 for entry in diary)
    record_property("figures", f"{len(diary)} calls, {repeated} repeated; {dict(faults)}; {dict(outcomes)}")
    assert breaches == []


async def sell(chain: Chain, proxy: FaultyProxy, chosen: int, calls: int, clients: int) -> list[Entry]:
    """Have customers make calls until there are enough; return their diaries."""
    made = 0

    async def buy(number: int) -> list[Entry]:
        nonlocal made
        chance = generator(chosen, number)
        async with grpc.aio.insecure_channel(proxy.address, options=CHANNEL_OPTIONS) as channel:
            customer = Customer(number, chain.customers[number], chance, channel, chain.showtimes, SEATS)
            while made < calls:
                made += 1
                await customer.act()
            return customer.diary

    return [entry for diary in await asyncio.gather(*map(buy, range(clients))) for entry in diary]


async def look_at_the_end(chain: Chain, address: str) -> list[Entry]:
    """Look at each seat map once more, on a good network."""
    async with grpc.aio.insecure_channel(address) as channel:
        visitor = Customer(0, (), generator(), channel, chain.showtimes, SEATS)
        return [await visitor.look(showtime_id) for showtime_id in chain.showtimes]


async def replay(chain: Chain, address: str, diary: Sequence[Entry]) -> list[str]:
    """Repeat calls that succeeded; return those that get another answer now."""
    carried_out = [
        entry
        for entry in diary
        if entry.outcome == "OK" and entry.request_id and entry.kind in {"book", "pay", "cancel"}
    ]
    repeated = [entry for entry in carried_out if entry.tries > 1][-REPLAYS:] + carried_out[:REPLAYS]
    assert repeated
    wrong = []
    async with grpc.aio.insecure_channel(address) as channel:
        for entry in repeated:
            customer = Customer(entry.customer, chain.customers[entry.customer], generator(), channel, [], [])
            if await customer.repeat(entry) != entry.answer:
                wrong.append(f"the {entry.kind} {entry.request_id} has another answer now than {entry.answer}")
    return wrong


async def kept_bookings(chain: Chain) -> list[Kept]:
    """Read the bookings from the database."""
    rows = await chain.rows(
        "SELECT booking_id, user_id, showtime_id, seats, create_time, hold_expire_time FROM booking ORDER BY booking_id"
    )
    return [
        Kept(
            str(booking_id),
            int(str(user_id).rpartition("-")[2]),
            str(showtime_id),
            tuple(label for label, *_ in json.loads(str(seats))),
            int(str(create_time)),
            int(str(hold_expire_time)),
        )
        for booking_id, user_id, showtime_id, seats, create_time, hold_expire_time in rows
    ]
