"""Money, counted in minor units, so that no amount is ever rounded by accident."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of one currency.

    Attributes:
        currency_code: The ISO 4217 code, such as "EUR".
        minor_units: The amount in the currency's smallest unit, such as cents; never negative.
    """

    currency_code: str
    minor_units: int

    def times(self, count: int) -> "Money":
        """Give the price of `count` things that cost this much each."""
        return Money(self.currency_code, self.minor_units * count)

    def percent(self, percent: int) -> "Money":
        """Give a share of the amount in whole percent; half a minor unit rounds up."""
        return Money(self.currency_code, (self.minor_units * percent + 50) // 100)
