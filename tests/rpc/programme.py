"""A programme to put showtimes into: a movie and an auditorium behind a running server."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cinema.v1 import showtime_pb2
from cinema.v1 import showtime_service_pb2 as pb
from cinema.v1.money_pb2 import Money

from tests.builders import NOW
from tests.rpc.conftest import App, moment

MICROSECOND = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)
RUNTIME = timedelta(hours=2)
TOMORROW = NOW + timedelta(days=1)
EUR = Money(currency_code="EUR", minor_units=1_250)


@dataclass
class Programme:
    """An app with a movie of two hours and an auditorium of 18 seats, to put showtimes into."""

    app: App
    movie_id: str
    auditorium_id: str
    cinema_id: str

    async def create(self, start: datetime | None = TOMORROW, **changes: Any) -> showtime_pb2.Showtime:
        """Put a showtime on the programme."""
        fields = {
            "movie_id": self.movie_id,
            "auditorium_id": self.auditorium_id,
            "start_time": None if start is None else moment(start),
            "price": EUR,
        }
        request = pb.CreateShowtimeRequest(**(fields | changes))
        answer = await self.app.showtimes.CreateShowtime(request, metadata=await self.app.staff())
        return answer.showtime

    async def page(self, **fields: Any) -> tuple[list[str], str]:
        """Read a page of the programme without signing in; return its identifiers and the next page's token."""
        answer = await self.app.showtimes.ListShowtimes(pb.ListShowtimesRequest(**fields))
        return [showtime.showtime_id for showtime in answer.showtimes], answer.next_page_token

    async def listed(self, **fields: Any) -> list[str]:
        """Read a list that is no longer than a page."""
        identifiers, token = await self.page(**fields)
        assert token == ""
        return identifiers


async def open_programme(app: App) -> Programme:
    """Enter the movie and the auditorium."""
    auditorium = await app.auditorium()
    movie = await app.movie(minutes=120)
    return Programme(app, movie.movie_id, auditorium.auditorium_id, auditorium.cinema_id)
