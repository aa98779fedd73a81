"""What the metrics say of calls, sales, the box office and the database, after calls of which that is known."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from cinema.v1 import event_service_pb2, showtime_service_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cinema_grpc import __version__
from cinema_grpc.adapters.simulated_payments import FaultProfile, SimulatedPayments
from cinema_grpc.observability.metric_list import METRICS
from tests.builders import FakeClock
from tests.conftest import Lend
from tests.observability.scraping import Scrape, scrape
from tests.rpc.conftest import DEADLINE, App, refusal, running

ANY_PORT = "127.0.0.1:0"
BOOKING = {"grpc_type": "unary", "grpc_service": "cinema.v1.BookingService", "grpc_method": "CreateBooking"}


@pytest.fixture
def url(lend: Lend, tmp_path: Path) -> Iterator[str]:
    """An SQLite database: the counts are the same on the other one."""
    with lend("sqlite", tmp_path) as url:
        yield url


@pytest.fixture
async def app(url: str) -> AsyncIterator[App]:
    async with running(url, metrics_address=ANY_PORT) as app:
        yield app


async def read(app: App) -> Scrape:
    return await scrape(app.server.metrics_address)


async def until(app: App, name: str, value: float, **labels: str) -> Scrape:
    """Return the first scrape in which a metric has this value."""
    async with asyncio.timeout(DEADLINE):
        while (found := await read(app)).value(name, **labels) != value:  # noqa: ASYNC110 (in another thread)
            await asyncio.sleep(0.01)
    return found


async def test_every_metric_of_the_list_is_served_and_no_other(app: App) -> None:
    served = (await read(app)).kinds
    own = {name: kind for name, kind in served.items() if not name.startswith("process_")}
    assert own == {each.name: each.kind.value for each in METRICS}


async def test_labels_are_those_of_the_list(app: App) -> None:
    showtime = await app.showtime()
    await app.book(showtime.showtime_id, "A1", "A2")
    await refusal(app.book(showtime.showtime_id, "A1", "A2"))
    labels = {name: each.labels for each in METRICS for name in each.series}
    for sample in (await read(app)).samples:
        if sample.name in labels:
            assert set(sample.labels) - {"le"} == set(labels[sample.name]), sample


async def test_calls_by_code(app: App) -> None:
    """Codes are spelled as in Go, so that dashboards made for it work."""
    showtime = await app.showtime()
    await app.book(showtime.showtime_id, "A1", "A2")
    await app.book(showtime.showtime_id, "A3", "A4")
    assert (await refusal(app.book(showtime.showtime_id, "A1", "A2"))).reason == "SEATS_UNAVAILABLE"
    assert (await refusal(app.book(showtime.showtime_id))).reason == "INVALID_REQUEST"
    found = await read(app)
    codes = found.labels("grpc_server_handled_total", "grpc_code", **BOOKING)
    handled = {code: found.value("grpc_server_handled_total", **BOOKING, grpc_code=code) for code in codes}
    assert handled == {"OK": 2, "FailedPrecondition": 1, "InvalidArgument": 1}
    assert found.value("grpc_server_started_total", **BOOKING) == 4
    assert found.value("grpc_server_in_flight", **BOOKING) == 0
    assert found.value("grpc_server_msg_received_total", **BOOKING) == 4
    assert found.value("grpc_server_msg_sent_total", **BOOKING) == 2
    assert found.value("grpc_server_handling_seconds_count", **BOOKING) == 4
    assert 0 < found.value("grpc_server_handling_seconds_sum", **BOOKING) < DEADLINE
    assert found.value("cinema_errors_total", reason="SEATS_UNAVAILABLE") == 1
    assert found.value("cinema_errors_total", reason="INVALID_REQUEST") == 1


async def test_a_cancelled_call(app: App) -> None:
    watch = {"grpc_type": "server_stream", "grpc_service": "cinema.v1.ShowtimeService", "grpc_method": "WatchSeats"}
    showtime = await app.showtime()
    call = app.showtimes.WatchSeats(showtime_service_pb2.WatchSeatsRequest(showtime_id=showtime.showtime_id))
    await call.read()
    await app.book(showtime.showtime_id, "A1", "A2")
    await call.read()
    found = await read(app)
    assert found.value("grpc_server_in_flight", **watch) == 1
    assert found.value("grpc_server_msg_sent_total", **watch) == 2
    assert found.value("cinema_watchers", of="seats") == 1
    call.cancel()
    found = await until(app, "grpc_server_in_flight", 0, **watch)
    assert found.value("grpc_server_handled_total", **watch, grpc_code="Canceled") == 1
    assert found.value("grpc_server_in_flight", **watch) == 0
    assert found.value("cinema_watchers", of="seats") == 0


async def test_watchers_of_events(app: App) -> None:
    call = app.events.WatchEvents(event_service_pb2.WatchEventsRequest(), metadata=await app.staff())
    await call.read()
    assert (await read(app)).value("cinema_watchers", of="events") == 1
    call.cancel()


async def test_the_box_office(app: App) -> None:
    showtime = await app.showtime()
    seats = [f"A{number}" for number in range(1, 11)]
    await app.book(showtime.showtime_id, *seats)
    for _ in range(4):
        await refusal(app.book(showtime.showtime_id, *seats))
    found = await read(app)
    assert found.value("cinema_commands_total") == 1
    assert found.value("cinema_commands_refused_total", reason="SEATS_UNAVAILABLE") == 4
    assert found.value("cinema_batch_commands_sum") == found.value("cinema_queue_wait_seconds_count") == 5
    assert found.value("cinema_batch_commands_bucket", le="+Inf") == found.value("cinema_batch_seconds_count") == 5
    assert found.value("cinema_batch_seconds_sum") > 0
    assert found.value("cinema_queue_commands") == found.value("cinema_contended_showtimes") == 0
    assert found.value("cinema_cache_lookups_total", result="miss") == 1
    assert found.value("cinema_cache_lookups_total", result="hit") >= 4
    assert found.value("cinema_cache_showtimes") == 1
    assert found.value("cinema_cache_seats") == 18


async def test_sales(app: App) -> None:
    showtime = await app.showtime()
    held = await app.book(showtime.showtime_id, "A1", "A2", "A3")
    await app.pay(held.booking_id)
    await app.cancel(held.booking_id)
    await app.book(showtime.showtime_id, "B1", "B2")
    app.clock.advance(timedelta(minutes=11))
    app.server.tasks.expire_holds.wake()
    await until(app, "cinema_booking_events_total", 1, type="HOLD_EXPIRED")
    found = await until(app, "cinema_booking_events_total", 1, type="REFUND_COMPLETED")
    events = {
        name: found.value("cinema_booking_events_total", type=name)
        for name in ("SEATS_HELD", "BOOKING_CONFIRMED", "SEATS_CANCELLED", "HOLD_EXPIRED", "REFUND_OWED")
    }
    assert events == {
        "SEATS_HELD": 2,
        "BOOKING_CONFIRMED": 1,
        "SEATS_CANCELLED": 1,
        "HOLD_EXPIRED": 1,
        "REFUND_OWED": 1,
    }
    assert found.value("cinema_booking_event_seats_total", type="SEATS_HELD") == 5
    assert found.value("cinema_booking_event_seats_total", type="HOLD_EXPIRED") == 2
    assert found.value("cinema_payments_total", status="CHARGED") == found.value("cinema_payments_total") / 2 == 1


async def test_declined_payments(app: App) -> None:
    held = await app.book((await app.showtime()).showtime_id, "A1", "A2")
    assert (await refusal(app.pay(held.booking_id, token="tok_declined"))).reason == "PAYMENT_DECLINED"
    assert (await read(app)).value("cinema_payments_total", status="DECLINED") == 1


async def test_refunds_that_are_not_paid_yet(url: str) -> None:
    clock, provider = FakeClock(), SimulatedPayments()
    async with running(url, clock, provider, metrics_address=ANY_PORT) as app:
        held = await app.book((await app.showtime()).showtime_id, "A1", "A2")
        await app.pay(held.booking_id)
        provider.faults = FaultProfile(fail_before=1)
        await app.cancel(held.booking_id)
        clock.advance(timedelta(seconds=90))
        await app.server._selling.backlog.run_pass()
        found = await read(app)
        assert found.value("cinema_refunds_pending") == 1
        assert found.value("cinema_refunds_pending_oldest_seconds") == 90
        provider.faults = FaultProfile()
        clock.advance(timedelta(hours=1))
        app.server.tasks.pay_refunds.wake()
        await until(app, "cinema_booking_events_total", 1, type="REFUND_COMPLETED")
        await app.server._selling.backlog.run_pass()
        found = await read(app)
        assert found.value("cinema_refunds_pending") == found.value("cinema_refunds_pending_oldest_seconds") == 0


async def test_payments_that_are_not_settled_yet(url: str) -> None:
    clock, provider = FakeClock(), SimulatedPayments(faults=FaultProfile(fail_before=1))
    async with running(url, clock, provider, metrics_address=ANY_PORT, shutdown_seconds=0) as app:
        held = await app.book((await app.showtime()).showtime_id, "A1", "A2")
        assert (await refusal(app.pay(held.booking_id))).reason == "PAYMENT_UNAVAILABLE"
        clock.advance(timedelta(seconds=20))
        await app.server._selling.backlog.run_pass()
        found = await read(app)
        assert found.value("cinema_payments_unsettled") == 1
        assert found.value("cinema_payments_unsettled_oldest_seconds") == 20


async def test_the_event_feed(app: App) -> None:
    await app.book((await app.showtime()).showtime_id, "A1", "A2")
    await app.server._selling.backlog.run_pass()
    found = await read(app)
    assert found.value("cinema_event_feed_position") == 2  # SHOWTIME_CREATED, SEATS_HELD
    assert found.value("cinema_event_feed_waiting_commits") == found.value("cinema_event_feed_lag_seconds") == 0


async def test_calls_that_are_shed(url: str) -> None:
    async with running(url, metrics_address=ANY_PORT, watches_at_once=1) as app:
        request = showtime_service_pb2.WatchSeatsRequest(showtime_id=(await app.showtime()).showtime_id)
        first = app.showtimes.WatchSeats(request)
        await first.read()
        assert (await refusal(app.showtimes.WatchSeats(request).read())).reason == "STREAM_LIMIT"
        found = await read(app)
        assert found.value("cinema_calls_shed_total", limit="watches_at_once") == 1
        first.cancel()


async def test_the_process(app: App) -> None:
    await health_pb2_grpc.HealthStub(app.channel).Check(health_pb2.HealthCheckRequest(), timeout=DEADLINE)
    found = await read(app)
    assert found.value("cinema_build_info", version=__version__, grpcio=grpc.__version__, database="sqlite") == 1
    assert found.value("cinema_serving") == 1
    assert found.value("cinema_background_failures", task="hold expiry") == 0
    assert found.value("grpc_server_handled_total", grpc_service="grpc.health.v1.Health", grpc_code="OK") == 1
    await app.server.announce_stop()
    assert (await read(app)).value("cinema_serving") == 0
