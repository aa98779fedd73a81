"""What an invariant of the tables is, and how its query takes JSON apart, the only thing in which databases differ."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Invariant:
    """A rule, and a query for its breaches; `:now` is the present in microseconds."""

    rule: str
    breaches: str


@dataclass(frozen=True, slots=True)
class Json:
    """The expressions of a dialect, "sqlite" or "postgresql", for columns of JSON.

    Places in an array count from 0. An item is named by the alias of the rows that it is one of.
    """

    dialect: str

    @property
    def seats(self) -> str:
        """What to join for a row `seat` for each seat of a booking; see `schema.booking`."""
        return self.rows("booking.seats", "seat")

    @property
    def label(self) -> str:
        """The label of `seat`."""
        return self.text("seat", 0)

    @property
    def price(self) -> str:
        """The price of `seat`."""
        return self.number("seat", 1)

    @property
    def active(self) -> str:
        """Whether `seat` is active."""
        return self._item("seat", 5, "BOOLEAN")

    def rows(self, array: str, alias: str) -> str:
        """Return what to join for a row for each item of an array. The column `key` has their order."""
        if self.dialect == "sqlite":
            return f"json_each({array}) AS {alias}"
        return f"json_array_elements(CAST({array} AS json)) WITH ORDINALITY AS {alias}(value, key)"

    def itself(self, alias: str) -> str:
        """Return an item that is a text."""
        return f"{alias}.value" if self.dialect == "sqlite" else f"({alias}.value #>> '{{}}')"

    def text(self, alias: str, place: int) -> str:
        """Return the text at a place of an item that is an array."""
        return self._item(alias, place, "TEXT")

    def number(self, alias: str, place: int) -> str:
        """Return the integer at a place of an item that is an array."""
        return self._item(alias, place, "BIGINT")

    def array(self, alias: str, place: int) -> str:
        """Return the array at a place of an item that is an array."""
        return self._item(alias, place, "json")

    def _item(self, alias: str, place: int, type_: str) -> str:
        if self.dialect == "sqlite":
            return f"json_extract({alias}.value, '$[{place}]')"
        return f"CAST({alias}.value->>{place} AS {type_})"


KEEPS = "booking.status IN ('RESERVED', 'CONFIRMED')"
"""The condition that a booking has its active seats."""
