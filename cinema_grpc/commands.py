"""What the commands of the command line do: serve, from one process or many, migrate, audit, switch accounts."""

import asyncio
import gc
import secrets
import signal
import sys
from datetime import timedelta
from pathlib import Path

import structlog

from cinema_grpc import demo
from cinema_grpc.adapters.database.audit import CannotCopy, Report, audit
from cinema_grpc.adapters.database.database import Database, without_secrets
from cinema_grpc.adapters.database.driver import Rights
from cinema_grpc.adapters.database.migrate import ADDING_ACCOUNTS, READING, SELLING, SWITCHING_ACCOUNTS
from cinema_grpc.application.ports import ShowtimeFilter
from cinema_grpc.config import PREFIX, BadSettings, Settings
from cinema_grpc.domain.account import User
from cinema_grpc.hard_end import NOT_CLEAN, SECONDS_BEYOND_GRACE, HardEnd
from cinema_grpc.listening import allow_open_files, read_certificates, warn_of_readable_keys
from cinema_grpc.log_writer import LogWriter
from cinema_grpc.server import CinemaServer, ServerEnded, bring_up_to_date, read_signing_keys
from cinema_grpc.workers import Workers

logger = structlog.get_logger()

OBJECTS_BETWEEN_COLLECTIONS = 50_000
"""How many more objects than before there have to be until Python looks for cycles among the new ones."""


async def serve(
    settings: Settings, *, with_demo: bool = False, with_migration: bool = True, as_worker: bool = False
) -> None:
    """Run a server until SIGTERM or SIGINT; if it does not stop in time then, the process exits with NOT_CLEAN.

    Args:
        settings: What the environment said.
        with_demo: Whether an empty database is filled with demo data.
        with_migration: Whether the schema is brought up to date; if not, it has to be.
        as_worker: Whether this is one of many on a port, which also ends when its standard input does.

    Raises:
        BadSettings.
    """
    read_certificates(settings)
    stop = asyncio.Event()
    hard_end = HardEnd(settings.shutdown_seconds + SECONDS_BEYOND_GRACE)
    server = CinemaServer(settings, _jwt_secret(settings, with_demo=with_demo))
    loop = asyncio.get_running_loop()
    if not as_worker:
        warn_of_readable_keys(settings)

    def begin_to_stop() -> None:
        stop.set()
        hard_end.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, begin_to_stop)
    if as_worker:

        def stop_for_good() -> None:
            loop.remove_reader(sys.stdin)  # or its end would be told again in each turn of the event loop
            begin_to_stop()

        loop.add_reader(sys.stdin, stop_for_good)  # at the latest when whoever started it is gone
    try:
        await server.open(with_migration=with_migration)
        access = (
            await demo.fill(server.catalog, server.programme, server.accounts, server.account_store)
            if with_demo
            else None
        )
        allow_open_files()
        await server.listen(shared_port=as_worker)
        _collect_garbage_rarely()
        logger.warning("payments are simulated: no money moves")
        logger.info(
            "serving",
            tasks=len(asyncio.all_tasks()),  # as many as when it stops, or some were left behind
            address=server.address,
            database=without_secrets(settings.database_url),
            **({"health_address": server.health_address} if server.health_address else {}),
            **({"metrics_address": server.metrics_address} if server.metrics_address else {}),
        )
        if access is not None:
            await _show_demo(server, settings.tls_certificate, access)
        elif with_demo:
            logger.warning("the database holds data that is no demo's: --demo leaves it alone")
        try:
            await server.wait(stop)
        except ServerEnded as error:
            # Whoever supervises the process starts it again.
            logger.error("nobody listens any more", exc_info=error)
            hard_end.start()
            raise SystemExit(NOT_CLEAN) from error
        logger.info("stopping", tasks=len(asyncio.all_tasks()))
        await server.announce_stop()
    finally:
        await server.close()
    logger.info("stopped")


async def serve_from_workers(settings: Settings, number: int, *, with_migration: bool) -> int:
    """Run several processes on one port, until SIGTERM or SIGINT; give the exit code.

    Raises:
        BadSettings.
    """
    if settings.database_url.startswith("sqlite"):
        raise BadSettings(
            f"{PREFIX}DATABASE_URL: --workers needs PostgreSQL, as in postgresql+asyncpg://cinema@localhost/cinema: "
            "a file of SQLite has one writer at a time, and more processes would only wait for each other"
        )
    if settings.metrics_address is not None:
        raise BadSettings(
            f"{PREFIX}METRICS_ADDRESS: --workers can't have it: its processes share their ports, and each counts for "
            "itself; run replicas with an address each"
        )
    _jwt_secret(settings, with_demo=False)
    read_signing_keys(settings)
    read_certificates(settings)
    warn_of_readable_keys(settings)
    await migrate_alone(settings, SELLING, with_migration=with_migration)
    return await Workers(settings, number).run()


async def migrate_alone(settings: Settings, rights: Rights, *, with_migration: bool = True) -> None:
    """Bring the schema up to date, or only check that it is, check rights, and do nothing else.

    Raises:
        BadSettings: The schema is not up to date, a right is missing, or the database can't be used.
    """
    database = Database(settings.database_url)
    try:
        await bring_up_to_date(database, rights, with_migration=with_migration)
    finally:
        await database.close()


async def audit_alone(settings: Settings) -> Report:
    """Look a database over, and change nothing.

    Raises:
        BadSettings: There is no such database, its schema is not up to date, or there is no room for a copy of it.
        StorageUnavailable.
    """
    database = Database(settings.database_url)
    _check_is_there(database)
    try:
        await bring_up_to_date(database, READING, with_migration=False)
        return await audit(database)
    except CannotCopy as error:
        if error.of_source:
            raise BadSettings(f"{PREFIX}DATABASE_URL: {error}") from error
        raise BadSettings(f"TMPDIR: {error}; set it to a folder with room enough") from error
    finally:
        await database.close()


async def create_staff(settings: Settings, username: str, password: str, full_name: str, email: str) -> User:
    """Make a staff account, beside a running server or before its first start.

    Raises:
        BadSettings: The database can't be used.
        InvalidRequest, UsernameTaken, EmailTaken, StorageUnavailable.
    """
    server = _without_tokens(settings)
    try:
        await bring_up_to_date(server.database, ADDING_ACCOUNTS)
        return await server.accounts.create_staff(username, password, full_name, email)
    finally:
        await server.close()


async def switch_account(settings: Settings, username: str, *, disable: bool) -> User | None:
    """Disable an account, or enable it again, beside a running server or without one.

    Returns:
        The account as it was; None if there is none of that name.

    Raises:
        BadSettings: There is no such database, or its schema is not up to date.
        StorageUnavailable.
    """
    server = _without_tokens(settings)
    try:
        _check_is_there(server.database)
        await bring_up_to_date(server.database, SWITCHING_ACCOUNTS, with_migration=False)
        callers = server.accounts.callers
        return await (callers.disable if disable else callers.enable)(username)
    finally:
        await server.close()


def _without_tokens(settings: Settings) -> CinemaServer:
    """Make the parts of a server that a command needs which issues no tokens."""
    return CinemaServer(settings.model_copy(update={"signing_keys": None}), secrets.token_bytes(32))


def _check_is_there(database: Database) -> None:
    """Check that a file of SQLite exists, which would be made else.

    Raises:
        BadSettings.
    """
    file = str(database.engine.url.database)
    if database.engine.dialect.name == "sqlite" and not Path(file).exists():
        raise BadSettings(f"{PREFIX}DATABASE_URL: there is no file {file}")


def _collect_garbage_rarely() -> None:
    """Spare the calls what Python's defaults cost: a fifth of the time of a booking went into looking for cycles."""
    gc.collect()
    gc.freeze()  # what is there by now stays to the end
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, 10, 10)


def _jwt_secret(settings: Settings, *, with_demo: bool) -> bytes | None:
    if settings.jwt_secret is not None:
        return settings.jwt_secret.get_secret_value().encode()
    if settings.signing_keys is not None:
        return None
    if with_demo:
        return secrets.token_bytes(32)
    raise BadSettings(
        f"{PREFIX}JWT_SECRET: must be set, to 32 bytes or more that nobody can guess, the same for all replicas: "
        f"`export {PREFIX}JWT_SECRET=$(openssl rand -hex 32)`; "
        f"or set {PREFIX}SIGNING_KEYS, or try `cinema serve --demo`"
    )


async def _show_demo(server: CinemaServer, certificate: Path | None, access: demo.DemoAccess) -> None:
    # More than a day ahead, so that all of the money comes back.
    late_enough = ShowtimeFilter("", "", "", await server.catalog.now() + timedelta(hours=25), None)
    _, showtimes = await server.programme.list_showtimes(late_enough, None, 1)
    shown = LogWriter(sys.stdout.fileno())  # the server runs, and must not wait for a reader
    shown.write(demo.describe(server.address, certificate, access, showtimes[0].showtime_id) + "\n")
    shown.flush()
