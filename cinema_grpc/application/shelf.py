"""The showtimes that a lane keeps between batches."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

from cinema_grpc.application.box_office_ports import Opened, Version
from cinema_grpc.domain.showtime import Showtime

SEATS_AT_HAND = 200_000
"""How many seats the showtimes that a lane keeps between batches have in all, at most."""


@dataclass(slots=True)
class AtHand:
    """A showtime as it was after a commit that is known."""

    showtime: Showtime
    version: Version
    latest_time: datetime


class Shelf:
    """The showtimes that a lane keeps between batches, those used last; bounded by their seats."""

    def __init__(self) -> None:
        self._showtimes: OrderedDict[str, AtHand] = OrderedDict()
        self._seats = 0

    def take(self, showtime_id: str) -> AtHand | None:
        """Take a showtime off the shelf, if it is there."""
        at_hand = self._showtimes.pop(showtime_id, None)
        if at_hand is not None:
            self._seats -= len(at_hand.showtime.terms.seat_plan)
        return at_hand

    def put(self, showtime_id: str, at_hand: AtHand) -> None:
        """Put a showtime back, in a state that is known to be written."""
        self.take(showtime_id)
        self._showtimes[showtime_id] = at_hand
        self._seats += len(at_hand.showtime.terms.seat_plan)
        while self._seats > SEATS_AT_HAND:
            self.take(next(iter(self._showtimes)))


def bring_up_to_date(at_hand: AtHand | None, found: Opened) -> AtHand:
    """Make of what is at hand, and of what the store found beside it, the showtime as it is now."""
    if found.terms is not None:
        return AtHand(Showtime(found.terms, found.bookings), found.version, found.latest_time)
    if at_hand is None:
        raise ValueError("the store gave only changes of a showtime that is not at hand")
    for booking in found.bookings:
        at_hand.showtime.restore(booking)
    return AtHand(at_hand.showtime, found.version, found.latest_time)
