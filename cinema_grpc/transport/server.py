"""The gRPC server: call pipelines on their ports, from start to shutdown."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

import grpc

from cinema_grpc.application.account_ports import AccessTokens
from cinema_grpc.application.accounts import Accounts
from cinema_grpc.application.bookings import Bookings
from cinema_grpc.application.catalog import Catalog
from cinema_grpc.application.change_limit import ChangeLimit
from cinema_grpc.application.counter import Counter
from cinema_grpc.application.desk import Desk
from cinema_grpc.application.door import Door
from cinema_grpc.application.events import EventFeed
from cinema_grpc.application.listings import Listings
from cinema_grpc.application.sales_report import SalesReports
from cinema_grpc.application.scheduling import Scheduling
from cinema_grpc.application.seat_watch import SeatWatch
from cinema_grpc.application.sessions import Sessions
from cinema_grpc.transport import health
from cinema_grpc.transport.auth_servicer import AuthServicer
from cinema_grpc.transport.authentication import Authentication
from cinema_grpc.transport.booking_servicer import BookingServicer
from cinema_grpc.transport.box_office_servicer import BoxOfficeServicer
from cinema_grpc.transport.call_counts import CallCounts
from cinema_grpc.transport.call_tracer import CallTracer
from cinema_grpc.transport.catalog_servicer import CatalogServicer
from cinema_grpc.transport.certificates import Certificates
from cinema_grpc.transport.contract import ACCESS, SERVICES, method_traits
from cinema_grpc.transport.domain_checks import domain_checks
from cinema_grpc.transport.event_servicer import EventServicer
from cinema_grpc.transport.handlers import Handler, handlers_of
from cinema_grpc.transport.limits import Limits
from cinema_grpc.transport.pipeline import CallPipeline
from cinema_grpc.transport.reflection import reflection_handlers
from cinema_grpc.transport.showtime_servicer import ShowtimeServicer
from cinema_grpc.transport.ticket_servicer import TicketServicer

SECONDS_TO_CLEAN_UP = 1.0
"""Longest wait for the handlers of calls that gRPC has cut off."""
SECONDS_TO_ANNOUNCE = 0.5
"""How long a server refuses calls before it stops, so that clients learn of the shutdown."""


class CannotListen(OSError):
    """An address can't be listened on.

    Attributes:
        address: The address.
    """

    def __init__(self, address: str) -> None:
        super().__init__(
            f"can't listen on {address}: another program uses the port, or this machine does not have the address"
        )
        self.address = address


@dataclass(frozen=True, slots=True)
class Application:
    """The application services that servicers call."""

    accounts: Accounts
    sessions: Sessions
    catalog: Catalog
    listings: Listings
    scheduling: Scheduling
    seat_watch: SeatWatch
    bookings: Bookings
    counter: Counter
    desk: Desk
    door: Door
    event_feed: EventFeed
    sales_reports: SalesReports
    tokens: AccessTokens
    change_limit: ChangeLimit


@dataclass(frozen=True, slots=True)
class Listener:
    """A port and the pipeline of its calls."""

    server: grpc.aio.Server
    pipeline: CallPipeline
    port: int

    async def stop(self, grace: float) -> None:
        """Refuse new calls and end streams; other calls may finish, within `grace` seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace
        self.pipeline.begin_shutdown()
        await self._wait_until_idle(deadline)
        await self.server.stop(max(deadline - loop.time(), 0))
        # gRPC does not wait for the handlers of calls that it has cut off.
        await self._wait_until_idle(loop.time() + SECONDS_TO_CLEAN_UP)

    async def _wait_until_idle(self, deadline: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await self.pipeline.idle()


class Server:
    """A server with its ports."""

    def __init__(self, calls: Listener, service_health: health.Health, probes: Listener | None = None) -> None:
        """Set up.

        Args:
            calls: Serves all methods.
            service_health: Health that both ports report.
            probes: Serves health checks only.
        """
        self._calls = calls
        self._health = service_health
        self._probes = probes
        self._termination: asyncio.Task[bool] | None = None

    @property
    def port(self) -> int:
        """Port of all methods."""
        return self._calls.port

    @property
    def health_port(self) -> int | None:
        """Port that serves health checks only, if there is one."""
        return self._probes.port if self._probes else None

    async def start(self) -> None:
        """Start to serve calls."""
        await self.set_serving(serving=True)
        await self._calls.server.start()
        self._termination = asyncio.create_task(self._calls.server.wait_for_termination(), name="gRPC's server")
        if self._probes is not None:
            await self._probes.server.start()

    async def set_serving(self, *, serving: bool) -> None:
        """Set the health that is reported."""
        self._calls.pipeline.counts.serving = serving
        await self._health.set_serving(serving=serving)

    async def ended(self) -> None:
        """Wait until gRPC has ended the server, by `stop` or by a fault of its own, which is raised.

        Raises:
            ValueError: The server was not started.
        """
        if self._termination is None:
            raise ValueError("the server was not started")
        # gRPC's `stop` waits for the same future as `wait_for_termination`, and ends at once if that is cancelled.
        await asyncio.shield(self._termination)

    async def announce_stop(self) -> None:
        """Report NOT_SERVING, refuse new calls and end streams, and wait until clients have learned of it.

        A call that arrives while gRPC closes its port is CANCELLED, which does not make clients try another server.
        """
        await self.set_serving(serving=False)
        self._calls.pipeline.begin_shutdown()
        await asyncio.sleep(SECONDS_TO_ANNOUNCE)

    async def stop(self, grace: float) -> None:
        """Report NOT_SERVING, refuse new calls and end streams; other calls may finish, within `grace` seconds."""
        await self.set_serving(serving=False)
        await self._calls.stop(grace)
        if self._probes is not None:
            await self._probes.stop(0)


def build(
    application: Application,
    limits: Limits,
    address: str,
    *,
    reflection: bool,
    certificates: Certificates | None = None,
    health_address: str | None = None,
    shared_port: bool = False,
    counts: CallCounts | None = None,
    tracer: CallTracer | None = None,
) -> Server:
    """Build a server and open its ports. Needs a running event loop.

    Args:
        application: The application services.
        limits: Limits on what clients may do.
        address: Address to listen on, such as "127.0.0.1:50051"; port 0 takes any free port.
        reflection: Whether server reflection is served.
        certificates: Certificates for TLS; None: plaintext.
        health_address: Another address, which serves health checks only, in plaintext.
        shared_port: Whether other processes may listen on the same port; if not, a second one fails.
        counts: Counts the calls.
        tracer: Traces the calls, if that is wanted.

    Raises:
        CannotListen: An address is taken or does not belong to this machine.
    """
    service_health = health.Health(service.full_name for service in SERVICES)
    principals = application.accounts.principals
    authentication = Authentication(application.tokens, principals, ACCESS, application.change_limit)
    probe_handlers = health.health_handlers(service_health)
    handlers = probe_handlers | _contract_handlers(application, authentication, limits.largest_page_bytes)
    if reflection:
        handlers |= reflection_handlers([*(service.full_name for service in SERVICES), health.SERVICE])
    checks = domain_checks(application.accounts, application.catalog)
    traits = method_traits(limits.largest_page_bytes, checks)
    counts = counts or CallCounts()
    pipeline = CallPipeline(handlers, limits, authentication, traits, counts, tracer)
    calls = _listen(address, pipeline, limits, certificates, shared_port=shared_port)
    if health_address is None:
        return Server(calls, service_health)
    probe_pipeline = CallPipeline(probe_handlers, limits, traits=traits, counts=counts)
    probes = _listen(health_address, probe_pipeline, limits, None, shared_port=shared_port)
    return Server(calls, service_health, probes)


def _contract_handlers(
    application: Application, authentication: Authentication, largest_page: int
) -> dict[str, Handler]:
    servicers = {
        "AuthService": AuthServicer(application.accounts, application.sessions, application.tokens),
        "CatalogService": CatalogServicer(application.catalog, largest_page),
        "ShowtimeService": ShowtimeServicer(
            application.catalog, application.listings, application.scheduling, application.seat_watch, largest_page
        ),
        "BookingService": BookingServicer(application.bookings, largest_page),
        "BoxOfficeService": BoxOfficeServicer(
            application.counter, application.desk, application.sales_reports, largest_page
        ),
        "EventService": EventServicer(application.event_feed, authentication.check_again, largest_page),
        "TicketService": TicketServicer(application.door, largest_page),
    }
    return {
        name: handler for service in SERVICES for name, handler in handlers_of(service, servicers[service.name]).items()
    }


def _listen(
    address: str, pipeline: CallPipeline, limits: Limits, certificates: Certificates | None, *, shared_port: bool
) -> Listener:
    server = grpc.aio.server(handlers=[pipeline], options=(*limits.options(), ("grpc.so_reuseport", int(shared_port))))
    try:
        if certificates is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, certificates.credentials())
    except RuntimeError as error:
        raise CannotListen(address) from error
    return Listener(server, pipeline, port)
