"""The composition root: builds a server from its settings, starts it, and stops it in good order."""

import asyncio
from contextlib import AsyncExitStack, ExitStack

import structlog

from cinema_grpc.adapters.clock import SystemClock
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.migrate import SELLING
from cinema_grpc.adapters.database.sole_server import FileInUse, lock_file
from cinema_grpc.adapters.passwords import Argon2Passwords
from cinema_grpc.application.background import BackgroundTask
from cinema_grpc.application.clock import Clock
from cinema_grpc.application.payment_ports import PaymentGateway
from cinema_grpc.background_tasks import build_tasks
from cinema_grpc.config import PREFIX, BadSettings, Settings, with_port
from cinema_grpc.identity import build_identity
from cinema_grpc.instruments import Instruments
from cinema_grpc.listening import limits_of, read_certificates
from cinema_grpc.observability.readings import Sources
from cinema_grpc.payment_provider import PaymentProvider, build_provider
from cinema_grpc.selling import build_selling, build_tickets
from cinema_grpc.storage import SECONDS_BETWEEN_CHECKS, SECONDS_TO_CHECK, StorageCheck, bring_up_to_date
from cinema_grpc.transport.certificates import Certificates
from cinema_grpc.transport.server import CannotListen, Server, build

logger = structlog.get_logger()


class ServerEnded(Exception):
    """gRPC ended the server without a request to stop."""


class CinemaServer:
    """All parts of a server, from the database to the port.

    Attributes:
        database: The database.
        accounts, account_store, catalog, listings, bookings, counter, scheduling: Services that the demo and the
            commands use.
        event_feed: Reads events, and assigns positions to them.
        tasks: The background tasks, except `watch_storage`.
        watch_storage: Keeps the reported health up to date.
    """

    def __init__(
        self,
        settings: Settings,
        jwt_secret: bytes | None,
        clock: Clock | None = None,
        gateway: PaymentGateway | None = None,
        passwords: Argon2Passwords | None = None,
    ) -> None:
        """Build the parts. Nothing runs before `open`.

        Args:
            settings: The settings.
            jwt_secret: The secret that signs access tokens if the settings name no keys, and verifies earlier tokens.
            clock: The clock of the business rules; by default PostgreSQL's, or that of the machine for SQLite.
            gateway: The payment provider; by default that of the settings.
            passwords: The password hasher; by default of the usual strength.

        Raises:
            BadSettings: A key can't be read or used, traces can't be sent, or Stripe can't be used.
        """
        self._settings = settings
        longest_wait = settings.longest_wait_seconds
        self.database = Database(settings.database_url, clock, settings.database_pool_size, longest_wait)
        self._passwords = passwords or Argon2Passwords(longest_wait=longest_wait)
        identity = build_identity(settings, jwt_secret, self.database, clock or SystemClock(), self._passwords)
        self.accounts, self.account_store = identity.accounts, identity.account_store
        tickets = build_tickets(settings, jwt_secret)
        self._instruments = Instruments(settings)
        self._provider = build_provider(settings, self.database) if gateway is None else PaymentProvider(gateway)
        selling = build_selling(settings, self.database, identity, tickets, self._provider, self._instruments)
        self._selling, self._application = selling, selling.application
        self.catalog, self.listings = selling.application.catalog, selling.application.listings
        self.scheduling, self.bookings = selling.application.scheduling, selling.application.bookings
        self.counter, self.event_feed = selling.application.counter, selling.application.event_feed
        self.tasks = build_tasks(settings, self.database, identity, selling)
        self._storage_check = StorageCheck(self.database)
        self.watch_storage = BackgroundTask("storage watch", self._check_storage, SECONDS_BETWEEN_CHECKS)
        self._server: Server | None = None
        self._certificates: Certificates | None = None
        self._file_lock = ExitStack()

    @property
    def address(self) -> str:
        """The address of the server, as HOST:PORT."""
        return with_port(self._settings.listen_address, self._server.port if self._server else 0)

    @property
    def health_address(self) -> str | None:
        """The health address as HOST:PORT, if there is one."""
        address = self._settings.health_address
        port = self._server.health_port if self._server else None
        return None if address is None or port is None else with_port(address, port)

    @property
    def metrics_address(self) -> str | None:
        """The address of the metrics as HOST:PORT, if there is one."""
        return self._instruments.metrics_address

    async def open(self, *, with_migration: bool = True) -> None:
        """Open the database, and start the box office and the background tasks.

        Args:
            with_migration: Whether to migrate the schema; otherwise it must be up to date.

        Raises:
            BadSettings: The database or the payment provider can't be used.
        """
        try:
            self._file_lock.enter_context(lock_file(self.database))
        except FileInUse as error:
            raise BadSettings(f"{PREFIX}DATABASE_URL: {error}") from error
        await bring_up_to_date(self.database, SELLING, with_migration=with_migration)
        await self._provider.check()
        self._selling.box_office.start()
        for task in self.tasks.to_run:
            task.start()

    async def listen(self, *, shared_port: bool = False) -> None:
        """Start to accept calls.

        Args:
            shared_port: Whether other processes listen on the same port.

        Raises:
            BadSettings: An address can't be used, or the certificate is not valid.
        """
        self._certificates = read_certificates(self._settings)
        try:
            self._server = build(
                self._application,
                limits_of(self._settings),
                self._settings.listen_address,
                reflection=self._settings.with_reflection,
                certificates=self._certificates,
                health_address=self._settings.health_address,
                shared_port=shared_port,
                counts=self._instruments.calls,
                tracer=self._instruments.tracing,
            )
        except CannotListen as error:
            setting = "LISTEN_ADDRESS" if error.address == self._settings.listen_address else "HEALTH_ADDRESS"
            raise BadSettings(f"{PREFIX}{setting}: {error}") from error
        self._instruments.serve_metrics(self._sources)
        await self._server.start()
        if self._certificates is not None:
            logger.info("speaking TLS", **self._certificates.described)
        self.watch_storage.start()

    async def wait(self, stop: asyncio.Event) -> None:
        """Wait until `stop` is set.

        Raises:
            ServerEnded: gRPC ended the server by itself.
        """
        if self._server is None:
            raise ValueError("the server does not listen")
        ended = asyncio.create_task(self._server.ended())
        asked = asyncio.create_task(stop.wait())
        await asyncio.wait([ended, asked], return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if ended.done():
            raise ServerEnded("gRPC ended the server; it must be started again") from ended.exception()
        ended.cancel()

    async def announce_stop(self) -> None:
        """Report NOT_SERVING, and refuse new calls."""
        await self.watch_storage.stop()  # it would report SERVING again
        if self._server is not None:
            await self._server.announce_stop()

    async def close(self) -> None:
        """Refuse new calls, let open calls finish, stop all parts, and close the database last, even after an error."""
        grace = self._settings.shutdown_seconds
        async with AsyncExitStack() as last_to_first:
            last_to_first.push(self._file_lock)
            last_to_first.push_async_callback(self.database.close)
            last_to_first.push_async_callback(self._provider.close)
            last_to_first.callback(self._passwords.close)
            last_to_first.callback(self._instruments.close)
            last_to_first.push_async_callback(self._selling.box_office.stop)
            for task in self.tasks.to_run:
                last_to_first.push_async_callback(task.stop)
            # Payments stop a moment before the calls that wait for them, so that these get SHUTTING_DOWN.
            last_to_first.push_async_callback(self._selling.payments.stop, 0.9 * grace)
            await self.watch_storage.stop()
            if self._server is not None:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._server.stop(grace))
                    group.create_task(self._selling.payments.stop(0.9 * grace))

    async def _check_storage(self) -> None:
        serving = await self._storage_check.can_sell()
        # A commit may wait for a standby without end, while another connection is answered.
        serving = serving and self._selling.box_office.batch_seconds < SECONDS_TO_CHECK
        if self._server is not None:
            await self._server.set_serving(serving=serving)

    def _sources(self) -> Sources:
        return Sources(
            calls=self._instruments.calls,
            box_office=self._selling.box_office,
            sales=self._instruments.sales,
            problems=self._instruments.problems,
            backlog=self._selling.backlog,
            event_feed=self.event_feed,
            seat_watch=self._application.seat_watch,
            cache=self._selling.cache,
            database=self.database,
            tasks=[*self.tasks.to_run, self.watch_storage],
            certificates=self._certificates,
        )
