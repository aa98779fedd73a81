"""Entries of the programme and seat maps in the form in which they are sent, kept until they change.

A message may be sent in pieces: the encodings of its fields, one after another, are the encoding of the whole
(https://protobuf.dev/programming-guides/encoding/#last-one-wins), and of a list each entry may be a piece.
"""

from collections import OrderedDict
from functools import cache, lru_cache

from cinema.v1 import showtime_pb2
from cinema.v1 import showtime_service_pb2 as pb

from cinema_grpc.application.programme import SeatMap
from cinema_grpc.domain.catalog import ListedShowtime
from cinema_grpc.domain.showtime import SeatStatus
from cinema_grpc.transport.rendering import SEAT_STATUSES, render_showtime

ENTRIES_AT_HAND = 20_000
"""Some 500 bytes each."""
MAPS_AT_HAND = 1_000
"""Some 20 bytes a seat, with what they were made of."""


_entries: OrderedDict[str, tuple[ListedShowtime, bytes]] = OrderedDict()


def render_entry(showtime: ListedShowtime) -> bytes:
    """Write an entry of the programme, as a piece of a ListShowtimesResponse."""
    kept = _entries.get(showtime.showtime_id)
    if kept is not None and kept[0] is showtime:  # to compare all that hangs on it would cost as much as to write it
        return kept[1]
    entry = pb.ListShowtimesResponse(showtimes=[render_showtime(showtime)]).SerializeToString()
    _entries[showtime.showtime_id] = showtime, entry
    if len(_entries) > ENTRIES_AT_HAND:
        _entries.popitem(last=False)
    return entry


@lru_cache(MAPS_AT_HAND)
def render_seat_map(seat_map: SeatMap) -> bytes:
    """Write a GetShowtimeResponse."""
    showtime = pb.GetShowtimeResponse(showtime=render_showtime(seat_map.listed)).SerializeToString()
    seats = map(_render_seat, seat_map.seat_plan.labels, seat_map.seats)
    return b"".join([showtime, *seats])


@cache  # of labels there are 702 times 200, and three states
def _render_seat(label: str, status: SeatStatus) -> bytes:
    seat = showtime_pb2.Seat(seat=label, status=SEAT_STATUSES[status])
    return pb.GetShowtimeResponse(seats=[seat]).SerializeToString()
