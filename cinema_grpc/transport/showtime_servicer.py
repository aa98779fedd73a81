"""cinema.v1.ShowtimeService: browsing and scheduling showtimes."""
# ruff: noqa: N802 (the names are those of the protos)

from datetime import datetime, timedelta

from cinema.v1 import showtime_service_pb2 as pb
from cinema.v1 import showtime_service_pb2_grpc

from cinema_grpc.application.catalog import Catalog
from cinema_grpc.application.listings import Listings
from cinema_grpc.application.ports import ShowtimeFilter
from cinema_grpc.domain.catalog import ListedShowtime
from cinema_grpc.transport.idempotency import idempotent_call
from cinema_grpc.transport.page_tokens import decode, encode, malformed_page_token, page_size, query_of
from cinema_grpc.transport.pages import fitting
from cinema_grpc.transport.parsing import EPOCH, parse_bound, parse_moment, parse_money, parse_seat_gap_policy
from cinema_grpc.transport.rendering import render_showtime, serialized
from cinema_grpc.transport.seat_maps import render_entry, render_seat_map


class ShowtimeServicer(showtime_service_pb2_grpc.ShowtimeServiceServicer):
    """Answers the calls of the ShowtimeService."""

    def __init__(self, catalog: Catalog, listings: Listings, largest_page: int) -> None:
        self._catalog = catalog
        self._listings = listings
        self._largest_page = largest_page

    async def ListShowtimes(self, request: pb.ListShowtimesRequest, _context: object) -> pb.ListShowtimesResponse:
        """Return a page of showtimes.

        Where the caller names no first moment, the first page's present moment stands for it on the later ones too.
        """
        start_from, until = parse_bound(request, "start_time_from"), parse_bound(request, "start_time_until")
        places = (request.movie_id, request.cinema_id, request.auditorium_id)
        query, after = query_of(request), None
        if request.page_token:
            start_from, after = _read_cursor(decode(query, request.page_token))
        size = page_size(request.page_size)
        condition = ShowtimeFilter(*places, start_from, until)
        now, showtimes = await self._listings.list_showtimes(condition, after, size + 1)
        entries = fitting([render_entry(showtime) for showtime in showtimes[:size]], len, self._largest_page)
        token = ""
        if len(entries) < len(showtimes):
            token = encode(query, _cursor(start_from or now, showtimes[len(entries) - 1]))
        rest = pb.ListShowtimesResponse(next_page_token=token).SerializeToString()
        return serialized(pb.ListShowtimesResponse, b"".join([*entries, rest]))

    async def GetShowtime(self, request: pb.GetShowtimeRequest, _context: object) -> pb.GetShowtimeResponse:
        """Return a showtime with its seats."""
        seat_map = await self._listings.seat_map(request.showtime_id)
        return serialized(pb.GetShowtimeResponse, render_seat_map(seat_map))

    async def CreateShowtime(self, request: pb.CreateShowtimeRequest, _context: object) -> pb.CreateShowtimeResponse:
        """Schedule a showtime."""
        body = await self._catalog.create_showtime(
            request.movie_id,
            request.auditorium_id,
            parse_moment(request.start_time, "start_time"),
            parse_money(request.price),
            parse_seat_gap_policy(request.seat_gap_policy),
            idempotent_call(request),
            lambda showtime: pb.CreateShowtimeResponse(showtime=render_showtime(showtime)).SerializeToString(),
        )
        return serialized(pb.CreateShowtimeResponse, body)


def _cursor(start_from: datetime, last: ListedShowtime) -> tuple[str, str, str]:
    """Say where the next page starts, and from which moment on the whole list runs."""
    return _microseconds(start_from), _microseconds(last.start_time), last.showtime_id


def _read_cursor(cursor: tuple[str, ...]) -> tuple[datetime, tuple[datetime, str]]:
    try:
        start_from, start_time, showtime_id = cursor
        return _moment(start_from), (_moment(start_time), showtime_id)
    except (ValueError, OverflowError):
        raise malformed_page_token() from None


def _microseconds(moment: datetime) -> str:
    return str((moment - EPOCH) // timedelta(microseconds=1))


def _moment(microseconds: str) -> datetime:
    return EPOCH + timedelta(microseconds=int(microseconds))
