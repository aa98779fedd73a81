"""The commands of `cinema` for operators.

`serve`, `migrate`, `audit`, `report`, `reconcile`, `import`, `health`; those for accounts are in account_commands.py.
"""

import json
import sys
from pathlib import Path

import click

from cinema_grpc import __version__
from cinema_grpc.cli.account_commands import ACCOUNT_COMMANDS
from cinema_grpc.cli.command import LOGGED, SettingsCommand, check_text, print_lines, run, settings_and_log
from cinema_grpc.cli.group import AllCommands
from cinema_grpc.cli.printing import refuse

# Commands import what they need when they run: those of the client do without the server, and probes run
# `cinema health` every few seconds, so it must start fast.
# ruff: noqa: PLC0415

MAX_WORKERS = 256
SALES_GROUPS = ("day", "movie", "showtime", "category", "ticket-type", "tender")
DATABASE = ("database_url",)
STRIPE = ("payments", "stripe_secret_key", "stripe_secret_key_file", "stripe_api_base")
HEALTH = ("listen_address", "health_address", "tls_certificate", "tls_client_ca")
"""The settings that some commands read; `serve` reads all."""


@click.group(cls=AllCommands, context_settings={"max_content_width": 100, "help_option_names": ["-h", "--help"]})
@click.version_option(__version__, package_name="cinema-grpc")
def main() -> None:
    """Sell cinema seats over gRPC: run the server, or call one."""


@main.command("serve", cls=SettingsCommand)
@click.option("--demo", is_flag=True, help="Fill an empty database with demo data, and print calls to paste.")
@click.option("--migrate/--no-migrate", default=True, help="Migrate the schema first (default), or require it.")
@click.option(
    "--workers",
    type=click.IntRange(1, MAX_WORKERS),
    default=1,
    metavar="N",
    help="Serve from N processes on one port. Needs PostgreSQL.",
)
@click.option("--worker-at", hidden=True, help="Run as a worker process that serves at this address.")
def serve_command(demo: bool, migrate: bool, workers: int, worker_at: str | None) -> None:  # noqa: FBT001 (click calls it)
    """Run the server until SIGTERM or SIGINT."""
    from cinema_grpc.cli.serving import serve, serve_from_workers

    settings = settings_and_log()
    if worker_at is not None:
        settings = settings.model_copy(update={"listen_address": worker_at})
        run(serve(settings, with_migration=False, as_worker=True))
    elif workers == 1:
        run(serve(settings, with_demo=demo, with_migration=migrate))
    elif demo:
        refuse("--demo runs in one process; leave --workers out")
    else:
        sys.exit(run(serve_from_workers(settings, workers, with_migration=migrate)))


@main.command("migrate", cls=SettingsCommand, reads=LOGGED)
def migrate_command() -> None:
    """Migrate the database schema, as the server does when it starts."""
    from cinema_grpc.cli.maintenance import migrate_database
    from cinema_grpc.database_url import without_secrets

    settings = settings_and_log()
    run(migrate_database(settings, {}))
    print_lines(f"the schema is up to date in {without_secrets(settings.database_url)}")


@main.command("audit", cls=SettingsCommand, reads=DATABASE)
@click.option("--json", "as_json", is_flag=True, help="Write the report as JSON.")
def audit_command(as_json: bool) -> None:  # noqa: FBT001 (click calls it)
    """Check every invariant of seats, bookings and money in the database, and the ledger of payments.

    Servers may run. Changes nothing. Exits with 1 if an invariant is broken.
    """
    from cinema_grpc.cli.maintenance import audit_database

    report = run(audit_database(settings_and_log("critical")))  # an error is reported in one line
    click.echo(json.dumps(report.to_json(), indent=2) if as_json else report.describe())
    sys.exit(1 if report.breaches else 0)


@main.command("report", cls=SettingsCommand, reads=DATABASE)
@click.argument("cinema")
@click.option("--from", "from_date", metavar="DATE", help="First business day. By default the latest that is over.")
@click.option("--until", "until_date", metavar="DATE", help="Day after the last one. By default the day after --from.")
@click.option("--by", type=click.Choice(SALES_GROUPS), default="day", help="What the lines stand for. By default day.")
@click.option("--showtime", default="", metavar="ID", help="Only sales of this showtime.")
@click.option("--movie", default="", metavar="ID", help="Only sales of this movie.")
@click.option("--csv", "as_csv", is_flag=True, help="Write CSV, with amounts in minor units.")
@click.option("--server", envvar="CINEMA_SERVER", metavar="HOST:PORT", help="Ask this server, not the database.")
@click.option("--ca", envvar="CINEMA_CA", type=click.Path(path_type=Path), help="With a server: certificates to trust.")
@click.option("--cert", envvar="CINEMA_CERT", type=click.Path(path_type=Path), help="With a server: your certificate.")
@click.option("--key", envvar="CINEMA_KEY", type=click.Path(path_type=Path), help="With a server: the key of --cert.")
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
    cert: Path | None,
    key: Path | None,
    output: str,
) -> None:
    """Report what a cinema sold and refunded, by business days from 05:00 to 05:00 in its time zone.

    CINEMA is its cinema_id, which `cinema cinemas` lists. Dates are written as 2026-05-01; a report has at
    most 400 days. Seats count as sold when they are paid for, and as cancelled when they are cancelled. Changes
    nothing.

    With --server or CINEMA_SERVER, asks that server; sign in as staff first. Otherwise reads the database, also while
    servers run.
    """
    output = "csv" if as_csv else output
    check_text(CINEMA=cinema, showtime=showtime, movie=movie, **{"from": from_date, "until": until_date})
    if server is not None:
        from cinema_grpc.cli.client.report import report_of_server
        from cinema_grpc.cli.client.servers import TlsFiles

        report_of_server(server, TlsFiles(ca, cert, key), output, cinema, showtime, movie, from_date, until_date, by)
        return
    from cinema_grpc.cli.report_output import write
    from cinema_grpc.cli.sales_report import report_sales

    settings = settings_and_log("critical")  # an error is reported in one line
    sales = report_sales(settings, cinema, showtime, movie, from_date, until_date, by, with_titles=output == "text")
    report = run(sales)
    click.echo(write(report, output), nl=False)


@main.command("reconcile", cls=SettingsCommand, reads=(*DATABASE, *STRIPE))
@click.option("--since", required=True, metavar="DATE", help="First day to compare, in UTC, such as 2026-05-01.")
@click.option("--json", "as_json", is_flag=True, help="Write the differences as JSON.")
def reconcile_command(since: str, as_json: bool) -> None:  # noqa: FBT001 (click calls it)
    """Compare the ledger of payments with Stripe's balance transactions, and name every difference.

    Servers may run. Changes nothing. Exits with 1 if there is a difference. docs/payments.md says what to do with each.
    """
    from cinema_grpc.cli.reconcile import reconcile

    settings = settings_and_log("critical")  # an error is reported in one line
    check_text(since=since)
    result = run(reconcile(settings, since))
    click.echo(json.dumps(result.to_json(), indent=2) if as_json else result.describe())
    sys.exit(1 if result.differences else 0)


@main.command("import", cls=SettingsCommand, reads=(*LOGGED, *STRIPE))
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Check everything, and write nothing.")
def import_command(files: tuple[Path, ...], dry_run: bool) -> None:  # noqa: FBT001 (click calls it)
    """Add the movies, cinemas, auditoriums and showtimes of FILES that are missing: all of them, or nothing.

    FILES are .csv or .json; docs/operations.md describes them. Entries go by names, so an import can be repeated.
    Servers may run. If there are errors, prints a line for each, with row and field, and exits with 1.
    """
    from cinema_grpc.cli.import_catalog import describe, import_catalog

    settings = settings_and_log()
    plan = run(import_catalog(settings, files, dry_run=dry_run))
    print_lines(describe(plan, settings.database_url, dry_run=dry_run), err=bool(plan.problems))
    sys.exit(1 if plan.problems else 0)


@main.command("health", cls=SettingsCommand, reads=HEALTH)
@click.argument("address", required=False)
@click.option("--ca", type=click.Path(path_type=Path), help="Speak TLS, and trust the certificates in this PEM file.")
@click.option("--server-name", default="", help="Name in the server's certificate, if it is not that in ADDRESS.")
@click.option("--cert", type=click.Path(path_type=Path), help="Client certificate, where the server asks for one.")
@click.option("--key", type=click.Path(path_type=Path), help="Private key of --cert.")
def health_command(address: str | None, ca: Path | None, server_name: str, cert: Path | None, key: Path | None) -> None:
    """Check the health of a server by gRPC. Exits with 0 if it is SERVING, else with 1.

    ADDRESS is HOST:PORT. By default it is CINEMA_HEALTH_ADDRESS, or else CINEMA_LISTEN_ADDRESS, with TLS if
    CINEMA_TLS_CERTIFICATE is set, which is then the certificate that is trusted.
    """
    from cinema_grpc.addresses import check_address
    from cinema_grpc.cli.health import Trust, health_of, local_health_address
    from cinema_grpc.environment import read_settings

    if address:
        try:
            check_address(address)
        except ValueError as error:
            refuse(f"ADDRESS: {error}")
    if ca is None and (server_name or cert or key):
        refuse("--server-name, --cert and --key need --ca")
    if (cert is None) != (key is None):
        refuse("--cert and --key need each other")
    trust = None
    if address is None:
        address, trust = local_health_address(read_settings())
    if ca is not None:
        trust = Trust(ca, server_name, cert, key)
    status = run(health_of(address, trust))
    print_lines(f"{address} is {status}")
    sys.exit(0 if status == "SERVING" else 1)


for command in ACCOUNT_COMMANDS:
    main.add_command(command)
