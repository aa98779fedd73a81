"""The command line: `cinema serve`, `migrate`, `audit`, `health`, and the commands for accounts."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from importlib.util import find_spec
from typing import Any, NoReturn, TypeVar

import click
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cinema_grpc import __version__
from cinema_grpc.addresses import check_address
from cinema_grpc.application.errors import StorageUnavailable
from cinema_grpc.config import PREFIX, BadSettings, Settings, describe_settings, read_settings
from cinema_grpc.domain.account import User
from cinema_grpc.domain.errors import CinemaError

# The server is imported by the commands that need it: `cinema health` is run every few seconds, and has to be light.
# ruff: noqa: PLC0415

PASSWORD_VARIABLE = "CINEMA_STAFF_PASSWORD"  # noqa: S105 (its name, not a password)
HEALTH_SECONDS = 5.0
MOST_WORKERS = 256

A = TypeVar("A")


class OneLineErrors(click.Group):
    """Commands that say what stands in their way in one line, and exit with 2."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except StorageUnavailable as error:
            cause = error.__cause__ or error
            _refuse(
                f"the database can't be used: {getattr(cause, 'orig', None) or cause}"
            )  # without SQLAlchemy's words
        except (BadSettings, CinemaError) as error:
            _refuse(str(error))
        except OSError as error:
            _discard_output()
            _refuse(str(error) or type(error).__name__)


class SettingsCommand(click.Command):
    """A command whose help lists the settings."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 (click's)
        """Write the settings, each with its default and what it is for."""
        with formatter.section("Settings (environment variables) [default]"):
            formatter.write_dl(describe_settings(), col_max=0)


@click.group(cls=OneLineErrors, context_settings={"max_content_width": 100})
@click.version_option(__version__, package_name="cinema-grpc")
def main() -> None:
    """Sell cinema seats over gRPC."""


@main.command("serve", cls=SettingsCommand)
@click.option("--demo", is_flag=True, help="Fill an empty database with demo data, and print calls to paste.")
@click.option("--migrate/--no-migrate", default=True, help="Whether to bring the database's schema up to date first.")
@click.option(
    "--workers",
    type=click.IntRange(1, MOST_WORKERS),
    default=1,
    metavar="N",
    help="Serve from so many processes on one port; needs PostgreSQL.",
)
@click.option("--worker-at", hidden=True, help="Be one of the processes that serve at this address.")
def serve_command(demo: bool, migrate: bool, workers: int, worker_at: str | None) -> None:  # noqa: FBT001 (click calls it)
    """Run the server, until SIGTERM or SIGINT."""
    from cinema_grpc.commands import serve, serve_from_workers
    from cinema_grpc.log import set_up_logging

    settings = read_settings()
    set_up_logging(settings.log_format, settings.log_level)
    if worker_at is not None:
        settings = settings.model_copy(update={"listen_address": worker_at})
        _run(serve(settings, with_migration=False, as_worker=True))
    elif workers == 1:
        _run(serve(settings, with_demo=demo, with_migration=migrate))
    elif demo:
        _refuse("--demo runs in one process; leave --workers out")
    else:
        sys.exit(_run(serve_from_workers(settings, workers, with_migration=migrate)))


@main.command("migrate", cls=SettingsCommand)
def migrate_command() -> None:
    """Bring the database's schema up to date, as the server does when it starts."""
    from cinema_grpc.commands import migrate_alone
    from cinema_grpc.log import set_up_logging

    settings = read_settings()
    set_up_logging(settings.log_format, settings.log_level)
    _run(migrate_alone(settings, {}))
    click.echo("the schema is up to date")


@main.command("audit", cls=SettingsCommand)
@click.option("--json", "as_json", is_flag=True, help="Write the report as JSON.")
def audit_command(as_json: bool) -> None:  # noqa: FBT001 (click calls it)
    """Look the database over, while servers run: every invariant of seats, bookings and money, and the books.

    Changes nothing. Exits with 1 if anything is wrong.
    """
    from cinema_grpc.commands import audit_alone
    from cinema_grpc.log import set_up_logging

    settings = read_settings()
    set_up_logging(settings.log_format, "critical")  # what goes wrong is told in one line
    report = _run(audit_alone(settings))
    click.echo(json.dumps(report.to_json(), indent=2) if as_json else report.describe())
    sys.exit(1 if report.breaches else 0)


@main.command("create-staff", cls=SettingsCommand)
@click.argument("username")
@click.option("--full-name", help="The person's name, for people to read; the username if left out.")
@click.option("--email", default="", help="The person's email address; may be left out.")
def create_staff_command(username: str, full_name: str | None, email: str) -> None:
    """Make a staff account, while the server runs or before its first start.

    The password is asked for, or read from the environment variable CINEMA_STAFF_PASSWORD.
    """
    from cinema_grpc.commands import create_staff
    from cinema_grpc.log import set_up_logging

    settings = read_settings()
    set_up_logging(settings.log_format, settings.log_level)
    _check_text(USERNAME=username, FULL_NAME=full_name, EMAIL=email)
    password = os.environ.get(PASSWORD_VARIABLE) or click.prompt("Password", hide_input=True, confirmation_prompt=True)
    _check_text(password=password)
    user = _run(create_staff(settings, username, password, full_name or username, email))
    click.echo(f"{user.username} is staff now, with the user_id {user.user_id}")


@main.command("disable-account", cls=SettingsCommand)
@click.argument("username")
def disable_account_command(username: str) -> None:
    """Disable an account of any role, while servers run: when it was stolen, say.

    Its sessions end, sign-ins are refused, and so are its access tokens, on every server within 5 seconds.
    """
    user = _switch_account(username, disable=True)
    click.echo(f"{user.username} is disabled, with the user_id {user.user_id}; servers that run refuse it within 5 s")


@main.command("enable-account", cls=SettingsCommand)
@click.argument("username")
def enable_account_command(username: str) -> None:
    """Let a disabled account sign in again. Its sessions and access tokens from before stay ended."""
    user = _switch_account(username, disable=False)
    click.echo(f"{user.username} is enabled, with the user_id {user.user_id}")


def _switch_account(username: str, *, disable: bool) -> User:
    from cinema_grpc.commands import switch_account
    from cinema_grpc.log import set_up_logging

    settings = read_settings()
    set_up_logging(settings.log_format, settings.log_level)
    _check_text(USERNAME=username)
    user = _run(switch_account(settings, username, disable=disable))
    if user is None:
        _refuse(f"there is no account named {username!r}")
    return user


@main.command("health")
@click.argument("address", required=False)
def health_command(address: str | None) -> None:
    """Ask a server for its health, by gRPC without TLS: exit with 0 if it is serving, else with 1.

    ADDRESS is HOST:PORT; if left out, the one that CINEMA_HEALTH_ADDRESS says, or CINEMA_LISTEN_ADDRESS.
    """
    if address:
        try:
            check_address(address)
        except ValueError as error:
            _refuse(f"ADDRESS: {error}")
    target = address or _own_address(read_settings())
    status = _run(_check_health(target))
    click.echo(f"{target} is {status}")
    sys.exit(0 if status == "SERVING" else 1)


async def _check_health(target: str) -> str:
    async with grpc.aio.insecure_channel(target) as channel:
        request = health_pb2.HealthCheckRequest()
        try:
            answer = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=HEALTH_SECONDS)
        except grpc.aio.AioRpcError as error:
            return f"not answering ({error.code().name})"
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def _own_address(settings: Settings) -> str:
    """Give the address at which a server can be asked for its health from its own machine."""
    if settings.health_address is None and settings.tls_certificate is not None:
        _refuse(f"{PREFIX}HEALTH_ADDRESS: must be set where there is TLS, such as to 127.0.0.1:50052")
    host, _, port = (settings.health_address or settings.listen_address).rpartition(":")
    loopback = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 # nosec B104
    return f"{loopback.get(host, host)}:{port}"


def _run(work: Coroutine[Any, Any, A]) -> A:
    """Run it, on uvloop where that is installed."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(work)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if find_spec("uvloop") is None:
        return None
    import uvloop

    return uvloop.new_event_loop


def _check_text(**arguments: str | None) -> None:
    """Refuse bytes that are not UTF-8, which Python keeps in a form that can't be stored."""
    for name, value in arguments.items():
        try:
            (value or "").encode()
        except UnicodeEncodeError:
            _refuse(f"{name}: must be UTF-8")


def _discard_output() -> None:
    """Keep the interpreter from writing what is left of the output as it ends, which would fail once more."""
    with suppress(OSError, ValueError):  # where it is no file, as in a test
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _refuse(message: str) -> NoReturn:
    """Write one line of printable text to standard error, and exit with 2."""
    line = "".join(letter if letter.isprintable() else "?" for letter in " ".join(message.split()))
    click.echo(f"cinema: {line}", err=True)
    sys.exit(2)
