"""What is counted for those who watch the server, over HTTP in Prometheus' format."""

from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, ProcessCollector, start_http_server


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
        self._serving: tuple[WSGIServer, Thread] | None = None

    def serve(self, address: str) -> int:
        """Answer at HOST:PORT, in a thread of its own; give the port.

        Raises:
            OSError: The address can't be had.
        """
        host, _, port = address.rpartition(":")
        self._serving = start_http_server(int(port), host.strip("[]"), self._registry)
        return int(self._serving[0].server_port)

    def close(self) -> None:
        """Answer no more."""
        if self._serving is not None:
            server, thread = self._serving
            server.shutdown()
            server.server_close()
            thread.join()
