"""Every metric: its name, kind, meaning and labels. docs/reference.md is made from this list."""

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """The kind of a metric, as Prometheus calls it. Counters have the suffix `_total`."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric.

    Attributes:
        name: As Prometheus shows it.
        kind: What it is.
        meaning: What it counts or measures, in one sentence.
        labels: Names of its labels.
    """

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()

    @property
    def series(self) -> tuple[str, ...]:
        """The names of its time series."""
        if self.kind is Kind.HISTOGRAM:
            return (f"{self.name}_bucket", f"{self.name}_count", f"{self.name}_sum")
        return (self.name,)


_CALL = ("grpc_type", "grpc_service", "grpc_method")

STARTED = Metric("grpc_server_started_total", Kind.COUNTER, "Calls that began.", _CALL)
HANDLED = Metric("grpc_server_handled_total", Kind.COUNTER, "Calls that ended, by status code.", (*_CALL, "grpc_code"))
HANDLING = Metric("grpc_server_handling_seconds", Kind.HISTOGRAM, "Time from a call's metadata to its status.", _CALL)
IN_FLIGHT = Metric("grpc_server_in_flight", Kind.GAUGE, "Calls under way.", _CALL)
RECEIVED = Metric("grpc_server_msg_received_total", Kind.COUNTER, "Messages from clients.", _CALL)
SENT = Metric("grpc_server_msg_sent_total", Kind.COUNTER, "Messages to clients; those of Health/Watch excepted.", _CALL)
ERRORS = Metric("cinema_errors_total", Kind.COUNTER, "Calls that ended with an error, by ErrorReason.", ("reason",))
SHEDS = Metric(
    "cinema_calls_shed_total",
    Kind.COUNTER,
    "Calls refused because of overload, by the setting that bounds it, in lower case without CINEMA_.",
    ("limit",),
)

BATCH_COMMANDS = Metric("cinema_batch_commands", Kind.HISTOGRAM, "Commands of a batch of the box office.")
BATCH_SECONDS = Metric("cinema_batch_seconds", Kind.HISTOGRAM, "Time to carry out and commit a batch.")
QUEUE_WAIT = Metric("cinema_queue_wait_seconds", Kind.HISTOGRAM, "Time that a command waited for its batch.")
QUEUED = Metric("cinema_queue_commands", Kind.GAUGE, "Commands that wait for a batch.")
COMMANDS = Metric("cinema_commands_total", Kind.COUNTER, "Commands that were carried out.")
REFUSED = Metric(
    "cinema_commands_refused_total", Kind.COUNTER, "Commands that were refused or failed, by ErrorReason.", ("reason",)
)
CONTENDED = Metric(
    "cinema_commands_contended_total",
    Kind.COUNTER,
    "Commands that found their showtime, or the auditorium of a move, locked, once for each try.",
)
CONTENDED_SHOWTIMES = Metric(
    "cinema_contended_showtimes",
    Kind.GAUGE,
    "Contended showtimes: locked by other processes, so each is served by a task of its own.",
)

EVENTS = Metric(
    "cinema_booking_events_total",
    Kind.COUNTER,
    "Events of bookings and showtimes that this process committed, by EventType: SEATS_HELD, BOOKING_CONFIRMED, "
    "HOLD_EXPIRED and so on.",
    ("type",),
)
EVENT_SEATS = Metric("cinema_booking_event_seats_total", Kind.COUNTER, "Seats of these events.", ("type",))
PAYMENTS = Metric(
    "cinema_payments_total",
    Kind.COUNTER,
    "Payment attempts that became OPEN, CHARGED, DECLINED, VOIDING or VOIDED.",
    ("status",),
)
PAYMENTS_OVERDUE = Metric(
    "cinema_payments_overdue_total",
    Kind.COUNTER,
    "Failed attempts to settle a charge that is more than about a day old. Ask the provider.",
)
PAYMENTS_UNSETTLED = Metric("cinema_payments_unsettled", Kind.GAUGE, "Payment attempts that are OPEN or VOIDING.")
PAYMENTS_AGE = Metric("cinema_payments_unsettled_oldest_seconds", Kind.GAUGE, "Age of the oldest of them; 0 for none.")
REFUNDS_PENDING = Metric("cinema_refunds_pending", Kind.GAUGE, "Refunds that the payment provider has not taken yet.")
REFUNDS_AGE = Metric("cinema_refunds_pending_oldest_seconds", Kind.GAUGE, "Age of the oldest of them; 0 for none.")
REFUNDS_AT_PROVIDER = Metric(
    "cinema_refunds_at_provider", Kind.GAUGE, "Refunds that the payment provider has taken, and not paid yet."
)
REFUNDS_AT_PROVIDER_AGE = Metric(
    "cinema_refunds_at_provider_oldest_seconds", Kind.GAUGE, "Age of the oldest of them; 0 for none."
)
REFUNDS_FAILED = Metric(
    "cinema_refunds_failed",
    Kind.GAUGE,
    "Refunds that are FAILED. Pay them by hand, and record it with SettleRefund.",
)
REFUNDS_GIVEN_UP = Metric("cinema_refunds_given_up_total", Kind.COUNTER, "Refunds that became FAILED.")

FEED_POSITION = Metric("cinema_event_feed_position", Kind.GAUGE, "Position of the newest event.")
FEED_WAITING = Metric("cinema_event_feed_waiting_commits", Kind.GAUGE, "Commits whose events have no position yet.")
FEED_LAG = Metric("cinema_event_feed_lag_seconds", Kind.GAUGE, "Age of the oldest of them; 0 for none.")
WATCHERS = Metric(
    "cinema_watchers", Kind.GAUGE, "Open streams of WatchSeats (seats) and WatchEvents (events).", ("of",)
)

CACHE_LOOKUPS = Metric(
    "cinema_cache_lookups_total", Kind.COUNTER, "Look-ups of showtimes in the cache: hit or miss.", ("result",)
)
CACHE_SHOWTIMES = Metric("cinema_cache_showtimes", Kind.GAUGE, "Cached showtimes.")
CACHE_SEATS = Metric("cinema_cache_seats", Kind.GAUGE, "Seats of cached showtimes; at most 200,000.")
CACHE_EVICTIONS = Metric("cinema_cache_evictions_total", Kind.COUNTER, "Showtimes that left the cache.")
CONNECTIONS = Metric("cinema_database_connections", Kind.GAUGE, "Connections of the pool that are in use.")
POOL_SIZE = Metric("cinema_database_connections_limit", Kind.GAUGE, "Maximum connections of the pool.")
WAITING = Metric(
    "cinema_database_waiting", Kind.GAUGE, "Reads and transactions that wait, except those of the box office."
)

CERTIFICATE_END = Metric(
    "cinema_tls_certificate_expiry_timestamp_seconds",
    Kind.GAUGE,
    "End of the validity of the certificate that new connections get, in seconds since 1970. Only with TLS.",
)
SERVING = Metric("cinema_serving", Kind.GAUGE, "1 while the health service reports SERVING, else 0.")
TASK_FAILURES = Metric(
    "cinema_background_failures", Kind.GAUGE, "Passes of a background task that failed in a row.", ("task",)
)
BUILD = Metric(
    "cinema_build_info", Kind.GAUGE, "Always 1; its labels are versions.", ("version", "python", "grpcio", "database")
)

METRICS = tuple(each for each in list(vars().values()) if isinstance(each, Metric))
"""All metrics, in the order above."""
