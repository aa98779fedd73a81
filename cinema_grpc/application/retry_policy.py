"""When an open payment or an owed refund is tried again."""

from datetime import timedelta

PROVIDER_SECONDS = 10.0
"""How long the provider may take to answer."""
BATCH_SIZE = 20
"""How many attempts or refunds are taken from the store at a time."""
FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(hours=1)
MAX_TRIES = 36
"""After so many tries, 27 hours, a refund is given up. Stripe repeats an error of its own for 24 hours to requests with
the same key (https://docs.stripe.com/api/idempotent_requests), so the last tries come later than that."""
OVERDUE_AFTER = timedelta(days=1)
"""From this age on, an open payment is an error. Its tries say less: they come faster while the customer may act."""


def backoff(tries: int) -> timedelta:
    """Return the pause before the next try, after `tries` others: it doubles each time."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * (1 << min(tries, 10)))
