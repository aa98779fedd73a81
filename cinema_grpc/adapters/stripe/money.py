"""Amounts as Stripe counts them, and which prices it can charge. It needs no library.

Source: https://docs.stripe.com/currencies, of API version 2026-10-28.
"""

from iso4217 import Currency

from cinema_grpc.domain.booking import MAX_SEATS_A_BOOKING
from cinema_grpc.domain.errors import FieldViolation
from cinema_grpc.domain.money import Money

_OF_CARDS = """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CLP CNY
    COP CRC CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR ISK JMD
    JOD JPY KES KGS KHR KMF KRW KWD KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD
    NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SEK SGD SHP SLE SOS SRD STN SZL
    THB TJS TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VND VUV WST XAF XCD XOF XPF YER ZAR ZMW
"""
CURRENCIES = frozenset(currency.code for currency in Currency).intersection(_OF_CARDS.split())
"""The currencies of card payments."""
OTHER_EXPONENTS = {"ISK": 2, "MGA": 0, "UGX": 2}
"""Decimals that Stripe counts in, where ISO 4217 has others."""
ROUNDED_TO_TEN = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
"""Currencies with three decimals. The last digit of an amount must be 0."""
MINIMUM = {
    "AED": 200, "AUD": 50, "BGN": 100, "BRL": 50, "CAD": 50, "CHF": 50, "CZK": 1_500, "DKK": 250, "EUR": 50, "GBP": 30,
    "HKD": 400, "HUF": 17_500, "INR": 50, "JPY": 50, "MXN": 1_000, "MYR": 200, "NOK": 300, "NZD": 50, "PLN": 200,
    "RON": 200, "SEK": 300, "SGD": 50, "THB": 1_000, "USD": 50,
}  # fmt: skip
"""Minimum charges in Stripe's units. For other currencies the minimum depends on the rate to the account's currency."""
MAXIMUM, MAX_OF_IDR = 99_999_999, 999_999_999_999


def to_stripe(money: Money) -> int:
    """Return an amount as Stripe counts it.

    Raises:
        ValueError: Stripe can't express the amount, or does not take the currency.
    """
    code = money.currency_code
    if code not in CURRENCIES:
        raise ValueError(f"Stripe does not take {code}")
    unit = unit_of(code)
    if money.minor_units % unit:
        raise ValueError(f"Stripe takes multiples of {unit} minor units of {code}, not {money.minor_units}")
    difference = _exponent_difference(code)
    return money.minor_units * _power(difference) // _power(-difference)


def from_stripe(currency: str, amount: int) -> Money:
    """Return an amount of Stripe's as money; one in an unknown currency is taken as minor units."""
    code = currency.upper()
    difference = _exponent_difference(code) if code in CURRENCIES else 0
    return Money(code, amount * _power(-difference) // _power(difference))


def price_violations(field: str, price: Money) -> list[FieldViolation]:
    """Return what keeps a price in a field from being charged; 0 is never charged.

    A booking costs at least the lowest price that is not 0, so each price has to be chargeable by itself, and at most
    the highest one for each of its seats. Half of a price is payable too, since late cancellations pay that back.
    """
    code = price.currency_code
    if code not in CURRENCIES:
        problem = f'must be a currency that Stripe takes, such as "EUR", not "{code}"'
        return [FieldViolation(f"{field}.currency_code", problem)]
    unit = _price_unit(code)
    lowest = _in_minor_units(code, MINIMUM.get(code, 1))
    highest = from_stripe(code, (MAX_OF_IDR if code == "IDR" else MAXIMUM) // MAX_SEATS_A_BOOKING).minor_units
    amount = price.minor_units
    if amount == 0 or (lowest <= amount <= highest and amount % unit == 0):
        return []
    multiple = f", a multiple of {unit}" if unit > 1 else ""
    problem = (
        f"must be 0, or {max(lowest, unit)} to {highest - highest % unit} in {code}{multiple}, "
        f"so that Stripe can charge 1 to {MAX_SEATS_A_BOOKING} seats and refund half"
    )
    return [FieldViolation(f"{field}.minor_units", problem)]


def _exponent_difference(code: str) -> int:
    """Return how many more decimals Stripe counts in than ISO 4217 has."""
    exponent: int = Currency(code).exponent or 0
    return OTHER_EXPONENTS.get(code, exponent) - exponent


def unit_of(code: str) -> int:
    """Return the minor units that Stripe's amounts in a currency are multiples of; 1 for one that it does not take."""
    if code in ROUNDED_TO_TEN:
        return 10
    return _power(-_exponent_difference(code)) if code in CURRENCIES else 1


def _price_unit(code: str) -> int:
    """Return the minor units that prices must be a multiple of, so that their halves are payable too."""
    unit = unit_of(code)
    return unit if unit == 1 else 2 * unit


def _in_minor_units(code: str, amount: int) -> int:
    """Return an amount of Stripe's in minor units, rounded up."""
    difference = _exponent_difference(code)
    return -(-amount * _power(-difference) // _power(difference))


def _power(exponent: int) -> int:
    """Return a power of ten; 1 for a negative exponent."""
    return int(10 ** max(0, exponent))
