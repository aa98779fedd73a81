"""The cancellation policy: what share of the price goes back, by the time that is left until the start."""

from datetime import datetime, timedelta

TIERS = ((timedelta(hours=24), 100), (timedelta(hours=12), 50))
"""From so long before the start, this percentage; nothing after the last."""


def refund_percent(start_time: datetime, now: datetime) -> tuple[int, datetime]:
    """Tell the refund in whole percent for cancelling `now`, and the last moment at which it is that."""
    for before_start, percent in TIERS:
        if now <= start_time - before_start:
            return percent, start_time - before_start
    return 0, start_time - timedelta(microseconds=1)
