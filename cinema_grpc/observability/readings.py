"""What the metrics are at the moment, read from the parts of a server."""

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, NamedTuple

from cinema_grpc import __version__
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.application.background import BackgroundTask
from cinema_grpc.application.backlog import BacklogWatch
from cinema_grpc.application.box_office.box_office import BoxOffice
from cinema_grpc.application.box_office.cache import ShowtimeCache
from cinema_grpc.application.distribution import Distribution
from cinema_grpc.application.events import EventFeed
from cinema_grpc.application.sales_counts import SalesCounts
from cinema_grpc.application.seat_watch import SeatWatch
from cinema_grpc.domain.events import EventType
from cinema_grpc.domain.payment import AttemptStatus
from cinema_grpc.observability import metric_list as m
from cinema_grpc.observability.metric_list import Metric
from cinema_grpc.transport.call_counts import CallCounts, MethodCounts
from cinema_grpc.transport.certificates import Certificates

SPECIAL_CODES = {"OK": "OK", "CANCELLED": "Canceled"}
"""Status codes that Go's gRPC spells in its own way."""


class Reading(NamedTuple):
    """A value of a metric; a Distribution for a histogram."""

    metric: Metric
    value: float | Distribution
    labels: Sequence[str] = ()


@dataclass(slots=True)
class Problems:
    """Counts of what needs an operator.

    Attributes:
        refunds_given_up: Refunds that the payment provider refused for good, and that must be paid by hand.
        payments_overdue: Failed attempts to settle payments that have been open for a day.
    """

    refunds_given_up: int = 0
    payments_overdue: int = 0

    def note_refund_given_up(self) -> None:
        """Count a refund that must be paid by hand."""
        self.refunds_given_up += 1

    def note_payment_overdue(self) -> None:
        """Count a failed attempt to settle a payment."""
        self.payments_overdue += 1


@dataclass(frozen=True, slots=True)
class Sources:
    """The parts of a server that count. A reading takes place in another thread, so it copies what may grow."""

    calls: CallCounts
    box_office: BoxOffice
    sales: SalesCounts
    problems: Problems
    backlog: BacklogWatch
    event_feed: EventFeed
    seat_watch: SeatWatch
    cache: ShowtimeCache
    database: Database
    tasks: Sequence[BackgroundTask]
    certificates: Certificates | None

    def read(self) -> Iterator[Reading]:
        """Read all metrics."""
        for name, counts in sorted(self.calls.methods.copy().items()):
            yield from _of_method(name, counts)
        yield from _by_name(m.ERRORS, self.calls.errors)
        yield from _by_name(m.SHEDS, self.calls.sheds)
        yield from _of_box_office(self.box_office)
        yield from self._of_sales()
        yield from self._of_backlog()
        yield Reading(m.WATCHERS, self.seat_watch.watchers, ("seats",))
        yield Reading(m.WATCHERS, self.event_feed.watchers, ("events",))
        yield from self._of_storage()
        if self.certificates is not None:
            yield Reading(m.CERTIFICATE_END, self.certificates.valid_until.timestamp())
        yield Reading(m.SERVING, int(self.calls.serving))
        for task in self.tasks:
            yield Reading(m.TASK_FAILURES, task.failures, (task.name,))
        kind = "postgresql" if self.database.driver.shared else "sqlite"
        yield Reading(m.BUILD, 1, (__version__, platform.python_version(), version("grpcio"), kind))

    def _of_sales(self) -> Iterator[Reading]:
        for event in EventType:
            yield Reading(m.EVENTS, self.sales.events[event], (event.value,))
            yield Reading(m.EVENT_SEATS, self.sales.seats[event], (event.value,))
        for status in AttemptStatus:
            yield Reading(m.PAYMENTS, self.sales.payments[status], (status.value,))
        yield Reading(m.PAYMENTS_OVERDUE, self.problems.payments_overdue)
        yield Reading(m.REFUNDS_GIVEN_UP, self.problems.refunds_given_up)

    def _of_backlog(self) -> Iterator[Reading]:
        backlog = self.backlog.latest
        if backlog is None:
            return
        yield Reading(m.PAYMENTS_UNSETTLED, backlog.payments.count)
        yield Reading(m.PAYMENTS_AGE, backlog.payments.oldest_seconds)
        yield Reading(m.REFUNDS_PENDING, backlog.refunds.count)
        yield Reading(m.REFUNDS_AGE, backlog.refunds.oldest_seconds)
        yield Reading(m.REFUNDS_AT_PROVIDER, backlog.refunds_at_provider.count)
        yield Reading(m.REFUNDS_AT_PROVIDER_AGE, backlog.refunds_at_provider.oldest_seconds)
        yield Reading(m.REFUNDS_FAILED, backlog.failed_refunds.count)
        yield Reading(m.FEED_POSITION, backlog.position)
        yield Reading(m.FEED_WAITING, backlog.commits.count)
        yield Reading(m.FEED_LAG, backlog.commits.oldest_seconds)

    def _of_storage(self) -> Iterator[Reading]:
        yield Reading(m.CACHE_LOOKUPS, self.cache.hits, ("hit",))
        yield Reading(m.CACHE_LOOKUPS, self.cache.misses, ("miss",))
        yield Reading(m.CACHE_SHOWTIMES, self.cache.size)
        yield Reading(m.CACHE_SEATS, self.cache.seats)
        yield Reading(m.CACHE_EVICTIONS, self.cache.evictions)
        pool: Any = self.database.engine.pool
        yield Reading(m.CONNECTIONS, pool.checkedout())
        yield Reading(m.POOL_SIZE, pool.size())
        yield Reading(m.WAITING, self.database.waiting)


def code_name(name: str) -> str:
    """Return the name of a status code as go-grpc-middleware has it in its metrics, such as "InvalidArgument"."""
    return SPECIAL_CODES.get(name) or name.title().replace("_", "")


def _of_method(name: str, counts: MethodCounts) -> Iterator[Reading]:
    service, _, method = name.removeprefix("/").rpartition("/")
    labels = (counts.kind, service, method)
    codes, started = counts.codes.copy(), counts.started
    yield Reading(m.STARTED, started, labels)
    for code, count in codes.items():
        yield Reading(m.HANDLED, count, (*labels, code_name(code.name)))
    yield Reading(m.IN_FLIGHT, max(started - sum(codes.values()), 0), labels)
    yield Reading(m.RECEIVED, counts.received, labels)
    yield Reading(m.SENT, counts.sent, labels)
    if started:  # a histogram has many series
        yield Reading(m.HANDLING, counts.seconds, labels)


def _of_box_office(box_office: BoxOffice) -> Iterator[Reading]:
    counts = box_office.counts
    yield Reading(m.BATCH_COMMANDS, counts.batch_sizes)
    yield Reading(m.BATCH_SECONDS, counts.batch_seconds)
    yield Reading(m.QUEUE_WAIT, counts.wait_seconds)
    yield Reading(m.QUEUED, box_office.queued)
    yield Reading(m.COMMANDS, counts.done)
    yield from _by_name(m.REFUSED, counts.refused)
    yield Reading(m.CONTENDED, counts.contended)
    yield Reading(m.CONTENDED_SHOWTIMES, box_office.contended_showtimes)


def _by_name(metric: Metric, counts: Mapping[str, int]) -> Iterator[Reading]:
    for name, count in sorted(dict(counts).items()):
        yield Reading(metric, count, (name,))
