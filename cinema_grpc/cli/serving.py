"""The command `cinema serve`: one server process, or several workers on one port."""

import asyncio
import gc
import signal
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack

import structlog

from cinema_grpc import __version__
from cinema_grpc.adapters.database.migrate import SELLING
from cinema_grpc.cli import demo
from cinema_grpc.cli.demo_calls import Demo, describe, tools_for
from cinema_grpc.cli.demo_secrets import DemoSecrets, keep, kept, read_or_make
from cinema_grpc.cli.exit_timer import NOT_CLEAN, SECONDS_BEYOND_GRACE, ExitTimer
from cinema_grpc.cli.hang_watch import exit_if_hung
from cinema_grpc.cli.maintenance import migrate_database
from cinema_grpc.cli.workers import Workers, metrics_address_of
from cinema_grpc.config import PREFIX, BadSettings, Settings
from cinema_grpc.database_url import without_secrets
from cinema_grpc.key_reload import read_signing_keys, read_ticket_keys
from cinema_grpc.listening import allow_open_files, check_addresses, read_certificates, warn_of_readable_keys
from cinema_grpc.observability.log_writer import LogWriter
from cinema_grpc.payment_provider import log_payments, read_stripe_key
from cinema_grpc.server import CinemaServer, ServerEnded

logger = structlog.get_logger()

OBJECTS_BETWEEN_COLLECTIONS = 50_000
"""New objects after which Python's garbage collector looks for cycles. With its default, it took a fifth of the time of
a booking."""


async def serve(
    settings: Settings, *, with_demo: bool = False, with_migration: bool = True, as_worker: bool = False
) -> None:
    """Run a server until SIGTERM or SIGINT. If it does not stop in time then, the process exits with NOT_CLEAN.

    Args:
        settings: The settings.
        with_demo: Whether to fill an empty database with demo data.
        with_migration: Whether to migrate the schema; otherwise it must be up to date.
        as_worker: Whether this is a worker, which shares its port and ends with its standard input.

    Raises:
        BadSettings: A setting is wrong, or the database or an address can't be used.
    """
    read_certificates(settings)
    read_stripe_key(settings, with_demo=with_demo)
    if not as_worker:  # a worker shares its ports
        check_addresses(settings)
    demo_secrets = read_or_make(settings) if with_demo else None
    stop = asyncio.Event()
    exit_timer = ExitTimer(settings.shutdown_seconds + SECONDS_BEYOND_GRACE)
    server = CinemaServer(settings, _jwt_secret(settings, demo_secrets))
    if not as_worker:
        warn_of_readable_keys(settings)

    def begin_to_stop() -> None:
        stop.set()
        exit_timer.start()

    _on_stop_request(begin_to_stop, as_worker=as_worker)
    async with AsyncExitStack() as last_to_first:
        if as_worker:
            last_to_first.enter_context(exit_if_hung())
        last_to_first.push_async_callback(server.close)
        await server.open(with_migration=with_migration)
        filled = await demo.fill(server, demo_secrets) if demo_secrets is not None else None
        allow_open_files()
        await server.listen(shared_port=as_worker)
        _collect_garbage_rarely()
        _log_start(server, settings)
        if demo_secrets is not None:
            _show_demo(server, settings, demo_secrets, filled)
        try:
            await server.wait(stop)
        except ServerEnded as error:
            logger.error("gRPC ended the server; the process exits and must be started again", exc_info=error)
            exit_timer.start()
            raise SystemExit(NOT_CLEAN) from error
        logger.info("stopping", tasks=len(asyncio.all_tasks()))
        await server.announce_stop()
    logger.info("stopped")


async def serve_from_workers(settings: Settings, number: int, *, with_migration: bool) -> int:
    """Run several processes on one port until SIGTERM or SIGINT; return the exit code.

    Raises:
        BadSettings: A setting is wrong or does not go with workers, or the database or an address can't be used.
    """
    if settings.database_url.startswith("sqlite"):
        raise BadSettings(
            f"{PREFIX}DATABASE_URL: --workers needs PostgreSQL, as in postgresql+asyncpg://cinema@localhost/cinema; "
            "a file of SQLite has one writer at a time, so more processes would only wait for each other"
        )
    if settings.metrics_address is not None:
        metrics_address_of(number, settings.metrics_address)
    read_ticket_keys(settings, _jwt_secret(settings, None))
    read_signing_keys(settings)
    read_certificates(settings)
    read_stripe_key(settings)
    warn_of_readable_keys(settings)
    check_addresses(settings)
    await migrate_database(settings, SELLING, with_migration=with_migration)
    return await Workers(settings, number).run()


def _on_stop_request(begin_to_stop: Callable[[], None], *, as_worker: bool) -> None:
    """Call a function at SIGTERM and SIGINT; in a worker also when standard input ends, as its supervisor has ended."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, begin_to_stop)
    if as_worker:

        def end_of_input() -> None:
            loop.remove_reader(sys.stdin)  # it would be called in each turn of the event loop
            begin_to_stop()

        loop.add_reader(sys.stdin, end_of_input)


def _jwt_secret(settings: Settings, demo_secrets: DemoSecrets | None) -> bytes | None:
    if settings.jwt_secret is not None:
        return settings.jwt_secret.get_secret_value().encode()
    if settings.signing_keys is not None:
        return None
    if demo_secrets is not None:
        return demo_secrets.jwt_secret.encode()
    raise BadSettings(
        f"{PREFIX}JWT_SECRET: must be set to 32 bytes or more that are hard to guess, the same on all replicas: "
        f"`export {PREFIX}JWT_SECRET=$(openssl rand -hex 32)`; "
        f"or set {PREFIX}SIGNING_KEYS, or try `cinema serve --demo`"
    )


def _collect_garbage_rarely() -> None:
    gc.collect()
    gc.freeze()  # the objects of the start live until the end
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, 10, 10)


def _log_start(server: CinemaServer, settings: Settings) -> None:
    log_payments(settings)
    if settings.signing_keys is not None and settings.jwt_secret is None and settings.ticket_keys is None:
        logger.warning(f"codes of tickets are random: doors can't check them offline; set {PREFIX}TICKET_KEYS")
    logger.info(
        "serving",
        version=__version__,
        tasks=len(asyncio.all_tasks()),  # a different number at "stopping" shows a leak
        address=server.address,
        database=without_secrets(settings.database_url),
        **({"health_address": server.health_address} if server.health_address else {}),
        **({"metrics_address": server.metrics_address} if server.metrics_address else {}),
    )


def _show_demo(server: CinemaServer, settings: Settings, secrets: DemoSecrets, filled: Demo | None) -> None:
    if filled is None:
        earlier = kept(settings)
        logger.warning(
            "the database holds other data than the demo's, which is served as it is: --demo leaves it alone; for the "
            f"demo, name another database, as in {PREFIX}DATABASE_URL=sqlite+aiosqlite:///demo.db",
            **({"passwords_of_an_earlier_demo": str(earlier)} if earlier else {}),
        )
        return
    try:
        kept_in = keep(settings, secrets)
    except OSError as error:
        logger.warning("the demo's passwords can't be kept; the next start makes new ones", error=str(error))
        kept_in = None
    token = "pm_card_visa" if settings.payments == "stripe" else "tok_visa"
    output = LogWriter(sys.stdout.fileno())  # a write to a full pipe would block the server
    output.write(describe(tools_for(server.address, settings), filled, token, kept_in))
    output.flush()
