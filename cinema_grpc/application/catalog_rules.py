"""Rules of the catalog that need the lists of others: IANA's time zones, and the currencies of ISO 4217."""

import zoneinfo
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache

from iso4217 import Currency

from cinema_grpc.domain.catalog import single_price_violations, start_time_violations
from cinema_grpc.domain.errors import FieldViolation
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.pricing import PriceLine, price_violations

CURRENCIES = frozenset(currency.code for currency in Currency if currency.exponent is not None)
"""The currencies that a price can be in.

A price is counted in minor units. Codes of ISO 4217 without a minor unit are left out: precious metals such as XAU,
units of account such as XDR, XTS for tests and XXX for no currency.
"""

PriceRule = Callable[[str, Money], list[FieldViolation]]
"""Returns why the payment provider can't charge a price, given the name of the field with the price; [] if it can."""

NO_TIME_ZONES = frozenset({"Factory", "localtime"})
"""Names on some machines that are no zones of IANA: a zone that was never set, and the zone of the machine."""


def time_zone_violations(time_zone: str) -> list[FieldViolation]:
    """Return what is wrong with a time zone: IANA has to know it."""
    if time_zone in time_zones():
        return []
    return [FieldViolation("time_zone", 'must be an IANA time zone, such as "Europe/Berlin"')]


def any_price(_field: str, _price: Money) -> list[FieldViolation]:
    """Return nothing: the rule of a provider that can charge any price."""
    return []


def showtime_violations(
    start_time: datetime | None,
    price: Money | None,
    prices: Sequence[PriceLine],
    now: datetime,
    price_rule: PriceRule = any_price,
) -> list[FieldViolation]:
    """Return what is wrong with a new showtime. The categories of its auditorium are not checked.

    Args:
        start_time: The start; None is not checked.
        price: The price of every seat; None is not checked.
        prices: The lines of a price list; none are not checked.
        now: The present.
        price_rule: That of the payment provider.
    """
    violations = [] if start_time is None else start_time_violations(start_time, now)
    if price is not None:
        violations += amount_violations(price) or price_rule("price", price)
    return violations + (list_violations(prices) or provider_violations(prices, price_rule))


def amount_violations(price: Money) -> list[FieldViolation]:
    """Return what is wrong with the price of every seat of a showtime."""
    return [*_currency_violations("price", price), *single_price_violations(price)]


def list_violations(prices: Sequence[PriceLine]) -> list[FieldViolation]:
    """Return what is wrong with the lines of a price list; [] without lines. The categories are not checked."""
    violations = []
    for number, line in enumerate(prices):
        if line.price.currency_code == prices[0].price.currency_code:  # others are violations in any case
            violations += _currency_violations(f"prices[{number}].price", line.price)
    return violations + (price_violations(prices, ()) if prices else [])


def provider_violations(prices: Sequence[PriceLine], price_rule: PriceRule) -> list[FieldViolation]:
    """Return why the payment provider can't charge the prices of a list; [] if it can."""
    return [
        violation
        for number, line in enumerate(prices)
        for violation in price_rule(f"prices[{number}].price", line.price)
    ]


def _currency_violations(field: str, price: Money) -> list[FieldViolation]:
    if price.currency_code in CURRENCIES:
        return []
    known = 'must be the ISO 4217 code of a currency with a minor unit, such as "EUR"'
    return [FieldViolation(f"{field}.currency_code", known)]


@cache
def time_zones() -> frozenset[str]:
    """Return the names of IANA's time zones; reads them from the disk the first time."""
    return frozenset(zoneinfo.available_timezones() - NO_TIME_ZONES)
