"""`cinema report`: a sales report from the database, as a table or as CSV."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.migrate import REPORTING
from cinema_grpc.adapters.database.sales_reader import SqlSalesReader
from cinema_grpc.application.sales_report import SalesFilter, SalesReport, SalesReports
from cinema_grpc.cli.amounts import major
from cinema_grpc.cli.maintenance import check_exists
from cinema_grpc.config import Settings
from cinema_grpc.domain.business_days import DAY, latest_business_day, parse_period
from cinema_grpc.domain.sales import SalesGroup, SalesLine
from cinema_grpc.storage import bring_up_to_date

COLUMNS = ("sold", "cancelled", "gross", "refunded", "kept", "complimentary", "conflicts", "on offer")


@dataclass(frozen=True, slots=True)
class PrintedReport:
    """A report, and what it is about."""

    report: SalesReport
    group: SalesGroup
    from_date: date
    until_date: date
    time_zone: str


async def report_sales(
    settings: Settings,
    cinema_id: str,
    showtime_id: str,
    movie_id: str,
    from_date: str | None,
    until_date: str | None,
    by: str,
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

    Raises:
        BadSettings: There is no such database, or its schema is not up to date.
        InvalidRequest: A date is malformed.
        CinemaNotFound: There is no such cinema.
        StorageUnavailable: The database can't be read.
    """
    database = Database(settings.database_url)
    check_exists(database)
    try:
        await bring_up_to_date(database, REPORTING, with_migration=False)
        reports = SalesReports(SqlSalesReader(database))
        time_zone = await reports.time_zone(cinema_id)
        first_day = from_date or latest_business_day(await database.now(), time_zone).isoformat()
        first, until = parse_period(first_day, until_date or _day_after(first_day))
        group = SalesGroup(by.replace("-", "_").upper())
        report = await reports.report(SalesFilter(cinema_id, showtime_id, movie_id), first, until, group)
        return PrintedReport(report, group, first, until, time_zone)
    finally:
        await database.close()


def describe(printed: PrintedReport) -> str:
    """Return the report as a table for people, with amounts in the major unit of their currency."""
    header = [printed.group.value.lower().replace("_", " "), "currency", *COLUMNS]
    lines = [_cells(line.key, line) for line in printed.report.lines]
    totals = [_cells("total", line) for line in printed.report.totals]
    if printed.group is not SalesGroup.SHOWTIME:
        header, lines, totals = header[:-1], [each[:-1] for each in lines], [each[:-1] for each in totals]
    widths = [max(map(len, column)) for column in zip(header, *lines, *totals, strict=True)]
    last_day = (printed.until_date - DAY).isoformat()
    first_day = printed.from_date.isoformat()
    days = first_day if first_day == last_day else f"{first_day} to {last_day}"
    table = [_aligned(row, widths) for row in (header, *lines)]
    table += ["", *(_aligned(row, widths) for row in totals)] if totals else ["", "Nothing was sold or cancelled."]
    return "\n".join([f"Sales of {days}, from 05:00 to 05:00 {printed.time_zone}", "", *table])


def to_csv(printed: PrintedReport) -> str:
    """Return the lines as CSV, with amounts in minor units; it has no totals."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = (
        "seats_sold",
        "seats_cancelled",
        "gross",
        "refunded",
        "kept",
        "complimentary_seats",
        "seats_on_offer",
        "entry_conflicts",
    )
    writer.writerow(("key", "currency_code", *columns))
    writer.writerows(
        (line.key, line.currency_code, *(getattr(line, name) for name in columns)) for line in printed.report.lines
    )
    return text.getvalue()


def _day_after(text: str) -> str:
    """Return the next day, or the text itself if it is no date, so that `parse_period` refuses it."""
    try:
        return (date.fromisoformat(text) + DAY).isoformat()
    except (ValueError, OverflowError):
        return text


def _cells(key: str, line: SalesLine) -> list[str]:
    counts = (str(each) for each in (line.seats_sold, line.seats_cancelled))
    amounts = (major(amount, line.currency_code) for amount in (line.gross, line.refunded, line.kept))
    more = (str(each) for each in (line.complimentary_seats, line.entry_conflicts, line.seats_on_offer))
    return [key, line.currency_code, *counts, *amounts, *more]


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return the cells of a line: the first two to the left, the others to the right."""
    padded = (
        cell.ljust(width) if number < 2 else cell.rjust(width)
        for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join(padded).rstrip()
