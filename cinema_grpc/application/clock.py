"""The clock, as a port."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Returns the time."""

    def now(self) -> datetime:
        """Return the present moment, in UTC."""
        ...
