"""A collector of traces: an HTTP server that takes OTLP, as OpenTelemetry's own does."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass
class Collector:
    """What has arrived.

    Attributes:
        endpoint: The URL to send to.
        resource: The attributes of the service.
        spans: All spans.
        arrival: Is notified of each request.
    """

    endpoint: str = ""
    resource: dict[str, str] = field(default_factory=dict)
    spans: list[Any] = field(default_factory=list)
    arrival: threading.Condition = field(default_factory=threading.Condition)

    def take(self, body: bytes) -> None:
        """Take in a request."""
        with self.arrival:
            for part in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.resource |= {each.key: each.value.string_value for each in part.resource.attributes}
                self.spans += [span for scope in part.scope_spans for span in scope.spans]
            self.arrival.notify_all()

    def named(self, name: str) -> list[Any]:
        """Return the spans of a name."""
        return [each for each in self.spans if each.name == name]


def attributes(span: Any) -> dict[str, Any]:
    """Return the attributes of a span: texts and numbers."""
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.endpoint = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
