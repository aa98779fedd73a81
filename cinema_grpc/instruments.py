"""The metrics and traces of a server, as the settings ask for them."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from cinema_grpc.application.sales_counts import SalesCounts
from cinema_grpc.config import PREFIX, BadSettings, Settings, with_port
from cinema_grpc.observability.metrics import Metrics
from cinema_grpc.observability.readings import Problems, Sources
from cinema_grpc.transport.call_counts import CallCounts

if TYPE_CHECKING:
    from cinema_grpc.observability.tracing import Tracing


class Instruments:
    """What a server counts, and where that can be read.

    Attributes:
        calls, sales, problems: The counts that no other part has.
        tracing: Makes spans; None without CINEMA_TRACING.
        metrics_address: The address of the metrics as HOST:PORT, once they are served.
    """

    def __init__(self, settings: Settings) -> None:
        """Set up.

        Raises:
            BadSettings: Traces can't be sent.
        """
        self._settings = settings
        self.calls, self.sales, self.problems = CallCounts(), SalesCounts(), Problems()
        self.tracing = _tracing(settings) if settings.tracing else None
        self.metrics_address: str | None = None
        self._metrics: Metrics | None = None

    def serve_metrics(self, sources: Callable[[], Sources]) -> None:
        """Serve the metrics, if they have an address.

        Raises:
            BadSettings: The address can't be used.
        """
        address = self._settings.metrics_address
        if address is None:
            return
        self._metrics = Metrics(sources())
        try:
            port = self._metrics.serve(address)
        except OSError as error:
            problem = f"can't listen on {address}: {error.strerror or error}"
            raise BadSettings(f"{PREFIX}METRICS_ADDRESS: {problem}") from error
        self.metrics_address = with_port(address, port)

    def close(self) -> None:
        """Stop serving metrics, and send the last spans."""
        if self._metrics is not None:
            self._metrics.close()
        if self.tracing is not None:
            self.tracing.close()


def _tracing(settings: Settings) -> "Tracing":
    try:
        # The extra may not be installed.
        from cinema_grpc.observability.tracing import Tracing, UnknownProtocol  # noqa: PLC0415
    except ValueError as error:  # OpenTelemetry reads some of its variables when it is imported
        raise BadSettings(f"{PREFIX}TRACING: a variable OTEL_... is wrong: {error}") from error
    except ModuleNotFoundError as error:
        install = "pip install ./clients/python '.[otel]' in a checkout"
        raise BadSettings(f"{PREFIX}TRACING: needs a library: {install}") from error
    try:
        return Tracing("sqlite" if settings.database_url.startswith("sqlite") else "postgresql")
    except UnknownProtocol as error:
        raise BadSettings(str(error)) from error
    except ValueError as error:
        raise BadSettings(f"{PREFIX}TRACING: a variable OTEL_... is wrong: {error}") from error
