"""The gRPC server: the services behind the call pipeline, on a port."""

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc
from cinema.v1 import auth_service_pb2, booking_service_pb2, catalog_service_pb2, showtime_service_pb2
from google.protobuf.descriptor_pb2 import MethodOptions
from grpc_health.v1 import health_pb2

from cinema_grpc.application.account_ports import AccessTokens
from cinema_grpc.application.accounts import Accounts
from cinema_grpc.application.bookings import Bookings
from cinema_grpc.application.catalog import Catalog
from cinema_grpc.application.change_limit import ChangeLimit
from cinema_grpc.application.programme import Programme
from cinema_grpc.application.sessions import Sessions
from cinema_grpc.transport import health
from cinema_grpc.transport.auth_servicer import AuthServicer
from cinema_grpc.transport.authentication import Authentication
from cinema_grpc.transport.booking_servicer import BookingServicer
from cinema_grpc.transport.catalog_servicer import CatalogServicer
from cinema_grpc.transport.certificates import Certificates
from cinema_grpc.transport.further import further_checks
from cinema_grpc.transport.handlers import handlers_of
from cinema_grpc.transport.limits import Limits
from cinema_grpc.transport.methods import MethodTraits
from cinema_grpc.transport.pipeline import CallPipeline
from cinema_grpc.transport.reflection import reflection_handlers
from cinema_grpc.transport.showtime_servicer import ShowtimeServicer
from cinema_grpc.transport.validation import Further, request_checks

MOMENT = 1.0
"""In seconds, how long a server that stops waits for what should take no time."""
SECONDS_TO_BE_HEARD = 0.5
"""How long a server that is going to stop still refuses calls, until those who make them have learned of it."""
LARGEST_READ = 64 * 1024
"""How many bytes the largest answer that is no list has: the seats of the largest auditorium."""
SERVICES = tuple(
    service
    for module in (auth_service_pb2, catalog_service_pb2, showtime_service_pb2, booking_service_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
)
"""The services of the contract."""
CHANGING = frozenset(
    f"/{service.full_name}/{method.name}"
    for service in SERVICES
    for method in service.methods
    if "request_id" in method.input_type.fields_by_name
)
"""The methods that change something, but for those of the AuthService: sign-ins have limits of their own."""


class CannotListen(OSError):
    """An address can't be listened on.

    Attributes:
        address: Which.
    """

    def __init__(self, address: str) -> None:
        super().__init__(f"can't listen on {address}; is it taken by another server, or no address of this machine's?")
        self.address = address


@dataclass(frozen=True, slots=True)
class Listener:
    """What answers on a port.

    Attributes:
        server: gRPC's side of it.
        pipeline: What each of its calls passes through.
        port: The port.
    """

    server: grpc.aio.Server
    pipeline: CallPipeline
    port: int

    async def stop(self, grace: float) -> None:
        """Refuse new calls and end streams; other calls may finish, within `grace` seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace
        self.pipeline.begin_shutdown()
        await _within(deadline - loop.time(), self.pipeline.idle())
        await self.server.stop(max(deadline - loop.time(), 0))
        # gRPC does not wait for the handlers of calls that it has cut off.
        await _within(MOMENT, self.pipeline.idle())


class Server:
    """A server that was given its ports."""

    def __init__(self, calls: Listener, service_health: health.Health, checks: Listener | None = None) -> None:
        """Put it together.

        Args:
            calls: Answers all calls.
            service_health: What the health checks are answered from.
            checks: Answers health checks alone.
        """
        self._calls = calls
        self._health = service_health
        self._checks = checks

    @property
    def port(self) -> int:
        """The port that calls are taken on."""
        return self._calls.port

    @property
    def health_port(self) -> int | None:
        """The port on which health checks alone are answered, if there is one."""
        return self._checks.port if self._checks else None

    async def start(self) -> None:
        """Begin to take calls."""
        await self._health.set_serving(serving=True)
        await self._calls.server.start()
        if self._checks is not None:
            await self._checks.server.start()

    async def set_serving(self, *, serving: bool) -> None:
        """Say whether calls can be served at present."""
        await self._health.set_serving(serving=serving)

    async def ended(self) -> None:
        """Wait until gRPC has ended the server, by `stop` or by a fault of its own, which is raised."""
        await self._calls.server.wait_for_termination()

    async def announce_stop(self) -> None:
        """Turn unhealthy, refuse new calls and end streams, and leave a moment for clients to hear of it.

        What arrives as gRPC itself closes its ears is CANCELLED, which tells nobody to try elsewhere.
        """
        await self._health.set_serving(serving=False)
        self._calls.pipeline.begin_shutdown()
        await asyncio.sleep(SECONDS_TO_BE_HEARD)

    async def stop(self, grace: float) -> None:
        """Turn unhealthy, refuse new calls and end streams; other calls may finish, within `grace` seconds."""
        await self._health.set_serving(serving=False)
        await self._calls.stop(grace)
        if self._checks is not None:
            await self._checks.stop(0)


def build(
    address: str,
    accounts: Accounts,
    sessions: Sessions,
    catalog: Catalog,
    programme: Programme,
    bookings: Bookings,
    tokens: AccessTokens,
    limits: Limits,
    change_limit: ChangeLimit,
    *,
    reflection: bool,
    certificates: Certificates | None = None,
    health_address: str | None = None,
    shared_port: bool = False,
) -> Server:
    """Put a server together and take its ports. It needs a running event loop.

    Args:
        address: Where to listen, such as "127.0.0.1:50051"; port 0 takes any that is free.
        accounts: Signs people in.
        sessions: Keeps them signed in.
        catalog: Keeps movies, cinemas and auditoriums, and makes the programme.
        programme: Shows it.
        bookings: Sells seats.
        tokens: Issues and reads access tokens.
        limits: What clients may do at most.
        change_limit: How many changes an account may ask for.
        reflection: Whether tools may ask what can be called.
        certificates: What TLS is spoken with; without, no TLS is spoken.
        health_address: Where to answer health checks alone, without TLS.
        shared_port: Whether other processes may listen on the same port; if not, a second server there is a mistake
            that shows.

    Raises:
        CannotListen: An address is taken, say.
    """
    service_health = health.Health(service.full_name for service in SERVICES)
    page = limits.largest_page_bytes
    servicers = (
        AuthServicer(accounts, sessions, tokens),
        CatalogServicer(catalog, page),
        ShowtimeServicer(catalog, programme, page),
        BookingServicer(bookings, page),
    )
    probes = handlers_of(health_pb2.DESCRIPTOR.services_by_name["Health"], service_health)
    methods = dict(probes)
    for service, servicer in zip(SERVICES, servicers, strict=True):
        methods |= handlers_of(service, servicer)
    if reflection:
        methods |= reflection_handlers([*(service.full_name for service in SERVICES), health.SERVICE])
    traits = method_traits(page, further_checks(accounts, catalog))
    authentication = Authentication(tokens, accounts, change_limit=change_limit, changing=CHANGING)
    pipeline = CallPipeline(methods, limits, authentication, traits)
    calls = _listen(address, pipeline, limits, certificates, shared_port=shared_port)
    if health_address is None:
        return Server(calls, service_health)
    checks = _listen(health_address, CallPipeline(probes, limits, traits=traits), limits, None, shared_port=shared_port)
    return Server(calls, service_health, checks)


def method_traits(largest_page: int, further: Mapping[str, Further] | None = None) -> dict[str, MethodTraits]:
    """Return what the call pipeline has to know of each method, by its full name.

    Args:
        largest_page: How many bytes a page of a list may have.
        further: What methods refuse requests for beyond the rules in the protos.
    """
    checks = request_checks(SERVICES, further)
    traits = {health.CHECK: MethodTraits(probe=True)}
    for service in SERVICES:
        for method in service.methods:
            reads = method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
            lists = "next_page_token" in method.output_type.fields_by_name
            name = f"/{service.full_name}/{method.name}"
            response_bytes = largest_page if lists else LARGEST_READ if reads else 0
            traits[name] = MethodTraits(checks[name], name in CHANGING, response_bytes)
    return traits


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


async def _within(seconds: float, waiting: Coroutine[Any, Any, None]) -> None:
    """Wait for something, but no longer than so many seconds."""
    with suppress(TimeoutError):
        await asyncio.wait_for(waiting, seconds)
