"""Amounts of money, as people write them."""

from iso4217 import Currency


def major(minor_units: int, currency_code: str) -> str:
    """Return an amount in the major unit of its currency, such as "12.50"."""
    exponent = Currency(currency_code).exponent or 0
    digits = f"{abs(minor_units):0{exponent + 1}}"
    sign = "-" if minor_units < 0 else ""
    return f"{sign}{digits[:-exponent]}.{digits[-exponent:]}" if exponent else f"{sign}{digits}"
