"""The system clock."""

from datetime import UTC, datetime


class SystemClock:
    """The system clock, in UTC."""

    def now(self) -> datetime:
        """Return the current time."""
        return datetime.now(UTC)
