"""The commands of `cinema` for operators: `serve`, `migrate`, `audit`, `report`, `health`, and those for accounts."""

import json
import os
import sys
from collections.abc import Callable, Coroutine
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cinema_grpc import __version__
from cinema_grpc.cli.group import AllCommands, refuse

if TYPE_CHECKING:
    from cinema_grpc.config import Settings
    from cinema_grpc.domain.account import User

# Commands import what they need when they run: those of the client do without the server, and probes run
# `cinema health` every few seconds, so it must start fast.
# ruff: noqa: PLC0415

SALES_GROUPS = ("day", "movie", "showtime", "category", "ticket-type", "tender")
PASSWORD_VARIABLE = "CINEMA_STAFF_PASSWORD"  # noqa: S105 (its name, not a password)
SERVICE_PASSWORD_VARIABLE = "CINEMA_SERVICE_PASSWORD"  # noqa: S105 (likewise)
MOST_WORKERS = 256

A = TypeVar("A")


class SettingsCommand(click.Command):
    """A command whose help lists the settings."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 (click's)
        """Write each setting with its default and meaning."""
        from cinema_grpc.cli.settings_help import describe_settings

        with formatter.section("Settings (environment variables) [default]"):
            rows = [(f"{each.variable} [{each.default}]", each.meaning) for each in describe_settings()]
            formatter.write_dl(rows, col_max=0)


@click.group(cls=AllCommands, context_settings={"max_content_width": 100, "help_option_names": ["-h", "--help"]})
@click.version_option(__version__, package_name="cinema-grpc")
def main() -> None:
    """Sell cinema seats over gRPC: run the server, or call one."""


@main.command("serve", cls=SettingsCommand)
@click.option("--demo", is_flag=True, help="Fill an empty database with demo data, and print calls to paste.")
@click.option("--migrate/--no-migrate", default=True, help="Migrate the schema first (default), or require it.")
@click.option(
    "--workers",
    type=click.IntRange(1, MOST_WORKERS),
    default=1,
    metavar="N",
    help="Serve from N processes on one port. Needs PostgreSQL.",
)
@click.option("--worker-at", hidden=True, help="Run as a worker process that serves at this address.")
def serve_command(demo: bool, migrate: bool, workers: int, worker_at: str | None) -> None:  # noqa: FBT001 (click calls it)
    """Run the server until SIGTERM or SIGINT."""
    from cinema_grpc.cli.serving import serve, serve_from_workers

    settings = _settings_and_log()
    if worker_at is not None:
        settings = settings.model_copy(update={"listen_address": worker_at})
        _run(serve(settings, with_migration=False, as_worker=True))
    elif workers == 1:
        _run(serve(settings, with_demo=demo, with_migration=migrate))
    elif demo:
        refuse("--demo runs in one process; leave --workers out")
    else:
        sys.exit(_run(serve_from_workers(settings, workers, with_migration=migrate)))


@main.command("migrate", cls=SettingsCommand)
def migrate_command() -> None:
    """Migrate the database schema, as the server does when it starts."""
    from cinema_grpc.cli.maintenance import migrate_database

    _run(migrate_database(_settings_and_log(), {}))
    click.echo("the schema is up to date")


@main.command("audit", cls=SettingsCommand)
@click.option("--json", "as_json", is_flag=True, help="Write the report as JSON.")
def audit_command(as_json: bool) -> None:  # noqa: FBT001 (click calls it)
    """Check every invariant of seats, bookings and money in the database, and the ledger of payments.

    Servers may run. Changes nothing. Exits with 1 if an invariant is broken.
    """
    from cinema_grpc.cli.maintenance import audit_database

    report = _run(audit_database(_settings_and_log("critical")))  # an error is reported in one line
    click.echo(json.dumps(report.to_json(), indent=2) if as_json else report.describe())
    sys.exit(1 if report.breaches else 0)


@main.command("report", cls=SettingsCommand)
@click.argument("cinema")
@click.option("--from", "from_date", metavar="DATE", help="First business day. By default the latest that is over.")
@click.option("--until", "until_date", metavar="DATE", help="Day after the last one. By default the day after --from.")
@click.option("--by", type=click.Choice(SALES_GROUPS), default="day", help="What the lines stand for. By default day.")
@click.option("--showtime", default="", metavar="ID", help="Only sales of this showtime.")
@click.option("--movie", default="", metavar="ID", help="Only sales of this movie.")
@click.option("--csv", "as_csv", is_flag=True, help="Write CSV, with amounts in minor units.")
@click.option("--server", envvar="CINEMA_SERVER", metavar="HOST:PORT", help="Ask this server, not the database.")
@click.option("--ca", envvar="CINEMA_CA", type=click.Path(path_type=Path), help="With a server: certificates to trust.")
@click.option(
    "-o", "--output", type=click.Choice(("text", "json")), default="text", help="What to write: text or json."
)
def report_command(
    cinema: str,
    from_date: str | None,
    until_date: str | None,
    by: str,
    showtime: str,
    movie: str,
    as_csv: bool,  # noqa: FBT001 (click calls it)
    server: str | None,
    ca: Path | None,
    output: str,
) -> None:
    """Report what a cinema sold and refunded, by business days from 05:00 to 05:00 in its time zone.

    CINEMA is its cinema_id. Dates are written as 2026-05-01; a report has at most 400 days. Seats count as sold when
    they are paid for, and as cancelled when they are cancelled. Changes nothing.

    With --server or CINEMA_SERVER, asks that server; sign in as staff first. Otherwise reads the database, also while
    servers run.
    """
    output = "csv" if as_csv else output
    if server is not None:
        from cinema_grpc.cli.client.report import report_of_server

        report_of_server(server, ca, output, cinema, showtime, movie, from_date, until_date, by)
        return
    from cinema_grpc.cli.report_output import write
    from cinema_grpc.cli.sales_report import report_sales

    settings = _settings_and_log("critical")  # an error is reported in one line
    _check_text(CINEMA=cinema, showtime=showtime, movie=movie, **{"from": from_date, "until": until_date})
    report = _run(report_sales(settings, cinema, showtime, movie, from_date, until_date, by))
    click.echo(write(report, output), nl=False)


@main.command("reconcile", cls=SettingsCommand)
@click.option("--since", required=True, metavar="DATE", help="First day to compare, in UTC, such as 2026-05-01.")
@click.option("--json", "as_json", is_flag=True, help="Write the differences as JSON.")
def reconcile_command(since: str, as_json: bool) -> None:  # noqa: FBT001 (click calls it)
    """Compare the ledger of payments with Stripe's balance transactions, and name every difference.

    Servers may run. Changes nothing. Exits with 1 if there is a difference. docs/payments.md says what to do with each.
    """
    from cinema_grpc.cli.reconcile import reconcile

    settings = _settings_and_log("critical")  # an error is reported in one line
    _check_text(since=since)
    result = _run(reconcile(settings, since))
    click.echo(json.dumps(result.to_json(), indent=2) if as_json else result.describe())
    sys.exit(1 if result.differences else 0)


@main.command("create-staff", cls=SettingsCommand)
@click.argument("username")
@click.option("--full-name", help="The person's name. By default the username.")
@click.option("--email", default="", help="The person's email address. Optional.")
def create_staff_command(username: str, full_name: str | None, email: str) -> None:
    """Create a staff account, while the server runs or before its first start.

    Prompts for the password unless the environment variable CINEMA_STAFF_PASSWORD has it.
    """
    from cinema_grpc.cli.maintenance import create_staff

    settings = _settings_and_log()
    _check_text(USERNAME=username, FULL_NAME=full_name, EMAIL=email)
    password = _new_password(PASSWORD_VARIABLE)
    user = _run(create_staff(settings, username, password, full_name or username, email))
    click.echo(f"{user.username} is staff now, with the user_id {user.user_id}")


@main.command("create-service", cls=SettingsCommand)
@click.argument("name")
def create_service_command(name: str) -> None:
    """Create an account for a program that reads events, while the server runs or before its first start.

    The program signs in with NAME as its username. Prompts for the password unless the environment variable
    CINEMA_SERVICE_PASSWORD has it.
    """
    from cinema_grpc.cli.maintenance import create_service

    settings = _settings_and_log()
    _check_text(NAME=name)
    user = _run(create_service(settings, name, _new_password(SERVICE_PASSWORD_VARIABLE)))
    click.echo(f"{user.username} is a service now, with the user_id {user.user_id}")


@main.command("disable-account", cls=SettingsCommand)
@click.argument("username")
def disable_account_command(username: str) -> None:
    """Disable an account of any role, such as a stolen one, while servers run.

    Ends its sessions and refuses sign-ins. Every server refuses its access tokens within 5 seconds.
    """
    user = _switch_account(username, disable=True)
    click.echo(f"{user.username} is disabled, with the user_id {user.user_id}; running servers refuse it within 5 s")


@main.command("enable-account", cls=SettingsCommand)
@click.argument("username")
def enable_account_command(username: str) -> None:
    """Let a disabled account sign in again. Its earlier sessions and access tokens stay revoked."""
    user = _switch_account(username, disable=False)
    click.echo(f"{user.username} is enabled, with the user_id {user.user_id}")


def _switch_account(username: str, *, disable: bool) -> "User":
    from cinema_grpc.cli.maintenance import switch_account

    settings = _settings_and_log()
    _check_text(USERNAME=username)
    user = _run(switch_account(settings, username, disable=disable))
    if user is None:
        refuse(f"there is no account named {username!r}")
    return user


@main.command("health")
@click.argument("address", required=False)
def health_command(address: str | None) -> None:
    """Check the health of a server by gRPC without TLS. Exits with 0 if it is SERVING, else with 1.

    ADDRESS is HOST:PORT. By default it is CINEMA_HEALTH_ADDRESS, or else CINEMA_LISTEN_ADDRESS.
    """
    from cinema_grpc.addresses import check_address
    from cinema_grpc.cli.health import health_of, local_health_address
    from cinema_grpc.config import read_settings

    if address:
        try:
            check_address(address)
        except ValueError as error:
            refuse(f"ADDRESS: {error}")
    target = address or local_health_address(read_settings())
    status = _run(health_of(target))
    click.echo(f"{target} is {status}")
    sys.exit(0 if status == "SERVING" else 1)


def _settings_and_log(level: str | None = None) -> "Settings":
    """Read the settings, and set up logging by them."""
    from cinema_grpc.config import read_settings
    from cinema_grpc.observability.log import set_up_logging

    settings = read_settings()
    set_up_logging(settings.log_format, level or settings.log_level)
    return settings


def _run(work: Coroutine[Any, Any, A]) -> A:
    """Run a coroutine, on uvloop if it is installed."""
    import asyncio

    new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None
    if find_spec("uvloop") is not None:
        import uvloop

        new_loop = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(work)


def _new_password(variable: str) -> str:
    """Return the password in an environment variable, or the one that a prompt asks for."""
    password: str = os.environ.get(variable) or click.prompt("Password", hide_input=True, confirmation_prompt=True)
    _check_text(password=password)
    return password


def _check_text(**arguments: str | None) -> None:
    """Refuse bytes that are not UTF-8. Python keeps them as surrogates, which can't be stored."""
    for name, value in arguments.items():
        try:
            (value or "").encode()
        except UnicodeEncodeError:
            refuse(f"{name}: must be UTF-8")
