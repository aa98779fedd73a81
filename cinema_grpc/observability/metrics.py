"""Metrics over HTTP, in the format of Prometheus.

The server counts in plain numbers. They are read when Prometheus asks, in a thread.
"""

import itertools
import socket
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from http.server import ThreadingHTTPServer
from socketserver import TCPServer
from threading import Thread
from typing import Any

from prometheus_client import CollectorRegistry, MetricsHandler, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as PrometheusMetric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from cinema_grpc.addresses import host_and_port
from cinema_grpc.application.distribution import Distribution
from cinema_grpc.observability.metric_list import METRICS, Kind, Metric
from cinema_grpc.observability.readings import Sources

MAX_CONNECTIONS = 20
"""Maximum concurrent connections, each with a thread. The next one closes the oldest."""
SECONDS_TO_ANSWER = 5.0
"""Maximum lifetime of a connection."""
SECONDS_AFTER_FAILURE = 0.1
"""The pause after a connection could not be accepted."""


class Metrics:
    """The metrics of a server, and the resources of its process."""

    def __init__(self, sources: Sources) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(_SourceCollector(sources))
        self._server: _MetricsServer | None = None

    def serve(self, address: str) -> int:
        """Serve the metrics at HOST:PORT, in threads of their own; return the port.

        Raises:
            OSError: The address is in use or not available.
        """
        self._server = _MetricsServer(*host_and_port(address), self._registry)
        Thread(target=self._server.serve_forever, daemon=True).start()
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop serving."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


class _SourceCollector(Collector):
    """Converts readings for Prometheus' client."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def collect(self) -> Iterable[PrometheusMetric]:
        """Read all metrics."""
        families: dict[Metric, Any] = {
            each: FAMILIES[each.kind](each.name, each.meaning, labels=each.labels) for each in METRICS
        }
        for metric, value, labels in self._sources.read():
            if isinstance(value, Distribution):
                families[metric].add_metric(labels, _buckets(value), value.total)
            else:
                families[metric].add_metric(labels, value)
        return families.values()


FAMILIES: Mapping[Kind, type[Any]] = {
    Kind.COUNTER: CounterMetricFamily,
    Kind.GAUGE: GaugeMetricFamily,
    Kind.HISTOGRAM: HistogramMetricFamily,
}


def _buckets(values: Distribution) -> list[tuple[str, float]]:
    """Return the buckets as Prometheus has them: each with the values of those below it."""
    bounds = (*map(floatToGoString, values.bounds), "+Inf")
    return list(zip(bounds, itertools.accumulate(values.counts), strict=True))


class _MetricsServer(ThreadingHTTPServer):
    """An HTTP server that closes connections of slow clients."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_port = False
    request_queue_size = 128

    def __init__(self, host: str, port: int, registry: CollectorRegistry) -> None:
        address: Any
        (self.address_family, _, _, _, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        self._start_times: dict[Any, float] = {}
        super().__init__(address, MetricsHandler.factory(registry))

    def server_bind(self) -> None:
        """Bind without HTTPServer's look-up of the host name, which could wait for DNS."""
        TCPServer.server_bind(self)

    def get_request(self) -> Any:
        """Accept a connection; pause if that fails, as at the limit of open files: the connection goes on waiting.

        Raises:
            OSError: It failed; the base class ignores that.
        """
        try:
            return super().get_request()
        except OSError:
            time.sleep(SECONDS_AFTER_FAILURE)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread; close the oldest one if there are too many."""
        if len(self._start_times) >= MAX_CONNECTIONS:
            self._cut_off_before(min(self._start_times.copy().values()))
        self._start_times[request] = time.monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        self._start_times.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Close connections that have lasted too long. The base class calls it every 0.5 s."""
        self._cut_off_before(time.monotonic() - SECONDS_TO_ANSWER)

    def _cut_off_before(self, latest: float) -> None:
        """Shut down the connections that began at that time or before. Their threads close them."""
        for request, start in self._start_times.copy().items():
            if start <= latest:
                self._start_times.pop(request, None)
                with suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore broken connections."""
