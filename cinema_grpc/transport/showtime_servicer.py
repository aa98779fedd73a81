"""cinema.v1.ShowtimeService: browsing and scheduling showtimes."""
# ruff: noqa: N802 (the names are those of the protos)

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime, timedelta

from cinema.v1 import showtime_service_pb2 as pb
from cinema.v1 import showtime_service_pb2_grpc

from cinema_grpc.application.catalog import Catalog
from cinema_grpc.application.listings import Listings
from cinema_grpc.application.ports import ShowtimeFilter
from cinema_grpc.application.scheduling import Execution, Scheduling
from cinema_grpc.application.seat_suggestions import suggest_seats
from cinema_grpc.application.seat_watch import SeatWatch
from cinema_grpc.domain.booking import MICROSECOND
from cinema_grpc.domain.catalog import ListedShowtime
from cinema_grpc.transport import security_log
from cinema_grpc.transport.call import principal
from cinema_grpc.transport.idempotency import idempotent_call
from cinema_grpc.transport.page_tokens import decode, encode, malformed_page_token, page_size, query_of
from cinema_grpc.transport.pages import fitting
from cinema_grpc.transport.parsing import (
    EPOCH,
    parse_bound,
    parse_moment,
    parse_price,
    parse_price_lines,
    parse_seat_gap_policy,
)
from cinema_grpc.transport.rendering import render_showtime, serialized
from cinema_grpc.transport.seat_maps import render_entry, render_seat_map
from cinema_grpc.transport.seat_options import DEFAULT_OPTIONS, parse_party, render_option
from cinema_grpc.transport.showtime_messages import (
    encode_blocks,
    encode_impact,
    parse_block,
    parse_showtime_changes,
    render_block,
)


class ShowtimeServicer(showtime_service_pb2_grpc.ShowtimeServiceServicer):
    """Answers the calls of the ShowtimeService."""

    def __init__(
        self, catalog: Catalog, listings: Listings, scheduling: Scheduling, seat_watch: SeatWatch, largest_page: int
    ) -> None:
        self._catalog = catalog
        self._listings = listings
        self._scheduling = scheduling
        self._seat_watch = seat_watch
        self._largest_page = largest_page

    async def ListShowtimes(self, request: pb.ListShowtimesRequest, _context: object) -> pb.ListShowtimesResponse:
        """Return a page of showtimes.

        Without start_time_from, all pages begin at the time of the first one.
        """
        start_from, until = parse_bound(request, "start_time_from"), parse_bound(request, "start_time_until")
        identifiers = (request.movie_id, request.cinema_id, request.auditorium_id)
        query, after = query_of(request), None
        if request.page_token:
            start_from, after = _read_cursor(decode(query, request.page_token))
        size = page_size(request.page_size)
        condition = ShowtimeFilter(*identifiers, start_from, until, request.include_cancelled)
        now, showtimes = await self._listings.list_showtimes(condition, after, size + 1)
        entries = fitting(map(render_entry, showtimes[:size]), len, self._largest_page)
        token = ""
        if len(entries) < len(showtimes):
            token = encode(query, _cursor(start_from or now, showtimes[len(entries) - 1]))
        rest = pb.ListShowtimesResponse(next_page_token=token).SerializeToString()
        return serialized(pb.ListShowtimesResponse, b"".join([*entries, rest]))

    async def GetShowtime(self, request: pb.GetShowtimeRequest, _context: object) -> pb.GetShowtimeResponse:
        """Return a showtime with its seats."""
        seat_map = await self._listings.seat_map(request.showtime_id)
        return serialized(pb.GetShowtimeResponse, render_seat_map(seat_map))

    async def SuggestSeats(self, request: pb.SuggestSeatsRequest, _context: object) -> pb.SuggestSeatsResponse:
        """Return the best free seats for a party."""
        party, most = parse_party(request), request.max_options or DEFAULT_OPTIONS
        seat_map = await self._listings.seat_map(request.showtime_id)
        options = suggest_seats(seat_map, party, most)
        return pb.SuggestSeatsResponse(revision=seat_map.listed.revision, options=map(render_option, options))

    async def WatchSeats(
        self, request: pb.WatchSeatsRequest, _context: object
    ) -> AsyncGenerator[pb.WatchSeatsResponse, None]:
        """Stream which seats of a showtime change."""
        async with aclosing(self._seat_watch.frames(request.showtime_id, request.after_revision)) as frames:
            async for frame in frames:
                yield serialized(pb.WatchSeatsResponse, frame)

    async def CreateShowtime(self, request: pb.CreateShowtimeRequest, _context: object) -> pb.CreateShowtimeResponse:
        """Schedule a showtime."""
        body = await self._catalog.create_showtime(
            request.movie_id,
            request.auditorium_id,
            parse_moment(request.start_time, "start_time"),
            parse_price(request),
            parse_seat_gap_policy(request.seat_gap_policy),
            idempotent_call(request),
            lambda showtime: pb.CreateShowtimeResponse(showtime=render_showtime(showtime)).SerializeToString(),
            parse_price_lines(request.prices),
        )
        return serialized(pb.CreateShowtimeResponse, body)

    async def SetSeatBlocks(self, request: pb.SetSeatBlocksRequest, _context: object) -> pb.SetSeatBlocksResponse:
        """Block seats, or release blocked ones."""
        execution = _execution(request)
        block, release = parse_block(request), tuple(request.release)
        body = await self._scheduling.set_blocks(request.showtime_id, block, release, execution, encode_blocks)
        if not request.validate_only:
            security_log.note(
                "seat blocks set",
                showtime_id=request.showtime_id,
                seats=",".join(request.block.seats),
                released=",".join(release),
                reason=request.block.reason,
            )
        return serialized(pb.SetSeatBlocksResponse, body)

    async def ListSeatBlocks(self, request: pb.ListSeatBlocksRequest, _context: object) -> pb.ListSeatBlocksResponse:
        """Return the blocks of a showtime."""
        blocks = await self._scheduling.blocks(request.showtime_id)
        return pb.ListSeatBlocksResponse(blocks=map(render_block, blocks))

    async def CancelShowtime(self, request: pb.CancelShowtimeRequest, _context: object) -> pb.CancelShowtimeResponse:
        """Cancel a showtime and its bookings, or preview that."""
        execution = _execution(request, request.expected_revision)
        encode = encode_impact(pb.CancelShowtimeResponse)
        body = await self._scheduling.cancel(request.showtime_id, request.reason, execution, encode)
        if not request.validate_only:
            security_log.note("showtime cancelled", showtime_id=request.showtime_id, reason=request.reason)
        return serialized(pb.CancelShowtimeResponse, body)

    async def UpdateShowtime(self, request: pb.UpdateShowtimeRequest, _context: object) -> pb.UpdateShowtimeResponse:
        """Change a showtime, or preview that."""
        execution = _execution(request, request.expected_revision)
        changes, encode = parse_showtime_changes(request), encode_impact(pb.UpdateShowtimeResponse)
        body = await self._scheduling.update(request.showtime_id, changes, execution, encode)
        if not request.validate_only:
            fields = ",".join(request.update_mask.paths)
            security_log.note("showtime changed", showtime_id=request.showtime_id, fields=fields, reason=request.reason)
        return serialized(pb.UpdateShowtimeResponse, body)


def _execution(
    request: pb.SetSeatBlocksRequest | pb.CancelShowtimeRequest | pb.UpdateShowtimeRequest, expected_revision: int = 0
) -> Execution:
    """Return how a change is to be made. A preview is not stored under its request_id."""
    call = None if request.validate_only else idempotent_call(request)
    return Execution(principal().user_id, call, request.validate_only, expected_revision)


def _cursor(start_from: datetime, last: ListedShowtime) -> tuple[str, str, str]:
    """Return the cursor of the next page: the start of the whole list, and the last showtime of this page."""
    return _microseconds(start_from), _microseconds(last.start_time), last.showtime_id


def _read_cursor(cursor: tuple[str, ...]) -> tuple[datetime, tuple[datetime, str]]:
    try:
        start_from, start_time, showtime_id = cursor
        parsed = _moment(start_from), (_moment(start_time), showtime_id)
    except (ValueError, OverflowError):
        raise malformed_page_token() from None
    if "\0" in showtime_id:
        raise malformed_page_token()
    return parsed


def _microseconds(moment: datetime) -> str:
    return str((moment - EPOCH) // MICROSECOND)


def _moment(microseconds: str) -> datetime:
    return EPOCH + timedelta(microseconds=int(microseconds))
