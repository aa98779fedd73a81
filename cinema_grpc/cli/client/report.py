"""`cinema report` of a server."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from cinema_grpc.cli.client.exit_codes import ExitCode
from cinema_grpc.cli.client.servers import TlsFiles
from cinema_grpc.cli.client.session import fail, reported, session_with

if TYPE_CHECKING:
    from cinema_client.cinema.v1.box_office_service_pb2 import SalesLine as SalesLineMessage

    from cinema_grpc.domain.sales import SalesLine

# ruff: noqa: PLC0415 (see session.py)


def report_of_server(
    server: str,
    files: TlsFiles,
    output: str,
    cinema: str,
    showtime: str,
    movie: str,
    from_date: str | None,
    until_date: str | None,
    by: str,
) -> None:
    """Write the sales report of a cinema.

    Args:
        server: The value of --server.
        files: The values of --ca, --cert and --key.
        output: "text", "csv" or "json".
        cinema: The identifier of the cinema.
        showtime: Of this showtime alone; "" for all.
        movie: Of this movie alone; "" for all.
        from_date: The first business day; None for the latest that is over.
        until_date: The day after the last one; None for the day after the first.
        by: The value of --by.
    """
    from cinema_client.cinema.v1.box_office_service_pb2 import GetSalesReportRequest, SalesGroup
    from cinema_client.cinema.v1.catalog_service_pb2 import GetCinemaRequest

    from cinema_grpc.cli.client.output import value
    from cinema_grpc.cli.report_output import PrintedReport, day_after, write
    from cinema_grpc.domain.business_days import latest_business_day, parse_period
    from cinema_grpc.domain.errors import InvalidRequest

    with reported(output):
        session = session_with(server, files, output)
        with session.client() as client:
            zone = client.catalog.GetCinema(GetCinemaRequest(cinema_id=cinema)).cinema.time_zone
            first_day = from_date or latest_business_day(datetime.now(UTC), zone).isoformat()
            try:
                first, until = parse_period(first_day, until_date or day_after(first_day))
            except InvalidRequest as error:
                fail(output, ExitCode.USAGE, str(error))
            response = client.box_office.GetSalesReport(
                GetSalesReportRequest(
                    cinema_id=cinema,
                    showtime_id=showtime,
                    movie_id=movie,
                    from_date=first.isoformat(),
                    until_date=until.isoformat(),
                    group_by=value(SalesGroup, by),
                )
            )
    lines, totals = ([_line(each) for each in part] for part in (response.lines, response.totals))
    click.echo(write(PrintedReport(lines, totals, by, first, until, zone), output), nl=False)


def _line(line: "SalesLineMessage") -> "SalesLine":
    from cinema_grpc.domain.sales import SalesLine

    return SalesLine(
        key=line.key,
        currency_code=line.gross.currency_code,
        seats_sold=line.seats_sold,
        seats_cancelled=line.seats_cancelled,
        gross=line.gross.minor_units,
        refunded=line.refunded.minor_units,
        kept=line.kept_minor_units,
        complimentary_seats=line.complimentary_seats,
        seats_on_offer=line.seats_on_offer,
        entry_conflicts=line.entry_conflicts,
    )
