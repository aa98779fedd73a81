"""Stopping a server while calls wait: they share one grace period, and each gets a status."""

import asyncio
import time

import grpc
import pytest
from structlog.testing import capture_logs

from cinema_grpc.adapters.simulated_payments import SimulatedPayments
from cinema_grpc.application.payment_ports import Charge, ChargeOutcome
from cinema_grpc.server import ServerEnded
from tests.database import writing
from tests.rpc.conftest import DEADLINE, refusal, running

GRACE = 8
"""In seconds. A busy machine may add nearly as much."""


class HangingProvider(SimulatedPayments):
    """A provider that never answers."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def charge(self, charge: Charge, payment_token: str) -> ChargeOutcome:
        self.asked.set()
        await asyncio.Event().wait()
        return await super().charge(charge, payment_token)


async def test_a_payment_that_hangs(database_url: str) -> None:
    """Its client gets SHUTTING_DOWN with its metadata, within the grace period, which is not spent twice."""
    provider = HangingProvider()
    async with running(database_url, gateway=provider, shutdown_seconds=GRACE) as app:
        held = await app.book((await app.showtime()).showtime_id, "A1", "A2")
        paying = asyncio.create_task(refusal(app.pay(held.booking_id)))
        await provider.asked.wait()
        start = time.monotonic()
        await app.server.close()
        seconds = time.monotonic() - start
        refused = await paying
    assert (refused.code, refused.reason) == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
    assert "x-request-id" in refused.trailers
    assert seconds < 2 * GRACE


async def test_a_call_that_runs_is_finished(database_url: str) -> None:
    """Bookings under way when the server stops are answered, and are stored."""
    async with running(database_url) as app:
        showtime = await app.showtime()
        await app.customer()
        calls = [asyncio.create_task(app.book(showtime.showtime_id, f"A{n}", f"A{n + 1}")) for n in (1, 3, 5)]
        async with asyncio.timeout(DEADLINE):
            while not app.server._selling.box_office._queue:  # noqa: ASYNC110 (the first call has arrived)
                await asyncio.sleep(0)
        await app.server.close()
        results = await asyncio.gather(*calls, return_exceptions=True)
    kept = [result.booking_id for result in results if not isinstance(result, BaseException)]
    assert kept
    for error in results:
        assert not isinstance(error, grpc.aio.AioRpcError) or error.code() == grpc.StatusCode.UNAVAILABLE
    async with running(database_url) as app:
        await app.sign_in("ada")
        for booking_id in kept:
            assert (await app.read(booking_id)).booking_id == booking_id


async def test_a_call_that_outlasts_the_grace_period(postgresql_url: str) -> None:
    """It is cut off and logged before the database is closed, also if the end of the server was waited for."""
    limits = "&lock_timeout=60000&statement_timeout=60000&idle_in_transaction_session_timeout=60000"
    async with running(f"{postgresql_url}{limits}", shutdown_seconds=1) as app:
        showtime_id = (await app.showtime()).showtime_id
        await app.customer()
        stop = asyncio.Event()
        waiting = asyncio.create_task(app.server.wait(stop))
        async with writing(app.server.database) as connection:
            await connection.exec_driver_sql("SELECT 1 FROM showtime FOR NO KEY UPDATE")
            booking = asyncio.create_task(app.book(showtime_id, "A1", "A2"))
            async with asyncio.timeout(DEADLINE):
                while not app.server._selling.box_office.contended_showtimes:  # noqa: ASYNC110 (it waits for the lock)
                    await asyncio.sleep(0.01)
                stop.set()
                await waiting
                with capture_logs() as lines:
                    closing = asyncio.create_task(app.server.close())
                    with pytest.raises(grpc.aio.AioRpcError):
                        await booking
                    while not any(line["event"] == "call" for line in lines):  # noqa: ASYNC110 (it is about to be logged)
                        await asyncio.sleep(0.01)
                assert not closing.done()
        await closing


async def test_a_server_that_ends_by_itself(database_url: str) -> None:
    """The process must not live on without serving."""
    async with running(database_url) as app:
        assert app.server._server is not None
        waiting = asyncio.create_task(app.server.wait(asyncio.Event()))
        await app.server._server._calls.server.stop(None)
        with pytest.raises(ServerEnded):
            await asyncio.wait_for(waiting, 30)
