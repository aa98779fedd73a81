"""Traces as a collector gets them: a call, its wait in the queue, its batch, and the batch's SQL."""

import asyncio
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cinema.v1 import auth_service_pb2, booking_service_pb2, showtime_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

from cinema_grpc import __version__
from cinema_grpc.config import BadSettings
from cinema_grpc.observability import tracing
from tests.conftest import Lend
from tests.faults import failing
from tests.observability.collector import Collector, attributes, collecting
from tests.rpc.conftest import DEADLINE, App, refusal, running

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CREATE = "cinema.v1.BookingService/CreateBooking"
CALLER = (("traceparent", f"00-{TRACE}-{PARENT}-01"),)


@pytest.fixture
def url(lend: Lend, tmp_path: Path) -> Iterator[str]:
    with lend("sqlite", tmp_path) as url:
        yield url


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        monkeypatch.setattr(tracing, "SECONDS_TO_SEND_LAST", 30)  # which a busy machine may take
        yield collector


async def book(app: App, showtime_id: str, *seats: str, caller: tuple[tuple[str, str], ...] = CALLER) -> None:
    request = booking_service_pb2.CreateBookingRequest(showtime_id=showtime_id, seats=seats)
    await app.bookings.CreateBooking(request, metadata=(*await app.customer("ada"), *caller), timeout=DEADLINE)


async def test_a_booking(collector: Collector, lend: Lend, tmp_path: Path) -> None:
    """On PostgreSQL. The caller's span is the parent; all others are below the call's."""
    with lend("postgresql", tmp_path) as url:
        async with running(url, tracing=True) as app:
            await book(app, (await app.showtime()).showtime_id, "A1", "A2")
    (call,) = collector.named(CREATE)
    assert (call.trace_id.hex(), call.parent_span_id.hex()) == (TRACE, PARENT)
    found = {each.name: each for each in collector.spans if each.trace_id == call.trace_id}
    assert set(found) == {CREATE, "queue", "batch", "sql lock", "sql load", "sql commit"}
    assert {found["queue"].parent_span_id, found["batch"].parent_span_id} == {call.span_id}
    assert [(link.trace_id, link.span_id) for link in found["batch"].links] == [(call.trace_id, call.span_id)]
    for name in ("lock", "load", "commit"):
        step = found[f"sql {name}"]
        assert step.parent_span_id == found["batch"].span_id
        assert attributes(step) == {"db.system.name": "postgresql", "db.operation.name": name}
        assert found["batch"].start_time_unix_nano <= step.start_time_unix_nano
        assert step.end_time_unix_nano <= found["batch"].end_time_unix_nano
    assert found["queue"].start_time_unix_nano <= found["queue"].end_time_unix_nano
    assert call.start_time_unix_nano <= found["queue"].start_time_unix_nano
    told = attributes(call)
    assert told.pop("cinema.request_id")
    assert told == {
        "rpc.system": "grpc",
        "rpc.service": "cinema.v1.BookingService",
        "rpc.method": "CreateBooking",
        "client.address": "127.0.0.1",
        "rpc.grpc.status_code": 0,
    }
    assert collector.resource["service.name"] == "cinema-grpc"
    assert collector.resource["service.version"] == __version__


async def test_a_batch_of_several_calls(collector: Collector, url: str) -> None:
    """It is below the first of them, and linked to all."""
    async with running(url, tracing=True) as app:
        showtime = await app.showtime(policy=showtime_pb2.SEAT_GAP_POLICY_ALLOW)
        seats = [f"A{number}" for number in range(1, 11)]
        await app.customer("ada")
        await asyncio.gather(*(book(app, showtime.showtime_id, seat, caller=()) for seat in seats))
    calls = {each.span_id for each in collector.named(CREATE)}
    batches = collector.named("batch")
    assert len(calls) == 10
    linked = [link.span_id for each in batches for link in each.links]
    assert calls <= set(linked)
    assert any(len(each.links) > 1 for each in batches)
    assert all(each.parent_span_id == each.links[0].span_id for each in batches)
    assert sum(attributes(each)["cinema.batch.commands"] for each in batches) == len(linked)


async def test_a_refusal_and_a_fault(collector: Collector, url: str) -> None:
    """A refusal is no error of the server; what its storage does is."""
    async with running(url, tracing=True) as app:
        showtime = await app.showtime()
        assert (await refusal(book(app, showtime.showtime_id))).reason == "INVALID_REQUEST"
        with failing(app.server.database, lambda _statement: True):
            assert (await refusal(book(app, showtime.showtime_id, "A1", "A2"))).reason == "STORAGE_UNAVAILABLE"
    refused, failed = collector.named(CREATE)
    assert (attributes(refused)["error.type"], refused.status.code) == ("INVALID_REQUEST", 0)
    assert (attributes(failed)["error.type"], failed.status.code) == ("STORAGE_UNAVAILABLE", 2)


async def test_log_lines_have_the_trace(collector: Collector, url: str) -> None:
    async with running(url, tracing=True) as app:
        showtime = await app.showtime()
        await app.customer("ada")
        with capture_logs() as logs:
            await book(app, showtime.showtime_id, "A1", "A2")
            await app.server.close()  # which writes the last lines
    assert collector.endpoint
    assert {line.get("trace_id") for line in logs if line["event"] == "call" and line["method"] == f"/{CREATE}"} == {
        TRACE
    }


@pytest.mark.parametrize(
    "metadata",
    [("baggage", "k=" + "x" * 9_000), ("baggage", "="), ("tracestate", "no state"), ("tracestate", "k=" + "v" * 600)],
)
async def test_no_client_writes_into_the_log(
    collector: Collector, url: str, caplog: pytest.LogCaptureFixture, metadata: tuple[str, str]
) -> None:
    """OpenTelemetry would warn of bad metadata, and quote it, for clients that are not signed in too."""
    async with running(url, tracing=True) as app:
        await app.auth.ListSigningKeys(
            auth_service_pb2.ListSigningKeysRequest(), metadata=(*CALLER, metadata), timeout=DEADLINE
        )
    assert [each.getMessage() for each in caplog.records if metadata[1][:8] in each.getMessage()] == []
    (call,) = collector.named("cinema.v1.AuthService/ListSigningKeys")
    assert call.trace_id.hex() == TRACE


async def test_what_is_not_traced(collector: Collector, url: str) -> None:
    """Health checks, and calls that the caller does not sample."""
    async with running(url, tracing=True) as app:
        await health_pb2_grpc.HealthStub(app.channel).Check(health_pb2.HealthCheckRequest(), timeout=DEADLINE)
        await book(
            app, (await app.showtime()).showtime_id, "A1", "A2", caller=((*CALLER[0][:1], f"00-{TRACE}-{PARENT}-00"),)
        )
    assert collector.spans
    assert [each.name for each in collector.spans if "Health" in each.name or each.trace_id.hex() == TRACE] == []


async def test_a_sampler(collector: Collector, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It decides by OpenTelemetry's own variable."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    async with running(url, tracing=True) as app:
        await book(app, (await app.showtime()).showtime_id, "A1", "A2")
    assert collector.spans == []


@pytest.mark.parametrize("name", ["OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"])
async def test_the_name_of_the_service(
    collector: Collector, url: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "box-office" if name == "OTEL_SERVICE_NAME" else "service.name=box-office")
    async with running(url, tracing=True) as app:
        await app.showtime()
    assert collector.resource["service.name"] == "box-office"


async def test_nothing_is_sent_unasked(collector: Collector, url: str) -> None:
    async with running(url) as app:
        await app.showtime()
    assert collector.spans == []


async def test_a_collector_that_does_not_answer_delays_no_shutdown(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it accepts connections, and never reads
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        async with running(url, tracing=True) as app:
            await app.showtime()
            start = time.monotonic()
            await app.server.close()
    assert time.monotonic() - start < tracing.SECONDS_TO_SEND_LAST + 15


async def test_the_extra_is_missing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, tracing.__name__)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(BadSettings, match=r"CINEMA_TRACING: needs a library: pip install .* '\.\[otel\]'"):
        async with running(url, tracing=True):
            pass


async def test_another_protocol_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(BadSettings, match="OTEL_EXPORTER_OTLP_PROTOCOL: must be http/protobuf"):
        async with running(url, tracing=True):
            pass


async def test_a_variable_of_opentelemetry_that_it_refuses(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "-x")
    with pytest.raises(BadSettings, match=r"a variable OTEL_\.\.\. is wrong: OTEL_SPAN_ATTRIBUTE_COUNT"):
        async with running(url, tracing=True):
            pass
