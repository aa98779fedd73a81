"""Takes seats of the demo's next showtimes, so that their seat maps look like those of a good evening."""

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import cycle
from typing import Any

from cinema_grpc.application.bookings import Bookings
from cinema_grpc.application.counter import Counter, CounterSale
from cinema_grpc.application.scheduling import Execution, Scheduling, WantedBlock
from cinema_grpc.cli.demo_data import TICKET_TYPE_OF, DemoAuditorium
from cinema_grpc.domain.catalog import ListedShowtime
from cinema_grpc.domain.claims import Selection
from cinema_grpc.domain.errors import CinemaError, ErrorKind
from cinema_grpc.domain.sale import Tender
from cinema_grpc.domain.terms import SeatBlockKind

SOLD_AHEAD = timedelta(days=3)
"""How far ahead showtimes have seats taken."""
SHOWN_FIRST = 6
"""How many showtimes have seats on hold, too. A hold lasts ten minutes, so only what is looked at soon needs one."""
RELEASED_BEFORE_START = timedelta(minutes=30)
BLOCKS = {
    "g": (SeatBlockKind.HOUSE, "Guests of the house"),
    "x": (SeatBlockKind.OUT_OF_ORDER, "Seats are being repaired"),
}
"""By letter of a seat map."""


@dataclass(frozen=True, slots=True)
class Seller:
    """Who sells seats, and what with."""

    scheduling: Scheduling
    counter: Counter
    bookings: Bookings
    staff_id: str


async def take_seats(
    seller: Seller, showtimes: Sequence[tuple[ListedShowtime, DemoAuditorium]], shown_from: datetime, now: datetime
) -> None:
    """Block, sell and hold seats of the next showtimes; one that has any seat taken stays as it is.

    Args:
        seller: Sells them.
        showtimes: By start.
        shown_from: From this start on a newcomer looks at showtimes.
        now: The present moment.
    """
    shown = [showtime.showtime_id for showtime, _ in showtimes if showtime.start_time >= shown_from][:SHOWN_FIRST]
    untouched = [
        (showtime, auditorium)
        for showtime, auditorium in showtimes
        if showtime.start_time < now + SOLD_AHEAD and showtime.available_seats == showtime.total_seats
    ]
    # Blocked seats end a run for the gap rule, so they are blocked first.
    await asyncio.gather(*(_attempt(block) for each in untouched for block in _blocks(seller, *each, now)))
    await asyncio.gather(*(_attempt(sale) for each in untouched for sale in _sales(seller, *each)))
    await asyncio.gather(
        *(_attempt(hold) for each in untouched if each[0].showtime_id in shown for hold in _holds(seller, *each))
    )


async def _attempt(change: Coroutine[Any, Any, bytes]) -> None:
    """Make a change, unless a rule forbids it, such as a limit in the settings or prices that staff have set."""
    try:
        await change
    except CinemaError as error:
        if error.kind is ErrorKind.UNAVAILABLE:
            raise


def _blocks(
    seller: Seller, showtime: ListedShowtime, auditorium: DemoAuditorium, now: datetime
) -> Iterator[Coroutine[Any, Any, bytes]]:
    release = showtime.start_time - RELEASED_BEFORE_START
    for letter, (kind, reason) in BLOCKS.items():
        seats = [seat for letters, group in auditorium.groups() if letters[0] == letter for seat in group]
        until = release if kind is SeatBlockKind.HOUSE and release > now else None
        if seats:
            block = WantedBlock(seats, kind, reason, until)
            yield seller.scheduling.set_blocks(showtime.showtime_id, block, (), Execution(seller.staff_id), _unencoded)


def _sales(
    seller: Seller, showtime: ListedShowtime, auditorium: DemoAuditorium
) -> Iterator[Coroutine[Any, Any, bytes]]:
    tenders = cycle((Tender.CARD_TERMINAL, Tender.CASH, Tender.CARD_TERMINAL))
    for letters, seats in auditorium.groups():
        if letters[0] in TICKET_TYPE_OF:
            ticket_types = [TICKET_TYPE_OF[letter] for letter in letters]
            sale = CounterSale(Selection(seats, ticket_types, wheelchair="w" in letters), next(tenders))
            yield seller.counter.sell(seller.staff_id, showtime.showtime_id, sale, None, _unencoded)


def _holds(
    seller: Seller, showtime: ListedShowtime, auditorium: DemoAuditorium
) -> Iterator[Coroutine[Any, Any, bytes]]:
    for letters, seats in auditorium.groups():
        if letters[0] == "h":
            yield seller.bookings.create(seller.staff_id, showtime.showtime_id, Selection(seats), None, _unencoded)


def _unencoded(*_: object) -> bytes:
    return b""
