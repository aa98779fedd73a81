"""How long what is not settled waits for its next try, and when it counts as hopeless."""

from datetime import timedelta

PROVIDER_SECONDS = 10.0
"""How long the provider may take to answer."""
AT_ONCE = 20
"""How many attempts or refunds are taken up at a time."""
FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(hours=1)
"""Until the next try, at first and at most. Should whoever is at it be slower, two are at it: no harm done."""
MOST_TRIES = 32
"""After how many tries it is hopeless: about a day."""


def pause(tries: int) -> timedelta:
    """Tell how long to wait for the next try, after so many before this one: twice as long each time."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * (1 << min(tries, 10)))
