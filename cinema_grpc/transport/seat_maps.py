"""Serialized listings and seat maps, cached until they change.

A message may be sent in parts: the serialized fields, one after another, are the serialized message
(https://protobuf.dev/programming-guides/encoding/#last-one-wins), and each entry of a list may be a part.
"""

from collections import OrderedDict
from functools import cache, lru_cache

from cinema.v1 import showtime_pb2
from cinema.v1 import showtime_service_pb2 as pb

from cinema_grpc.application.listings import SeatMap
from cinema_grpc.domain.catalog import ListedShowtime
from cinema_grpc.domain.seat_changes import SeatFrame
from cinema_grpc.domain.showtime import SeatStatus
from cinema_grpc.transport.rendering import SEAT_STATUSES, SHOWTIME_STATUSES, render_moment, render_showtime

CACHED_ENTRIES = 20_000
LARGEST_CACHED_ENTRY = 4 * 1024
"""In bytes: 80 MB in all at most. Most have about 500; a long synopsis and a long price list make 40,000."""
CACHED_MAPS = 1_000
"""About 20 bytes a seat, and the seat map."""

_entries: OrderedDict[str, tuple[ListedShowtime, bytes]] = OrderedDict()


def render_entry(showtime: ListedShowtime) -> bytes:
    """Return a listed showtime as a part of a ListShowtimesResponse."""
    cached = _entries.get(showtime.showtime_id)
    if cached is not None and cached[0] is showtime:  # comparing all fields would cost as much as serializing
        return cached[1]
    entry = pb.ListShowtimesResponse(showtimes=[render_showtime(showtime)]).SerializeToString()
    if len(entry) > LARGEST_CACHED_ENTRY:
        _entries.pop(showtime.showtime_id, None)
        return entry
    _entries[showtime.showtime_id] = showtime, entry
    if len(_entries) > CACHED_ENTRIES:
        _entries.popitem(last=False)
    return entry


@lru_cache(CACHED_MAPS)
def render_seat_map(seat_map: SeatMap) -> bytes:
    """Return a GetShowtimeResponse."""
    showtime = pb.GetShowtimeResponse(showtime=render_showtime(seat_map.listed)).SerializeToString()
    seats = map(_render_seat, seat_map.seat_plan.labels, seat_map.seats)
    return b"".join([showtime, *seats])


def encode_frame(frame: SeatFrame) -> bytes:
    """Return a WatchSeatsResponse."""
    message = pb.WatchSeatsResponse(
        revision=frame.revision,
        snapshot=frame.snapshot,
        available_seats=frame.available_seats,
        status=SHOWTIME_STATUSES[frame.status],
        next_lapse_time=None if frame.next_lapse_time is None else render_moment(frame.next_lapse_time),
    )
    return b"".join([message.SerializeToString(), *(_render_watched_seat(*seat) for seat in frame.seats)])


@cache  # as many as there are below
def _render_watched_seat(label: str, status: SeatStatus) -> bytes:
    return pb.WatchSeatsResponse(seats=[_seat(label, status)]).SerializeToString()


@cache  # at most 702 row labels times 200 numbers times four statuses
def _render_seat(label: str, status: SeatStatus) -> bytes:
    return pb.GetShowtimeResponse(seats=[_seat(label, status)]).SerializeToString()


def _seat(label: str, status: SeatStatus) -> showtime_pb2.Seat:
    return showtime_pb2.Seat(seat=label, status=SEAT_STATUSES[status])
