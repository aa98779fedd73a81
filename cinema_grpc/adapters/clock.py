"""The machine's clock."""

from datetime import UTC, datetime


class SystemClock:
    """Tells the machine's time, in UTC."""

    def now(self) -> datetime:
        """Give the present moment."""
        return datetime.now(UTC)
