"""The database server dies and comes back, replicas come and go: nothing that was acknowledged is lost."""

import asyncio
import json
import random
import re
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
from cinema.v1 import booking_service_pb2, booking_service_pb2_grpc

from tests.postgresql import PostgresServer, in_thread, make_tables
from tests.replicas.audit import Log, audit
from tests.replicas.conftest import Chain, a_chain, processes

TORTURE = pytest.mark.torture
DURABLE = ("shared_buffers=64MB", "max_connections=200", "listen_addresses=")
OPERATIONS = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server that writes to the disk, for one test alone to kill."""
    server = PostgresServer(DURABLE)
    server.start()
    in_thread(make_tables(server.url()))
    yield server
    server.close()


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=TORTURE)])
async def test_a_database_server_that_dies(
    own_server: PostgresServer, tmp_path: Path, kills: int, record_property: Callable[[str, object], None]
) -> None:
    """Under load, at any moment: what clients were told is there afterwards, and the replicas sell again at once."""
    log = Log()
    stop = asyncio.Event()
    async with a_chain(tmp_path, own_server.url(), replicas=2, showtimes=10, customers=20) as chain:

        async def client(number: int) -> None:
            chance = random.Random(number)  # noqa: S311 (a test's)
            while not stop.is_set():
                await log.command(chance, chance.choice(chain.replicas), chain.customers[number], chain.showtimes)

        clients = [asyncio.create_task(client(number)) for number in range(20)]
        recoveries = []
        for _ in range(kills):
            await asyncio.sleep(random.uniform(0.5, 1.5))  # noqa: S311 (any moment)
            await asyncio.to_thread(own_server.kill)
            await asyncio.to_thread(own_server.start)
            start, before = time.monotonic(), log.outcomes["OK"]
            while log.outcomes["OK"] < before + 20:
                assert time.monotonic() < start + 60, "the replicas sell again"
                await asyncio.sleep(0.01)
            recoveries.append(time.monotonic() - start)
        stop.set()
        await asyncio.gather(*clients)
        seconds = sorted(round(each, 2) for each in recoveries)
        record_property("figures", f"seconds until twenty more calls had succeeded: {seconds}")
        causes = [line for each in chain.replicas for line in each.process.lines if "Traceback" in line]
        assert log.outcomes["INTERNAL"] == 0, causes[:2]
        assert await audit(chain, log) == []


def documented_service_config() -> str:
    """The service config that the operations guide has clients use."""
    found = re.search(r"<!-- service config -->\n```json\n(.*?)```", OPERATIONS, re.DOTALL)
    assert found is not None
    return json.dumps(json.loads(found[1]))


class Load:
    """Clients that book, pay and cancel through one channel, with the documented config, and count what they get."""

    def __init__(
        self,
        chain: Chain,
        addresses: list[str],
        options: Sequence[tuple[str, object]] = (
            ("grpc.service_config", documented_service_config()),
            ("grpc.enable_retries", 1),
        ),
        *,
        wait_for_ready: bool | None = None,
    ) -> None:
        self.channel = grpc.aio.insecure_channel("ipv4:" + ",".join(addresses), options=options)
        self._wait_for_ready = wait_for_ready
        self.stub = booking_service_pb2_grpc.BookingServiceStub(self.channel)
        self.chain = chain
        self.booked = 0
        self.failures: list[str] = []
        self.stopping = asyncio.Event()
        self.tasks = [asyncio.create_task(self._client(number)) for number in range(10)]

    async def _client(self, number: int) -> None:
        turn = 0
        while not self.stopping.is_set():
            turn += 1
            request = booking_service_pb2.CreateBookingRequest(
                showtime_id=self.chain.showtimes[turn % len(self.chain.showtimes)],
                seats=[f"{'ABCD'[number % 4]}{number * 10 + turn % 10 + 1}"],
                request_id=f"00000000-0000-4000-8000-{number:04}{turn:08}",
            )
            customer = self.chain.customers[number]
            try:
                told = await self.stub.CreateBooking(
                    request, metadata=customer, timeout=20, wait_for_ready=self._wait_for_ready
                )
                if turn % 2:
                    pay = booking_service_pb2.ConfirmPaymentRequest(
                        booking_id=told.booking.booking_id, payment_token="tok_visa", request_id=request.request_id
                    )
                    await self.stub.ConfirmPayment(pay, metadata=customer, timeout=20)
                cancel = booking_service_pb2.CancelBookingRequest(
                    booking_id=told.booking.booking_id, request_id=request.request_id
                )
                await self.stub.CancelBooking(cancel, metadata=customer, timeout=20)
            except grpc.aio.AioRpcError as error:
                self.failures.append(f"{error.code().name}: {error.details()}")
            else:
                self.booked += 1

    async def more(self, number: int) -> None:
        """Wait until so many more bookings have been made."""
        goal = self.booked + number
        async with asyncio.timeout(30):
            while self.booked < goal:  # noqa: ASYNC110 (many clients count)
                await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Stop, and wait for the last calls."""
        self.stopping.set()
        await asyncio.gather(*self.tasks)
        await self.channel.close()


async def test_clients_with_the_documented_config_notice_no_death(postgresql_url: str, tmp_path: Path) -> None:
    """Of two replicas one is killed, under load: their calls go to the other one, and none fails."""
    grace = {"CINEMA_PAYMENT_GRACE_SECONDS": "1"}  # then the other one takes up what is left open, and the repeat waits
    async with a_chain(tmp_path, postgresql_url, replicas=2, showtimes=10, customers=10, **grace) as chain:
        load = Load(chain, [each.process.address for each in chain.replicas])
        await load.more(50)
        chain.replicas[0].send(signal.SIGKILL)
        chain.replicas[0].process.process.wait()
        await load.more(50)
        await load.stop()
    assert load.failures == []


async def test_a_rolling_restart(postgresql_url: str, tmp_path: Path) -> None:
    """Three replicas are stopped and started again one after the other, under load: no call fails."""
    async with a_chain(tmp_path, postgresql_url, replicas=3, showtimes=10, customers=10) as chain:
        addresses = [each.process.address for each in chain.replicas]
        load = Load(chain, addresses)
        await load.more(30)
        with ExitStack() as stack:
            for number, address in enumerate(addresses):
                assert await asyncio.to_thread(chain.replicas[number].process.stop) == 0
                (again,) = stack.enter_context(
                    processes(tmp_path / f"again-{number}", postgresql_url, 1, CINEMA_LISTEN_ADDRESS=address)
                )
                await asyncio.to_thread(again.wait_for, '"serving"')
                await load.more(30)
            await load.stop()
    assert load.failures == []
