"""The composition root: builds a server from its settings, starts it, and stops it in good order."""

import asyncio
from contextlib import AsyncExitStack, ExitStack
from functools import partial

import structlog

from cinema_grpc.adapters.access_tokens import JwtAccessTokens
from cinema_grpc.adapters.clock import SystemClock
from cinema_grpc.adapters.database.account_store import SqlAccountStore
from cinema_grpc.adapters.database.backlog_reader import SqlBacklogReader
from cinema_grpc.adapters.database.booking_reader import SqlBookingReader
from cinema_grpc.adapters.database.box_office_store import SqlBoxOfficeStore
from cinema_grpc.adapters.database.catalog_store import SqlCatalogStore
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.desk_reader import SqlDeskReader
from cinema_grpc.adapters.database.event_store import SqlEventStore
from cinema_grpc.adapters.database.listings_reader import SqlListingsReader
from cinema_grpc.adapters.database.migrate import SELLING
from cinema_grpc.adapters.database.payment_store import SqlPaymentStore
from cinema_grpc.adapters.database.refund_reader import SqlRefundReader
from cinema_grpc.adapters.database.retention_store import SqlRetentionStore
from cinema_grpc.adapters.database.sales_reader import SqlSalesReader
from cinema_grpc.adapters.database.session_store import SqlSessionStore
from cinema_grpc.adapters.database.sign_in_store import SqlSignInStore
from cinema_grpc.adapters.database.sole_server import FileInUse, lock_file
from cinema_grpc.adapters.database.ticket_reader import SqlTicketReader
from cinema_grpc.adapters.passwords import Argon2Passwords, load_commonest_passwords
from cinema_grpc.adapters.ticket_codes import SignedCodes
from cinema_grpc.application import events, expiry, payments, retention
from cinema_grpc.application.accounts import Accounts
from cinema_grpc.application.background import BackgroundTask
from cinema_grpc.application.backlog import SECONDS_BETWEEN_READINGS, BacklogWatch
from cinema_grpc.application.bookings import Bookings
from cinema_grpc.application.box_office.box_office import BoxOffice
from cinema_grpc.application.box_office.cache import ShowtimeCache
from cinema_grpc.application.box_office.preview import Preview
from cinema_grpc.application.catalog import Catalog
from cinema_grpc.application.change_limit import ChangeLimit
from cinema_grpc.application.clock import Clock
from cinema_grpc.application.counter import Counter
from cinema_grpc.application.desk import Desk
from cinema_grpc.application.door import Door
from cinema_grpc.application.events import EventFeed
from cinema_grpc.application.expiry import HoldExpiry
from cinema_grpc.application.listings import Listings
from cinema_grpc.application.payment_ports import PaymentGateway
from cinema_grpc.application.payment_saga import PaymentSaga
from cinema_grpc.application.payments import Payments
from cinema_grpc.application.principals import SECONDS_BETWEEN_REVOCATIONS
from cinema_grpc.application.refunds import Refunds
from cinema_grpc.application.sales_report import SalesReports
from cinema_grpc.application.scheduling import Scheduling
from cinema_grpc.application.seat_watch import SeatWatch
from cinema_grpc.application.sessions import Sessions
from cinema_grpc.application.throttle import SignInThrottle
from cinema_grpc.application.tickets import TicketIssuer
from cinema_grpc.config import PREFIX, BadSettings, Settings, with_port
from cinema_grpc.instruments import Instruments
from cinema_grpc.key_reload import SECONDS_BETWEEN_RELOADS, KeyReload, read_signing_keys, read_ticket_keys
from cinema_grpc.listening import limits_of, read_certificates
from cinema_grpc.observability.readings import Sources
from cinema_grpc.payment_provider import PaymentProvider, build_provider
from cinema_grpc.storage import SECONDS_BETWEEN_CHECKS, bring_up_to_date, can_sell
from cinema_grpc.transport import security_log
from cinema_grpc.transport.booking_servicer import encode_action, encode_confirmed
from cinema_grpc.transport.seat_maps import encode_frame
from cinema_grpc.transport.server import Application, CannotListen, Server, build

logger = structlog.get_logger()


class ServerEnded(Exception):
    """gRPC ended the server without a request to stop."""


class CinemaServer:
    """All parts of a server, from the database to the port.

    Attributes:
        database: The database.
        accounts, account_store, catalog, listings, bookings, counter, scheduling: Services that the demo and the
            commands use.
        event_feed: Gives positions to events.
        expire_holds, recover_payments, pay_refunds, delete_expired, delete_events: Background tasks on what is stored.
        watch_accounts, watch_keys, watch_ticket_keys, watch_storage: Background tasks that react to changes from
            outside.
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
        """
        self._settings = settings
        longest_wait = settings.longest_wait_seconds
        self.database = Database(settings.database_url, clock, settings.database_pool_size, longest_wait)
        clock = clock or SystemClock()
        self._passwords = passwords or Argon2Passwords(longest_wait=longest_wait)
        keys = read_signing_keys(settings)
        self._tokens = JwtAccessTokens(jwt_secret, clock, keys=keys)
        self._key_reload = KeyReload("signing keys", partial(read_signing_keys, settings), self._tokens.use_keys, keys)
        ticket_keys = read_ticket_keys(settings, jwt_secret)
        self._ticket_codes = SignedCodes(ticket_keys)
        self._ticket_key_reload = KeyReload(
            "ticket keys", partial(read_ticket_keys, settings, jwt_secret), self._ticket_codes.use_keys, ticket_keys
        )
        self.account_store = SqlAccountStore(self.database)
        throttle = SignInThrottle(SqlSignInStore(self.database), settings.sign_in_limits, longest_wait)
        note, commonest = security_log.note, load_commonest_passwords()
        self.accounts = Accounts(self.account_store, self._passwords, self._tokens, throttle, note, clock, commonest)
        self._sessions = Sessions(SqlSessionStore(self.database), self._tokens, settings.refresh_grace, note)
        self._instruments = Instruments(settings)
        self._provider = build_provider(settings, self.database) if gateway is None else PaymentProvider(gateway)
        self._build_sales(self._provider)
        self.watch_accounts = BackgroundTask(
            "disabled accounts", self.accounts.principals.evict_revoked, SECONDS_BETWEEN_REVOCATIONS
        )
        self.watch_keys = BackgroundTask("signing keys", self._key_reload.run_pass, SECONDS_BETWEEN_RELOADS)
        self.watch_ticket_keys = BackgroundTask(
            "ticket keys", self._ticket_key_reload.run_pass, SECONDS_BETWEEN_RELOADS
        )
        self.watch_storage = BackgroundTask("storage watch", self._check_storage, SECONDS_BETWEEN_CHECKS)
        self._background = [self.expire_holds, self.recover_payments, self.pay_refunds, self.delete_expired]
        self._background += [*self._seat_watch.tasks, self.event_feed.follow, self.delete_events]
        self._background += [self.event_feed.sequence] if self.database.driver.shared else []
        self._background += [self.watch_accounts, self.watch_keys] if keys else [self.watch_accounts]
        self._background += [self.watch_ticket_keys] if settings.ticket_keys else []
        if settings.metrics_address is not None:
            self._background.append(BackgroundTask("backlog", self._backlog.run_pass, SECONDS_BETWEEN_READINGS))
        self._application = Application(
            accounts=self.accounts,
            sessions=self._sessions,
            catalog=self.catalog,
            listings=self.listings,
            scheduling=self.scheduling,
            seat_watch=self._seat_watch,
            bookings=self.bookings,
            counter=self.counter,
            desk=self._desk,
            event_feed=self.event_feed,
            door=self._door,
            sales_reports=SalesReports(SqlSalesReader(self.database)),
            tokens=self._tokens,
            change_limit=ChangeLimit(settings.changes_per_minute),
        )
        self._server: Server | None = None
        self._alone = ExitStack()

    def _build_sales(self, provider: PaymentProvider) -> None:
        """Build listings, the catalog, the box office, bookings and payments, and their background tasks."""
        settings, store, cache = self._settings, SqlBoxOfficeStore(self.database), ShowtimeCache()
        self._cache = cache
        gateway = provider.gateway
        driver = self.database.driver
        sole_clock = None if driver.shared else self.database.clock
        self.listings = Listings(SqlListingsReader(self.database), store, cache, sole_clock)
        store_of_catalog = SqlCatalogStore(self.database, self.listings.forget_catalog_revision)
        self.catalog = Catalog(store_of_catalog, provider.price_rule)
        traced, tracing = self._instruments.traced(store, self.database), self._instruments.tracing
        longest_wait = settings.longest_wait_seconds
        self._box_office = BoxOffice(traced, cache, driver.waiting_tasks, longest_wait, tracing)
        payment_store, grace = SqlPaymentStore(self.database), settings.payment_grace
        problems = self._instruments.problems
        refunds = Refunds(payment_store, self._box_office, gateway, grace, problems.note_refund_given_up)
        issuer = TicketIssuer(self._ticket_codes)
        saga = PaymentSaga(self._box_office, gateway, encode_confirmed, grace, encode_action, issuer)
        self._payments = Payments(payment_store, saga, problems.note_payment_overdue)
        reader, limits = SqlBookingReader(self.database), settings.hold_limits
        self.bookings = Bookings(self._box_office, reader, self._payments, settings.hold_for, limits)
        readers = SqlDeskReader(self.database), SqlRefundReader(self.database)
        self._desk = Desk(self._box_office, reader, *readers, self.account_store)
        self.counter = Counter(self._box_office, self.bookings, self.account_store.find, issuer, provider.unit_of)
        door_reader, preview = SqlTicketReader(self.database), Preview(store, cache)
        self._door = Door(self._box_office, preview, door_reader, reader, self._ticket_codes)
        self.scheduling = Scheduling(
            self._box_office, store, cache, self.listings, settings.hold_for, provider.price_rule
        )
        versions = store if driver.shared else None
        self._seat_watch = SeatWatch(self.listings, cache, encode_frame, self.database.clock, versions)
        self._box_office.on_commit(self._seat_watch.note_commit)
        self._box_office.on_commit(refunds.note_commit)
        self._box_office.on_commit(self.bookings.note_commit)
        event_store = SqlEventStore(self.database)
        self.event_feed = EventFeed(event_store)
        self._box_office.on_commit(self.event_feed.note_commit)
        self._box_office.on_commit(self._instruments.sales.note_commit)
        self._backlog = BacklogWatch(SqlBacklogReader(self.database, event_store))
        delete_events = partial(events.delete_old_events, event_store, settings.event_retention)
        self.delete_events = BackgroundTask("event retention", delete_events, retention.SECONDS_BETWEEN_PASSES)
        self.pay_refunds = refunds.task
        expire = HoldExpiry(store, self._box_office).run_pass
        self.expire_holds = BackgroundTask("hold expiry", expire, expiry.SECONDS_BETWEEN_PASSES)
        recover = self._payments.recover
        self.recover_payments = BackgroundTask("payment recovery", recover, payments.SECONDS_BETWEEN_RECOVERIES)
        delete_expired = partial(retention.delete_expired, SqlRetentionStore(self.database))
        self.delete_expired = BackgroundTask("retention", delete_expired, retention.SECONDS_BETWEEN_PASSES)

    def _sources(self) -> Sources:
        return Sources(
            calls=self._instruments.calls,
            box_office=self._box_office,
            sales=self._instruments.sales,
            problems=self._instruments.problems,
            backlog=self._backlog,
            event_feed=self.event_feed,
            seat_watch=self._seat_watch,
            cache=self._cache,
            database=self.database,
            tasks=[*self._background, self.watch_storage],
        )

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
            self._alone.enter_context(lock_file(self.database))
        except FileInUse as error:
            raise BadSettings(f"{PREFIX}DATABASE_URL: {error}") from error
        await bring_up_to_date(self.database, SELLING, with_migration=with_migration)
        await self._provider.check()
        self._box_office.start()
        for task in self._background:
            task.start()

    async def listen(self, *, shared_port: bool = False) -> None:
        """Start to accept calls.

        Args:
            shared_port: Whether other processes listen on the same port.

        Raises:
            BadSettings: An address can't be used, or the certificate is not valid.
        """
        certificates = read_certificates(self._settings)
        try:
            self._server = build(
                self._application,
                limits_of(self._settings),
                self._settings.listen_address,
                reflection=self._settings.with_reflection,
                certificates=certificates,
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
        if certificates is not None:
            logger.info("speaking TLS", **certificates.described)
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
            last_to_first.push(self._alone)
            last_to_first.push_async_callback(self.database.close)
            last_to_first.push_async_callback(self._provider.close)
            last_to_first.callback(self._passwords.close)
            last_to_first.callback(self._instruments.close)
            last_to_first.push_async_callback(self._box_office.stop)
            for task in self._background:
                last_to_first.push_async_callback(task.stop)
            # Payments stop a moment before the calls that wait for them, so that these get SHUTTING_DOWN.
            last_to_first.push_async_callback(self._payments.stop, 0.9 * grace)
            await self.watch_storage.stop()
            if self._server is not None:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._server.stop(grace))
                    group.create_task(self._payments.stop(0.9 * grace))

    async def _check_storage(self) -> None:
        serving = await can_sell(self.database)
        if self._server is not None:
            await self._server.set_serving(serving=serving)
