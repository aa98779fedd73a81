"""The composition root: builds a server from its settings, starts it, and stops it in good order."""

import asyncio
from contextlib import AsyncExitStack, ExitStack

import structlog

from cinema_grpc.adapters.access_tokens import JwtAccessTokens
from cinema_grpc.adapters.clock import SystemClock
from cinema_grpc.adapters.database.account_store import SqlAccountStore
from cinema_grpc.adapters.database.booking_reader import SqlBookingReader
from cinema_grpc.adapters.database.box_office_store import SqlBoxOfficeStore
from cinema_grpc.adapters.database.catalog_store import SqlCatalogStore
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.driver import Rights
from cinema_grpc.adapters.database.migrate import SELLING, CannotMigrate, check_rights, check_schema, migrate
from cinema_grpc.adapters.database.old_records import SqlOldRecords
from cinema_grpc.adapters.database.payment_store import SqlPaymentStore
from cinema_grpc.adapters.database.programme_reader import SqlProgrammeReader
from cinema_grpc.adapters.database.session_store import SqlSessionStore
from cinema_grpc.adapters.database.sign_in_store import SqlSignInStore
from cinema_grpc.adapters.database.sole_server import NotAlone, alone_at
from cinema_grpc.adapters.passwords import Argon2Passwords, load_commonest_passwords
from cinema_grpc.adapters.signing_keys import BadKeys, SigningKey, load_keys
from cinema_grpc.adapters.simulated_books import books_beside
from cinema_grpc.adapters.simulated_payments import Mood, SimulatedPayments
from cinema_grpc.application import expiry, forgetting, recovery, refunds
from cinema_grpc.application.accounts import Accounts
from cinema_grpc.application.background import BackgroundTask
from cinema_grpc.application.bookings import Bookings
from cinema_grpc.application.box_office import BoxOffice
from cinema_grpc.application.callers import SECONDS_BETWEEN_REVOCATIONS
from cinema_grpc.application.catalog import Catalog
from cinema_grpc.application.change_limit import ChangeLimit
from cinema_grpc.application.errors import StorageUnavailable
from cinema_grpc.application.payment_ports import PaymentGateway
from cinema_grpc.application.payments import Payments
from cinema_grpc.application.ports import Clock
from cinema_grpc.application.programme import Programme
from cinema_grpc.application.sessions import Sessions
from cinema_grpc.application.throttle import SignInThrottle
from cinema_grpc.config import PREFIX, BadSettings, Settings, with_port
from cinema_grpc.domain.booking import Booking
from cinema_grpc.listening import limits_of, read_certificates
from cinema_grpc.observability.metrics import Metrics
from cinema_grpc.transport import security_log
from cinema_grpc.transport.server import CannotListen, Server, build

logger = structlog.get_logger()


class ServerEnded(Exception):
    """The server has ended though nobody asked it to."""


SECONDS_BETWEEN_CHECKS = 2.0
"""How often storage is looked at, so that the health service tells the truth about it."""
SECONDS_TO_CHECK = 10.0
SECONDS_BETWEEN_KEY_READINGS = 5.0


class CinemaServer:
    """The whole program, from storage to port.

    Attributes:
        database: Where everything is kept.
        accounts, account_store, catalog, programme: What fills an empty database, and looks at it.
        expire_holds: Writes down holds that are over, in the background.
        recover_payments: Settles payments that were left open, in the background.
        pay_refunds: Has owed refunds paid, in the background.
        forget: Forgets what is kept for a time only, in the background.
        watch_accounts: Looks for accounts that were disabled, in the background.
        watch_keys: Looks after the signing keys, in the background.
        watch_storage: Looks after storage for the health service, in the background.
    """

    def __init__(
        self,
        settings: Settings,
        jwt_secret: bytes | None,
        clock: Clock | None = None,
        gateway: PaymentGateway | None = None,
        passwords: Argon2Passwords | None = None,
    ) -> None:
        """Put the parts together; nothing runs yet.

        Args:
            settings: What the environment said.
            jwt_secret: What signs access tokens, unless the settings name keys that do; None for nothing.
            clock: The clock that decides; the database server's if left out, or the machine's for SQLite.
            gateway: The payment provider; the simulated one if left out.
            passwords: The hasher of passwords; the default strength if left out.
        """
        self._settings = settings
        longest_wait = settings.longest_wait_seconds
        self.database = Database(settings.database_url, clock, settings.database_pool_size, longest_wait)
        clock = clock or SystemClock()
        self._passwords = passwords or Argon2Passwords(longest_wait=longest_wait)
        self._keys = read_signing_keys(settings)
        self._tokens = JwtAccessTokens(jwt_secret, clock, keys=self._keys)
        self.account_store = SqlAccountStore(self.database)
        throttle = SignInThrottle(SqlSignInStore(self.database), settings.sign_in_limits, longest_wait)
        note, commonest = security_log.note, load_commonest_passwords()
        self.accounts = Accounts(self.account_store, self._passwords, self._tokens, throttle, note, clock, commonest)
        self._sessions = Sessions(SqlSessionStore(self.database), self._tokens, settings.refresh_grace, note)
        self.catalog = Catalog(SqlCatalogStore(self.database))

        store, reader = SqlBoxOfficeStore(self.database), SqlBookingReader(self.database)
        driver = self.database.driver
        self.programme = Programme(SqlProgrammeReader(self.database), None if driver.shared else self.database.clock)
        self._box_office = BoxOffice(
            store, self.programme.follow, driver.lanes, driver.apart, longest_wait, self.programme.doubt
        )
        hold_expiry = expiry.HoldExpiry(store, self._box_office)
        gateway = gateway or _simulated(settings, self.database)
        unsettled, grace = SqlPaymentStore(self.database), settings.payment_grace
        self._metrics = Metrics()
        given_up, overdue = self._metrics.refunds_given_up.inc, self._metrics.payments_overdue.inc
        pay_back = refunds.Refunds(unsettled, self._box_office, gateway, grace, given_up)
        self.expire_holds = BackgroundTask("hold expiry", hold_expiry.run_pass, expiry.SECONDS_BETWEEN_PASSES)
        self.pay_refunds = BackgroundTask("refunds", pay_back.run_pass, refunds.SECONDS_BETWEEN_PASSES)
        forget = forgetting.Forgetting(SqlOldRecords(self.database))
        self.forget = BackgroundTask("forgetting", forget.run_pass, forgetting.SECONDS_BETWEEN_PASSES)
        self.watch_accounts = BackgroundTask(
            "disabled accounts", self.accounts.callers.forget_revoked, SECONDS_BETWEEN_REVOCATIONS
        )
        self.watch_keys = BackgroundTask("signing keys", self._read_keys_anew, SECONDS_BETWEEN_KEY_READINGS)
        self.watch_storage = BackgroundTask("storage watch", self._check_storage, SECONDS_BETWEEN_CHECKS)

        def refund_owed(booking: Booking) -> None:
            pay_back.owe(booking)
            self.pay_refunds.wake()

        self._payments = Payments(self._box_office, gateway, refund_owed, grace)
        limits = settings.hold_limits
        self._bookings = Bookings(self._box_office, reader, self._payments, settings.hold_for, refund_owed, limits)
        recover = recovery.Recovery(
            unsettled, self._box_office, gateway, self._payments.is_under_way, refund_owed, grace, overdue
        )
        self.recover_payments = BackgroundTask(
            "recovery of payments", recover.run_pass, recovery.SECONDS_BETWEEN_PASSES
        )
        self._server: Server | None = None
        self._metrics_port = 0
        self._alone = ExitStack()

    @property
    def address(self) -> str:
        """Where the server listens, as HOST:PORT."""
        return with_port(self._settings.listen_address, self._server.port if self._server else 0)

    @property
    def health_address(self) -> str | None:
        """Where health checks alone are answered, as HOST:PORT, if anywhere."""
        address = self._settings.health_address
        port = self._server.health_port if self._server else None
        return None if address is None or port is None else with_port(address, port)

    @property
    def metrics_address(self) -> str | None:
        """Where metrics are served, as HOST:PORT, if anywhere."""
        address = self._settings.metrics_address
        return None if address is None else with_port(address, self._metrics_port)

    async def open(self, *, with_migration: bool = True) -> None:
        """Open storage, and start to carry out commands.

        Args:
            with_migration: Whether the schema is brought up to date; if not, it has to be.

        Raises:
            BadSettings: The database can't be used.
        """
        try:
            self._alone.enter_context(alone_at(self.database))
        except NotAlone as error:
            raise BadSettings(f"{PREFIX}DATABASE_URL: {error}") from error
        await bring_up_to_date(self.database, SELLING, with_migration=with_migration)
        self._box_office.start()
        self.expire_holds.start()
        self.recover_payments.start()
        self.pay_refunds.start()
        self.forget.start()
        self.watch_accounts.start()
        if self._settings.signing_keys is not None:
            self.watch_keys.start()

    async def listen(self, *, shared_port: bool = False) -> None:
        """Take calls.

        Args:
            shared_port: Whether other processes listen on the same port.

        Raises:
            BadSettings: The address can't be had, or the certificate is not good.
        """
        certificates = read_certificates(self._settings)
        try:
            self._server = build(
                address=self._settings.listen_address,
                tokens=self._tokens,
                accounts=self.accounts,
                sessions=self._sessions,
                catalog=self.catalog,
                programme=self.programme,
                bookings=self._bookings,
                limits=limits_of(self._settings),
                change_limit=ChangeLimit(self._settings.changes_per_minute),
                reflection=self._settings.with_reflection,
                certificates=certificates,
                health_address=self._settings.health_address,
                shared_port=shared_port,
            )
        except CannotListen as error:
            setting = "LISTEN_ADDRESS" if error.address == self._settings.listen_address else "HEALTH_ADDRESS"
            raise BadSettings(f"{PREFIX}{setting}: {error}") from error
        if self._settings.metrics_address is not None:
            try:
                self._metrics_port = self._metrics.serve(self._settings.metrics_address)
            except OSError as error:
                problem = f"can't listen on {self._settings.metrics_address}: {error.strerror or error}"
                raise BadSettings(f"{PREFIX}METRICS_ADDRESS: {problem}") from error
        await self._server.start()
        if certificates is not None:
            logger.info("speaking TLS", **certificates.described)
        self.watch_storage.start()

    async def wait(self, stop: asyncio.Event) -> None:
        """Wait for the word to stop.

        Raises:
            ServerEnded: gRPC has ended the server by itself, and nobody listens any more.
        """
        if self._server is None:
            raise ValueError("the server does not listen")
        ended = asyncio.create_task(self._server.ended())
        asked = asyncio.create_task(stop.wait())
        await asyncio.wait([ended, asked], return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if ended.done():
            raise ServerEnded("gRPC has ended the server; it has to be started again") from ended.exception()
        ended.cancel()

    async def announce_stop(self) -> None:
        """Have clients go elsewhere."""
        await self.watch_storage.stop()  # or storage that is found well would turn the server healthy again
        if self._server is not None:
            await self._server.announce_stop()

    async def close(self) -> None:
        """Stop: take no more calls, let those that run finish, and close storage last, whatever goes wrong before."""
        grace = self._settings.shutdown_seconds
        async with AsyncExitStack() as last_to_first:
            last_to_first.push(self._alone)
            last_to_first.push_async_callback(self.database.close)
            last_to_first.callback(self._passwords.close)
            last_to_first.callback(self._metrics.close)
            last_to_first.push_async_callback(self._box_office.stop)
            last_to_first.push_async_callback(self.forget.stop)
            last_to_first.push_async_callback(self.pay_refunds.stop)
            last_to_first.push_async_callback(self.recover_payments.stop)
            last_to_first.push_async_callback(self.expire_holds.stop)
            last_to_first.push_async_callback(self.watch_keys.stop)
            last_to_first.push_async_callback(self.watch_accounts.stop)
            # Payments are cut off a moment before their callers are, who are then told so.
            last_to_first.push_async_callback(self._payments.stop, 0.9 * grace)
            await self.watch_storage.stop()
            if self._server is not None:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._server.stop(grace))
                    group.create_task(self._payments.stop(0.9 * grace))

    async def _read_keys_anew(self) -> None:
        """Use the signing keys as they are on the disk; while something is wrong with them, those that were read last.

        Raises:
            BadSettings: They can't be used.
        """
        keys = await asyncio.to_thread(read_signing_keys, self._settings)
        if [(key.kid, key.private is None) for key in keys] != [(key.kid, key.private is None) for key in self._keys]:
            self._tokens.use_keys(keys)
            self._keys = keys
            logger.info("signing keys changed", signing=keys[0].kid, verifying=[key.kid for key in keys])

    async def _check_storage(self) -> None:
        serving = True
        try:
            async with asyncio.timeout(SECONDS_TO_CHECK):
                await self.database.check(SELLING)
        except (StorageUnavailable, TimeoutError):
            serving = False
        if self._server is not None:
            await self._server.set_serving(serving=serving)


async def bring_up_to_date(database: Database, rights: Rights, *, with_migration: bool = True) -> None:
    """Bring the schema of a database up to date, or only check that it is; then check what its user may do.

    Raises:
        BadSettings: The schema is not up to date, the user lacks one of the rights, or the database can't be used.
    """
    try:
        await (migrate(database) if with_migration else check_schema(database))
        await check_rights(database, rights)
    except CannotMigrate as error:
        raise BadSettings(f"{PREFIX}DATABASE_URL: {error}") from error


def read_signing_keys(settings: Settings) -> tuple[SigningKey, ...]:
    """Read the key pairs that the settings name, if they do.

    Raises:
        BadSettings: They can't be used.
    """
    if settings.signing_keys is None:
        return ()
    try:
        return load_keys(settings.signing_keys)
    except BadKeys as error:
        raise BadSettings(f"{PREFIX}SIGNING_KEYS: {error}") from error


def _simulated(settings: Settings, database: Database) -> SimulatedPayments:
    mood = Mood(
        settings.simulated_payments_delay_seconds,
        settings.simulated_payments_fail_before,
        settings.simulated_payments_fail_after,
        settings.simulated_payments_lose_answer,
    )
    return SimulatedPayments(books_beside(database), mood)
