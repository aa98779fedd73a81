"""The cancellation policy: the refunded share of the price, by the time left until the start."""

from datetime import datetime, timedelta

TIERS = ((timedelta(hours=24), 100), (timedelta(hours=12), 50))
"""Time before the start, and the refund up to then in percent. After the last one there is no refund."""


def refund_percent(start_time: datetime, now: datetime) -> tuple[int, datetime]:
    """Return the refund for cancelling `now` in whole percent, and the last moment at which it applies."""
    for before_start, percent in TIERS:
        if now <= start_time - before_start:
            return percent, start_time - before_start
    return 0, start_time - timedelta(microseconds=1)
