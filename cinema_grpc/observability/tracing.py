"""Traces by OpenTelemetry, which comes with the extra `otel`; set up by its own variables, OTEL_*.

A call has a span, whose parent comes from the caller's metadata. A command's wait in the queue is a span of its call.
A batch is a span with a link to each call that it serves, and a child of the first of them, whose trace so shows the
SQL as well.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from grpc import StatusCode
from opentelemetry import context, propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status

from cinema_grpc import __version__
from cinema_grpc.application.box_office.command import Batch
from cinema_grpc.transport.call import Call
from cinema_grpc.transport.call_log import QUIET_SERVICES

SERVICE_NAME = "cinema-grpc"
"""The name of the service unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES has one."""
PROTOCOL_VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"
UNREAD = "baggage"
"""Metadata that nothing here reads. To parse 16 KiB of it takes a millisecond, and its warnings quote it."""
LONGEST_VALUE = 512
"""Maximum characters of metadata with a trace: so much of a `tracestate` has to be kept by W3C's Trace Context."""
QUOTING_LOGGERS = ("opentelemetry.trace.span", "opentelemetry.trace.propagation.tracecontext")
"""OpenTelemetry's loggers whose warnings quote what a client sent."""
SECONDS_TO_SEND_LAST = 2.0
"""How long a server that stops waits for its last spans to be sent."""
SERVER_FAULTS = frozenset(
    {
        StatusCode.UNKNOWN,
        StatusCode.DEADLINE_EXCEEDED,
        StatusCode.UNIMPLEMENTED,
        StatusCode.INTERNAL,
        StatusCode.UNAVAILABLE,
        StatusCode.DATA_LOSS,
    }
)
"""Status codes that make the span of a call an error, by OpenTelemetry's conventions for servers."""


class UnknownProtocol(ValueError):
    """OTEL_EXPORTER_OTLP_PROTOCOL asks for another protocol than HTTP with protobuf."""


class Tracing:
    """Makes spans and sends them. Fulfils CallTracer and BatchTracer."""

    def __init__(self, system: str) -> None:
        """Set up by the variables OTEL_*, and start to send in a thread.

        Args:
            system: The kind of database, such as "postgresql".

        Raises:
            UnknownProtocol.
        """
        for name in PROTOCOL_VARIABLES:
            if os.environ.get(name, PROTOCOL) != PROTOCOL:
                raise UnknownProtocol(f"{name}: must be {PROTOCOL}")
        self._system = system
        resource = Resource({"service.version": __version__}).merge(Resource.create())
        if str(resource.attributes["service.name"]).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": SERVICE_NAME}))
        # Its own hook at exit would wait for half a minute if the spans can't be sent.
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        for name in QUOTING_LOGGERS:
            logging.getLogger(name).setLevel(logging.ERROR)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("cinema_grpc", __version__)

    def begin(self, call: Call) -> None:
        """Begin the span of a call, as the current one of its task; health checks and reflection have none."""
        if call.method.startswith(QUIET_SERVICES):
            return
        service, _, method = call.method.removeprefix("/").rpartition("/")
        span = self._tracer.start_span(
            f"{service}/{method}",
            propagate.extract(_carrier(call)),
            SpanKind.SERVER,
            {
                "rpc.system": "grpc",
                "rpc.service": service,
                "rpc.method": method,
                "client.address": call.client.network,
                "cinema.request_id": call.x_request_id,
            },
        )
        call.span = span
        call.trace_id = trace.format_trace_id(span.get_span_context().trace_id)
        context.attach(trace.set_span_in_context(span))  # until the task of the call ends

    def end(self, call: Call, code: StatusCode, reason: str | None) -> None:
        """End the span of a call."""
        span: Span | None = call.span
        if span is None:
            return
        span.set_attribute("rpc.grpc.status_code", code.value[0])
        if reason is not None:
            span.set_attribute("error.type", reason)
        if code in SERVER_FAULTS:
            span.set_status(Status(trace.StatusCode.ERROR))
        span.end()

    def current(self) -> SpanContext | None:
        """Return the trace of the current call; None if it is not sampled."""
        found = trace.get_current_span().get_span_context()
        return found if found.trace_flags.sampled else None

    @contextmanager
    def batch(self, batch: Batch) -> Iterator[None]:
        """Record how long commands have waited, and the work on their batch, which is the body."""
        commands = [queued for some in batch.values() for queued in some]
        traced = [(queued, queued.trace) for queued in commands if isinstance(queued.trace, SpanContext)]
        if not traced:
            yield
            return
        now, monotonic = time.time_ns(), time.monotonic()
        for queued, call in traced:
            began = now - int((monotonic - queued.arrival) * 1e9)
            self._tracer.start_span("queue", _below(call), start_time=began).end(now)
        first = traced[0][1]
        links = [Link(call) for _, call in traced]
        attributes = {"cinema.batch.commands": len(commands), "cinema.batch.showtimes": len(batch)}
        with self._tracer.start_as_current_span(
            "batch", _below(first), attributes=attributes, links=links, record_exception=False
        ):
            yield

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Record a step of a batch's transaction, which is the body; nothing if the batch is not traced."""
        if not trace.get_current_span().is_recording():
            yield
            return
        attributes = {"db.system.name": self._system, "db.operation.name": name}
        # An exception would be recorded with its text, in which PostgreSQL quotes values.
        with self._tracer.start_as_current_span(
            f"sql {name}",
            kind=SpanKind.CLIENT,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except Exception as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(Status(trace.StatusCode.ERROR))
                raise

    def close(self) -> None:
        """Send the last spans, for a bounded time."""
        # A daemon: the interpreter must be able to exit while a collector does not answer.
        sender = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        sender.start()
        sender.join(SECONDS_TO_SEND_LAST)


def _carrier(call: Call) -> dict[str, str]:
    """Return the metadata in which a caller may have sent its trace. Any client can write it."""
    return {
        name: value
        for name, value in call.metadata
        if isinstance(value, str) and name != UNREAD and len(value) <= LONGEST_VALUE
    }


def _below(call: SpanContext) -> context.Context:
    """Return the context in which a new span becomes a child of a call's."""
    return trace.set_span_in_context(trace.NonRecordingSpan(call))
