"""Suggestions of seats, made of the seat maps that GetShowtime returns."""

from dataclasses import dataclass, replace
from functools import lru_cache

from cinema_grpc.application.listings import SeatMap
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.seat_groups import FreeSeats, Party
from cinema_grpc.domain.showtime import SeatStatus
from cinema_grpc.domain.suggestions import SeatOption, categories_of, suggest

CACHED_ANSWERS = 500
"""For how many seat maps and parties the options are cached: a few KB each, and the seat map."""


@dataclass(frozen=True, slots=True)
class PricedOption:
    """An option, the labels of its seats, and the sum of their prices at the default ticket type."""

    option: SeatOption
    seats: tuple[str, ...]
    total_price: Money


def suggest_seats(seat_map: SeatMap, party: Party, most: int) -> tuple[PricedOption, ...]:
    """Return the best options for a party, at most `most`; none if the showtime sells no seats now."""
    if party.categories is not None:  # names that the auditorium does not have make no other question
        known = party.categories & categories_of(seat_map.seat_plan)
        party = replace(party, categories=known, space_categories=known)
    return _suggest(seat_map, party, most)


@lru_cache(CACHED_ANSWERS)
def _suggest(seat_map: SeatMap, party: Party, most: int) -> tuple[PricedOption, ...]:
    if not seat_map.on_sale:
        return ()
    free = [seat is SeatStatus.AVAILABLE for seat in seat_map.seats]
    seats = FreeSeats(seat_map.seat_plan, free.__getitem__, seat_map.listed.seat_gap_policy, party)
    return tuple(_priced(seat_map, option) for option in suggest(seats, most))


def _priced(seat_map: SeatMap, option: SeatOption) -> PricedOption:
    plan, prices = seat_map.seat_plan, seat_map.listed.prices
    lines = [prices.find(plan.categories[each], prices.default_ticket_type) for each in option.positions]
    total = sum(line.price.minor_units for line in lines if line is not None)  # each category has such a line
    return PricedOption(
        option, tuple(plan.labels[each] for each in option.positions), Money(prices.currency_code, total)
    )
