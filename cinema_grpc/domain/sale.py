"""Sales at the counter."""

from enum import Enum
from typing import NamedTuple


class Tender(Enum):
    """How a booking was paid for at the counter."""

    CASH = "CASH"
    CARD_TERMINAL = "CARD_TERMINAL"
    COMPLIMENTARY = "COMPLIMENTARY"


class Sale(NamedTuple):
    """A sale at the counter: how it was paid for, the user_id of the seller, and the reason that was given."""

    tender: Tender
    sold_by: str
    reason: str
