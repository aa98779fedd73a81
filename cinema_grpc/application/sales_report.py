"""The sales report of a cinema: what was sold and refunded on its business days."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from cinema_grpc.domain.business_days import BusinessDays
from cinema_grpc.domain.errors import CinemaNotFound, FieldViolation, InvalidRequest
from cinema_grpc.domain.sales import SalesBook, SalesEvent, SalesGroup, SalesLine

MAX_LINES = 20_000
"""Maximum lines of a report, some 100 bytes each: a client receives at most 4 MiB unless it sets another limit."""


@dataclass(frozen=True, slots=True)
class SalesFilter:
    """Whose sales to report: those of a cinema, and of one showtime or movie of it; "" for any."""

    cinema_id: str
    showtime_id: str = ""
    movie_id: str = ""


@dataclass(frozen=True, slots=True)
class SalesReport:
    """The lines by key and currency, and a total for each currency."""

    lines: Sequence[SalesLine]
    totals: Sequence[SalesLine]


class SalesReader(Protocol):
    """Reads sales and cancellations."""

    async def time_zone(self, cinema_id: str) -> str | None:
        """Return the time zone of a cinema, or None."""
        ...

    def events(
        self, sales: SalesFilter, start: datetime, end: datetime, *, by_seat: bool
    ) -> AsyncIterator[Sequence[SalesEvent]]:
        """Read sales and cancellations from `start` until before `end`, in parts that take a few milliseconds each.

        `restored` is read only if `by_seat`.
        """
        ...


class SalesReports:
    """Reports sales.

    The events are read in small parts and added up here, one part at a time. So the event loop and an SQLite file stay
    free for other calls meanwhile, and no report needs memory for more than a part and the lines.
    """

    def __init__(self, reader: SalesReader) -> None:
        self._reader = reader

    async def time_zone(self, cinema_id: str) -> str:
        """Return the time zone of a cinema.

        Raises:
            CinemaNotFound.
        """
        time_zone = await self._reader.time_zone(cinema_id)
        if time_zone is None:
            raise CinemaNotFound(cinema_id)
        return time_zone

    async def report(self, sales: SalesFilter, from_date: date, until_date: date, group: SalesGroup) -> SalesReport:
        """Return the sales of business days.

        Args:
            sales: Whose sales.
            from_date: The first day.
            until_date: The day after the last day.
            group: What the lines stand for.

        Raises:
            CinemaNotFound: There is no such cinema.
            InvalidRequest: The report would have more than 20,000 lines.
        """
        days = BusinessDays(from_date, until_date, await self.time_zone(sales.cinema_id))
        book = SalesBook(group, days)
        by_seat = group in {SalesGroup.CATEGORY, SalesGroup.TICKET_TYPE}
        async for events in self._reader.events(sales, days.start, days.end, by_seat=by_seat):
            book.add(events)
            if len(book) > MAX_LINES:
                problem = f"must be earlier: the report would have more than {MAX_LINES} lines"
                raise InvalidRequest(FieldViolation("until_date", problem))
        return SalesReport(book.lines, book.totals)
