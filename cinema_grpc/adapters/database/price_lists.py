"""Price lists as stored, and the cached ones."""

import json
from functools import lru_cache

from cinema_grpc.domain.money import Money
from cinema_grpc.domain.pricing import PriceLine, PriceList

CACHED_LISTS = 1_024
"""At most 100 MB, at 200 lines with a long proof each, the maximum. A chain has a few dozen different lists."""
CACHED_TEXTS = 64
"""At most 10 MB, at the same maximum."""


@lru_cache(CACHED_TEXTS)
def to_text(prices: PriceList) -> str:
    """Return the lines as JSON: [["standard", "adult", 1250, ""], ...], with minor units and proof."""
    return json.dumps([[line.category, line.ticket_type, line.price.minor_units, line.proof] for line in prices.lines])


@lru_cache(CACHED_LISTS)
def price_list(currency_code: str, text: str) -> PriceList:
    """Return the price list of a JSON text: one object for all showtimes with the same prices."""
    return PriceList(
        [
            PriceLine(category, ticket_type, Money(currency_code, minor_units), proof)
            for category, ticket_type, minor_units, proof in json.loads(text)
        ]
    )
