"""The metrics port, and the counts of what an operator has to look into."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from cinema_grpc.adapters.simulated_payments import FaultProfile, SimulatedPayments
from cinema_grpc.application.background import BackgroundTask
from cinema_grpc.observability import metrics
from tests.builders import FakeClock
from tests.conftest import Lend
from tests.observability.scraping import scrape
from tests.rpc.conftest import DEADLINE, App, refusal, running

HOUR = timedelta(hours=1)
ANY_PORT = "127.0.0.1:0"


@pytest.fixture
def url(lend: Lend, tmp_path: Path) -> Iterator[str]:
    """An SQLite database: all of this is the same on the other one."""
    with lend("sqlite", tmp_path) as url:
        yield url


async def hours_until_counted(app: App, clock: FakeClock, task: BackgroundTask, name: str) -> int:
    """Let hours pass, and a background task run, until something is counted; tell how many."""
    async with asyncio.timeout(60):
        for hours in range(1_000):
            if (await scrape(app.server.metrics_address)).value(name):
                return hours
            clock.advance(HOUR)
            task.wake()
            await asyncio.sleep(0.01)
    raise AssertionError(f"{name} never counted anything")


async def test_a_refund_that_is_given_up(url: str) -> None:
    clock, provider = FakeClock(), SimulatedPayments()
    async with running(url, clock, provider, metrics_address=ANY_PORT) as app:
        held = await app.book((await app.showtime()).showtime_id, "A1", "A2")
        await app.pay(held.booking_id)
        provider.faults = FaultProfile(fail_before=1)
        await app.cancel(held.booking_id)
        assert await hours_until_counted(app, clock, app.server.tasks.pay_refunds, "cinema_refunds_given_up_total") > 1


async def test_a_payment_that_can_not_be_settled(url: str) -> None:
    clock, provider = FakeClock(), SimulatedPayments(faults=FaultProfile(fail_before=1))
    async with running(url, clock, provider, metrics_address=ANY_PORT, payment_grace_seconds=0.05) as app:
        held = await app.book((await app.showtime()).showtime_id, "A1", "A2")
        assert (await refusal(app.pay(held.booking_id))).reason == "PAYMENT_UNAVAILABLE"
        task = app.server.tasks.recover_payments
        assert await hours_until_counted(app, clock, task, "cinema_payments_overdue_total") > 1


async def test_the_process_is_measured_too_and_nothing_is_served_unasked(url: str) -> None:
    async with running(url, metrics_address=ANY_PORT) as app:
        found = await scrape(app.server.metrics_address)
        assert found.value("process_resident_memory_bytes") > 0
        assert found.value("cinema_refunds_given_up_total") == found.value("cinema_payments_overdue_total") == 0
    async with running(url) as app:
        assert app.server.metrics_address is None


async def test_connections_that_hang_are_cut_off(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that say nothing, or half of a request: each is served for a time, and only so many at once."""
    monkeypatch.setattr(metrics, "SECONDS_TO_ANSWER", 3)  # the scrape has to be answered in that time, too
    async with running(url, metrics_address=ANY_PORT) as app:
        assert app.server.metrics_address is not None
        host, _, port = app.server.metrics_address.rpartition(":")
        before = threading.active_count()
        with ExitStack() as opened:
            hanging = [opened.enter_context(socket.create_connection((host, int(port)), 10)) for _ in range(100)]
            for connection in hanging[::2]:
                with suppress(OSError):  # one that was cut off
                    connection.sendall(b"GET /metrics HTTP/1.1\r\n")
            assert (await scrape(app.server.metrics_address)).value("cinema_serving") == 1
            most = before + metrics.MAX_CONNECTIONS + 5  # and some of asyncio's own
            async with asyncio.timeout(DEADLINE):
                while threading.active_count() > most:  # noqa: ASYNC110 (those of connections that were closed end)
                    await asyncio.sleep(0.01)
            for connection in hanging:
                with suppress(ConnectionError):
                    assert await asyncio.to_thread(connection.recv, 1_000) == b""


def test_a_connection_that_can_not_be_accepted() -> None:
    """As at the limit of open files: it stays in the queue, so the thread pauses before it tries again."""
    server = metrics._MetricsServer("127.0.0.1", 0, CollectorRegistry())
    server.socket.close()
    start = time.monotonic()
    with pytest.raises(OSError, match="Bad file descriptor"):
        server.get_request()
    assert time.monotonic() - start >= metrics.SECONDS_AFTER_FAILURE


async def test_an_address_of_ipv6(url: str) -> None:
    async with running(url, metrics_address="[::1]:0") as app:
        assert (await scrape(app.server.metrics_address)).value("cinema_serving") == 1
