"""What is counted for those who watch the server, over HTTP in Prometheus' format."""

import socket
import time
from contextlib import suppress
from http.server import ThreadingHTTPServer
from socketserver import TCPServer
from threading import Thread
from typing import Any

from prometheus_client import CollectorRegistry, Counter, MetricsHandler, ProcessCollector

MOST_CONNECTIONS = 20
"""How many connections are served at once, each by a thread; the oldest is closed for the next one."""
SECONDS_TO_ANSWER = 5.0
"""How long a connection may last, from its first byte to its last."""


class Metrics:
    """Counts what somebody has to look into, and what the process takes.

    Attributes:
        refunds_given_up: Refunds that the provider would not pay, and that have to be paid by hand.
        payments_overdue: Vain tries to learn what became of a charge, of those that have been tried for a day.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.refunds_given_up = Counter(
            "cinema_refunds_given_up", "Refunds that have to be paid by hand.", registry=self._registry
        )
        self.payments_overdue = Counter(
            "cinema_payments_overdue",
            "Vain tries to settle payments that have been open for a day.",
            registry=self._registry,
        )
        self._server: _MetricsServer | None = None

    def serve(self, address: str) -> int:
        """Answer at HOST:PORT, in threads of its own; return the port.

        Raises:
            OSError: The address can't be had.
        """
        host, _, port = address.rpartition(":")
        self._server = _MetricsServer(host.strip("[]"), int(port), self._registry)
        Thread(target=self._server.serve_forever, daemon=True).start()
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


class _MetricsServer(ThreadingHTTPServer):
    """Serves metrics to clients of any kind: one that sends or reads too slowly, or nothing, is cut off."""

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
        """Bind, without looking up the host's name as HTTPServer does, which could wait for a name server."""
        TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread."""
        if len(self._start_times) >= MOST_CONNECTIONS:
            self._cut_off_before(min(self._start_times.copy().values()))
        self._start_times[request] = time.monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection that was served."""
        self._start_times.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Cut off connections that have lasted too long; called every half a second."""
        self._cut_off_before(time.monotonic() - SECONDS_TO_ANSWER)

    def _cut_off_before(self, latest: float) -> None:
        """End the connections that began at that time or before; their threads notice, and close them."""
        for request, start in self._start_times.copy().items():
            if start <= latest:
                self._start_times.pop(request, None)
                with suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that break."""
