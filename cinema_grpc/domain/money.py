"""Money in minor units, never as a float."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of one currency.

    Attributes:
        currency_code: ISO 4217 code, such as "EUR".
        minor_units: Amount in the smallest unit of the currency, such as cents; never negative.
    """

    currency_code: str
    minor_units: int

    def percent(self, percent: int) -> "Money":
        """Return a share of the amount in whole percent. Half a minor unit rounds up."""
        return Money(self.currency_code, (self.minor_units * percent + 50) // 100)
