"""The days of `cinema report`, and what it writes: a table, CSV or JSON."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from rich.cells import cell_len
from rich.text import Text

from cinema_grpc.cli.amounts import major
from cinema_grpc.cli.printing import plain
from cinema_grpc.domain.business_days import DAY, latest_business_day, parse_period
from cinema_grpc.domain.sales import SalesLine, ShowtimeTitle

LONGEST_TITLE = 60
"""Columns of a terminal."""
COLUMNS = ("sold", "cancelled", "gross", "refunded", "kept", "complimentary", "conflicts", "on offer")


@dataclass(frozen=True, slots=True)
class PrintedReport:
    """A report, and what it is about.

    Attributes:
        lines: The lines by key and currency.
        totals: A total for each currency.
        group: What the lines stand for: the value of --by.
        from_date: The first business day.
        until_date: The day after the last one.
        time_zone: That of the cinema.
        titles: What people see in place of keys. A key without stands for itself.
    """

    lines: Sequence[SalesLine]
    totals: Sequence[SalesLine]
    group: str
    from_date: date
    until_date: date
    time_zone: str
    titles: Mapping[str, str] = field(default_factory=dict)

    def with_titles(self, titles: Mapping[str, str | ShowtimeTitle]) -> "PrintedReport":
        """Return the report with the titles of movies or showtimes, by their identifiers."""
        if not titles:
            return self
        zone = ZoneInfo(self.time_zone)
        return replace(self, titles={key: _title(each, zone) for key, each in titles.items()})


def write(printed: PrintedReport, output: str) -> str:
    """Return the report as "text", "csv" or "json", with the end of its last line."""
    if output == "json":
        lines, totals = ([_json(line) for line in part] for part in (printed.lines, printed.totals))
        return json.dumps({"lines": lines, "totals": totals}, indent=2) + "\n"
    return to_csv(printed) if output == "csv" else describe(printed) + "\n"


def describe(printed: PrintedReport) -> str:
    """Return the report as a table for people, with amounts in the major unit of their currency."""
    header = [printed.group.replace("-", " "), "currency", *COLUMNS]
    lines = [_cells(printed.titles.get(line.key, line.key), line) for line in printed.lines]
    if printed.titles:
        lines.sort(key=lambda cells: cells[:2])
    totals = [_cells("total", line) for line in printed.totals]
    if printed.group != "showtime":
        header, lines, totals = header[:-1], [each[:-1] for each in lines], [each[:-1] for each in totals]
    widths = [max(map(cell_len, column)) for column in zip(header, *lines, *totals, strict=True)]
    last_day = (printed.until_date - DAY).isoformat()
    first_day = printed.from_date.isoformat()
    days = first_day if first_day == last_day else f"{first_day} to {last_day}"
    table = [_aligned(row, widths) for row in (header, *lines)]
    table += ["", *(_aligned(row, widths) for row in totals)] if totals else ["", "Nothing was sold or cancelled."]
    return "\n".join([f"Sales of {days}, from 05:00 to 05:00 {plain(printed.time_zone)}", "", *table])


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
        (line.key, line.currency_code, *(getattr(line, name) for name in columns)) for line in printed.lines
    )
    return text.getvalue()


def reported_days(from_date: str | None, until_date: str | None, now: datetime, time_zone: str) -> tuple[date, date]:
    """Return the first day of a report and the day after the last one.

    Args:
        from_date: The first day; None for the latest that is over.
        until_date: The day after the last one; None for the day after the first.
        now: The present time.
        time_zone: That of the cinema.

    Raises:
        InvalidRequest: A text is no date, or the period is not of 1 to 400 days.
    """
    first = from_date or latest_business_day(now, time_zone).isoformat()
    return parse_period(first, until_date or _day_after(first))


def _day_after(text: str) -> str:
    """Return the next day, or the text itself if it is no date, so that `parse_period` refuses it."""
    try:
        return (date.fromisoformat(text) + DAY).isoformat()
    except (ValueError, OverflowError):
        return text


def _json(line: SalesLine) -> dict[str, Any]:
    """Return a line in the JSON form of the message SalesLine."""
    gross, refunded = (
        {"currencyCode": line.currency_code, "minorUnits": str(amount)} for amount in (line.gross, line.refunded)
    )
    return {
        "key": line.key,
        "seatsSold": line.seats_sold,
        "seatsCancelled": line.seats_cancelled,
        "gross": gross,
        "refunded": refunded,
        "keptMinorUnits": str(line.kept),
        "complimentarySeats": line.complimentary_seats,
        "seatsOnOffer": line.seats_on_offer,
        "entryConflicts": line.entry_conflicts,
    }


def _title(title: str | ShowtimeTitle, zone: ZoneInfo) -> str:
    """Return a title as text that is safe to print, and not too wide; that of a showtime begins with its start."""
    if isinstance(title, ShowtimeTitle):
        start = title.start_time.astimezone(zone)
        title = f"{start:%Y-%m-%d %H:%M} {title.auditorium}: {title.movie}"
    shown = Text(plain(title))
    shown.truncate(LONGEST_TITLE, overflow="ellipsis")
    return shown.plain


def _cells(key: str, line: SalesLine) -> list[str]:
    counts = (str(each) for each in (line.seats_sold, line.seats_cancelled))
    amounts = (_amount(amount, line.currency_code) for amount in (line.gross, line.refunded, line.kept))
    more = (str(each) for each in (line.complimentary_seats, line.entry_conflicts, line.seats_on_offer))
    return [plain(key), plain(line.currency_code), *counts, *amounts, *more]


def _amount(minor_units: int, currency_code: str) -> str:
    try:
        return major(minor_units, currency_code)
    except ValueError:  # a currency that is newer than this program
        return f"{minor_units} (minor units)"


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return the cells of a line: the first two to the left, the others to the right."""
    blanks = [" " * (width - cell_len(cell)) for cell, width in zip(cells, widths, strict=True)]
    padded = (
        f"{cell}{blank}" if number < 2 else f"{blank}{cell}"
        for number, (cell, blank) in enumerate(zip(cells, blanks, strict=True))
    )
    return "  ".join(padded).rstrip()
