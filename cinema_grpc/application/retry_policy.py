"""When an open payment or an owed refund is tried again."""

from datetime import timedelta

PROVIDER_SECONDS = 10.0
"""How long the provider may take to answer."""
BATCH_SIZE = 20
"""How many attempts or refunds are taken from the store at a time."""
FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(hours=1)
MAXIMUM_TRIES = 32
"""After so many tries, about a day, a refund is given up."""
OVERDUE_AFTER = timedelta(days=1)
"""From this age on, an open payment is an error. Its tries say less: they come faster while the customer may act."""


def backoff(tries: int) -> timedelta:
    """Return the pause before the next try, after `tries` others: it doubles each time."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * (1 << min(tries, 10)))
