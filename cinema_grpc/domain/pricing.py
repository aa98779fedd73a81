"""Prices: what a seat costs, by its category and the ticket type."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from cinema_grpc.domain.errors import FieldViolation, InvalidRequest
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.text import PROOF

STANDARD = "standard"
"""The category of seats in no area, and the ticket type of a showtime with one price."""
MAX_LINES = 200
LARGEST_PRICE = 10**12
"""Maximum price of a seat, in minor units."""
NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
"""How categories and ticket types are written."""


@dataclass(frozen=True, slots=True)
class PriceLine:
    """The price of a seat of one category, for one ticket type; `proof` is what the door asks for, or ""."""

    category: str
    ticket_type: str
    price: Money
    proof: str = ""


class PriceList:
    """The prices of a showtime, in one currency. The first line's ticket type is the default one."""

    __slots__ = ("_by_key", "_hash", "lines")

    def __init__(self, lines: Sequence[PriceLine], categories: Collection[str] | None = None) -> None:
        """Check and keep the lines.

        Args:
            lines: At least one.
            categories: Those of the auditorium. Each must have a line for the default ticket type. None: not checked.

        Raises:
            InvalidRequest: The lines are no price list; the fields are those of `prices`.
        """
        if categories is not None and (violations := price_violations(lines, categories)):
            raise InvalidRequest(*violations)
        self.lines = tuple(lines)
        self._by_key = {(line.category, line.ticket_type): line for line in self.lines}
        self._hash: int | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PriceList) and self.lines == other.lines

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(self.lines)  # kept, as an import looks up the same list for thousands of showtimes
        return self._hash

    def __repr__(self) -> str:
        return f"PriceList({self.lines!r})"

    @property
    def currency_code(self) -> str:
        """The currency of all prices."""
        return self.lines[0].price.currency_code

    @property
    def default_ticket_type(self) -> str:
        """The ticket type of seats that are named without one."""
        return self.lines[0].ticket_type

    @property
    def lowest(self) -> Money:
        """The lowest price of the default ticket type."""
        default = self.default_ticket_type
        prices = (line.price for line in self.lines if line.ticket_type == default)
        return min(prices, key=lambda price: price.minor_units)

    def find(self, category: str, ticket_type: str) -> PriceLine | None:
        """Return the line of a category and a ticket type, or None."""
        return self._by_key.get((category, ticket_type))


def single_price(price: Money, categories: Collection[str]) -> PriceList:
    """Return the price list of a showtime in which each seat costs the same."""
    others = sorted(set(categories) - {STANDARD})
    return PriceList([PriceLine(category, STANDARD, price) for category in (STANDARD, *others)])


def price_violations(lines: Sequence[PriceLine], categories: Collection[str]) -> list[FieldViolation]:
    """Return what is wrong with the lines of a price list, without their currency.

    Rules: 1 to 200 lines, no pair of category and ticket type twice, one currency, amounts from 0 to 10^12, and a line
    for the default ticket type in each category of the auditorium.
    """
    if not 1 <= len(lines) <= MAX_LINES:
        return [FieldViolation("prices", f"must be 1 to {MAX_LINES} lines, not {len(lines)}")]
    violations = []
    first: dict[tuple[str, str], int] = {}
    currency_code = lines[0].price.currency_code
    for number, line in enumerate(lines):
        field = f"prices[{number}]"
        violations += [
            FieldViolation(
                f"{field}.{name}", "must be a lower-case letter, then lower-case letters, digits and hyphens"
            )
            for name in ("category", "ticket_type")
            if not NAME.fullmatch(getattr(line, name))
        ]
        same = first.setdefault((line.category, line.ticket_type), number)
        if same != number:
            problem = f"must be unique: prices[{same}] has the same category and ticket type"
            violations.append(FieldViolation(field, problem))
        if line.price.currency_code != currency_code:
            problem = f"must be {currency_code}, as in prices[0]"
            violations.append(FieldViolation(f"{field}.price.currency_code", problem))
        if not 0 <= line.price.minor_units <= LARGEST_PRICE:
            problem = f"must be 0 to {LARGEST_PRICE}, not {line.price.minor_units}"
            violations.append(FieldViolation(f"{field}.price.minor_units", problem))
        if (problem_of_proof := PROOF.problem(line.proof)) is not None:
            violations.append(FieldViolation(f"{field}.proof", problem_of_proof))
    return violations + missing_lines(lines, categories)


def missing_lines(lines: Sequence[PriceLine], categories: Collection[str]) -> list[FieldViolation]:
    """Return which categories of the auditorium have no line for the default ticket type, if any."""
    default = lines[0].ticket_type
    if missing := sorted(set(categories) - {line.category for line in lines if line.ticket_type == default}):
        problem = f"must have a line for ticket type {default!r} in each category of the auditorium; missing: "
        return [FieldViolation("prices", problem + ", ".join(missing))]
    return []
