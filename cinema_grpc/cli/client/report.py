"""`cinema report` of a server."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import TYPE_CHECKING

import click

from cinema_grpc.cli.client.exit_codes import ExitCode
from cinema_grpc.cli.client.servers import TlsFiles
from cinema_grpc.cli.client.session import fail, reported, session_with, written

if TYPE_CHECKING:
    from cinema_client import Client
    from cinema_client.cinema.v1.box_office_service_pb2 import SalesLine as SalesLineMessage

    from cinema_grpc.domain.sales import SalesLine, ShowtimeTitle

# ruff: noqa: PLC0415 (see session.py)

MAX_SHOWTIMES, MAX_MOVIES = 4_000, 200
"""How many are read for their titles: in 20 calls, and in 200."""


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
    from cinema_grpc.cli.report_output import PrintedReport, reported_days, write
    from cinema_grpc.domain.errors import InvalidRequest

    with reported(output):
        session = session_with(server, files, output)
        with session.client() as client:
            zone = client.catalog.GetCinema(GetCinemaRequest(cinema_id=cinema)).cinema.time_zone
            try:
                first, until = reported_days(from_date, until_date, datetime.now(UTC), zone)
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
            titles = _titles(client, cinema, by, response.lines, first) if output == "text" else {}
    lines, totals = ([_line(each) for each in part] for part in (response.lines, response.totals))
    printed = PrintedReport(lines, totals, by, first, until, zone).with_titles(titles)
    with written(session):
        click.echo(write(printed, output), nl=False)


def _titles(
    client: "Client", cinema: str, by: str, lines: Iterable["SalesLineMessage"], first: date
) -> Mapping[str, "str | ShowtimeTitle"]:
    """Return the titles of movies or showtimes by their identifiers: others stand for themselves."""
    keys = sorted({line.key for line in lines})
    if by == "movie":
        return _movie_titles(client, keys[:MAX_MOVIES])
    return _showtime_titles(client, cinema, set(keys), first) if by == "showtime" else {}


def _movie_titles(client: "Client", movie_ids: Iterable[str]) -> dict[str, str]:
    from cinema_client.cinema.v1.catalog_service_pb2 import GetMovieRequest

    return {each: client.catalog.GetMovie(GetMovieRequest(movie_id=each)).movie.title for each in movie_ids}


def _showtime_titles(client: "Client", cinema: str, missing: set[str], first: date) -> dict[str, "ShowtimeTitle"]:
    """Look for showtimes in the cinema's list: 200 a call, without their seats."""
    from cinema_client.cinema.v1.showtime_service_pb2 import ListShowtimesRequest

    from cinema_grpc.cli.client.arguments import timestamp
    from cinema_grpc.domain.sales import ShowtimeTitle

    if not missing:
        return {}
    # Seats are sold and cancelled until the end of the showtime, which may have begun the day before.
    since = datetime.combine(first - timedelta(days=2), time(), UTC)
    request = ListShowtimesRequest(
        cinema_id=cinema, start_time_from=timestamp(since), include_cancelled=True, page_size=200
    )
    found: dict[str, ShowtimeTitle] = {}
    for each in islice(client.pages(client.showtimes.ListShowtimes, request), MAX_SHOWTIMES):
        if each.showtime_id in missing:
            found[each.showtime_id] = ShowtimeTitle(
                each.start_time.ToDatetime(UTC), each.auditorium_name, each.movie.title
            )
            if len(found) == len(missing):
                break
    return found


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
