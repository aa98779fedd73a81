"""How long what is not settled waits for its next try, and when it counts as hopeless."""

from datetime import timedelta

PROVIDER_SECONDS = 10.0
"""How long the provider may take to answer."""
AT_ONCE = 20
"""How many attempts or refunds are taken up at a time."""
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(hours=1)
"""Until the next try, at first and at most. Whoever is at it has come to an end by then: it asks the provider twice."""
MOST_TRIES = 30
"""After how many tries it is hopeless: about a day."""


def pause(tries: int) -> timedelta:
    """Tell how long to wait for the next try, after so many before this one: twice as long each time."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * (1 << min(tries, 10)))
