"""`cinema report` on a database."""

from cinema_grpc.adapters.database.migrate import REPORTING
from cinema_grpc.adapters.database.sales_reader import SqlSalesReader
from cinema_grpc.adapters.database.sales_titles import movie_titles, showtime_titles
from cinema_grpc.application.sales_report import SalesFilter, SalesReports
from cinema_grpc.cli.maintenance import opened
from cinema_grpc.cli.report_output import PrintedReport, reported_days
from cinema_grpc.config import Settings
from cinema_grpc.domain.sales import SalesGroup


async def report_sales(
    settings: Settings,
    cinema_id: str,
    showtime_id: str,
    movie_id: str,
    from_date: str | None,
    until_date: str | None,
    by: str,
    *,
    with_titles: bool,
) -> PrintedReport:
    """Read a report.

    Args:
        settings: Name the database.
        cinema_id: The cinema.
        showtime_id: Of this showtime alone; "" for all.
        movie_id: Of this movie alone; "" for all.
        from_date: The first business day; None for the latest that is over.
        until_date: The day after the last one; None for the day after the first.
        by: The name of a SalesGroup, in lower case with hyphens.
        with_titles: Whether to read the titles of movies and showtimes, where lines stand for them.

    Raises:
        BadSettings: There is no such database, or its schema is not up to date.
        InvalidRequest: A date is malformed.
        CinemaNotFound: There is no such cinema.
        StorageUnavailable: The database can't be read.
    """
    async with opened(settings, REPORTING) as database:
        reports = SalesReports(SqlSalesReader(database))
        time_zone = await reports.time_zone(cinema_id)
        first, until = reported_days(from_date, until_date, await database.now(), time_zone)
        group = SalesGroup(by.replace("-", "_").upper())
        report = await reports.report(SalesFilter(cinema_id, showtime_id, movie_id), first, until, group)
        printed = PrintedReport(report.lines, report.totals, by, first, until, time_zone)
        keys = sorted({line.key for line in report.lines})
        if with_titles and group is SalesGroup.SHOWTIME:
            return printed.with_titles(await showtime_titles(database, keys))
        if with_titles and group is SalesGroup.MOVIE:
            return printed.with_titles(await movie_titles(database, keys))
        return printed
