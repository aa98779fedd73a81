"""Business days: from 05:00 to 05:00 in a cinema's time zone, so that a late show belongs to the evening before."""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from cinema_grpc.domain.errors import FieldViolation, InvalidRequest

DAY_BEGINS = time(5)
MAX_DAYS = 400
"""Maximum days of a report."""
FIRST_YEAR, LAST_YEAR = 1970, 9998
"""The years whose days have a beginning and an end in every time zone that can be stored."""
DAY = timedelta(days=1)


class BusinessDays:
    """Successive business days of a time zone. A day on which the clocks change has 23 or 25 hours.

    Attributes:
        start: The beginning of the first day.
        end: The end of the last day, exclusive.
    """

    def __init__(self, first: date, until: date, time_zone: str) -> None:
        """Find when the days begin.

        Args:
            first: The first day.
            until: The day after the last day.
            time_zone: The IANA name of the time zone.
        """
        zone = ZoneInfo(time_zone)
        self._days = [first + number * DAY for number in range((until - first).days)]
        self._starts = [_start_of(day, zone) for day in (*self._days, until)]
        self.start, self.end = self._starts[0], self._starts[-1]

    def day_of(self, moment: datetime) -> date:
        """Return the day to which a moment from `start` to `end` belongs."""
        return self._days[bisect_right(self._starts, moment) - 1]


def latest_business_day(moment: datetime, time_zone: str) -> date:
    """Return the latest business day that is over at a moment."""
    zone = ZoneInfo(time_zone)
    today = moment.astimezone(zone).date()
    current = today if moment >= _start_of(today, zone) else today - DAY
    return current - DAY


def parse_period(from_date: str, until_date: str) -> tuple[date, date]:
    """Return the first day and the day after the last one.

    Args:
        from_date: Such as "2026-05-01".
        until_date: Later than `from_date`, by at most 400 days.

    Raises:
        InvalidRequest: A text is no date, or the period is not of 1 to 400 days.
    """
    if violations := period_violations(from_date, until_date):
        raise InvalidRequest(*violations)
    return date.fromisoformat(from_date), date.fromisoformat(until_date)


def period_violations(from_date: str, until_date: str) -> Sequence[FieldViolation]:
    """Return what is wrong with the dates of a period; see `parse_period`."""
    dates = {"from_date": _date(from_date), "until_date": _date(until_date)}
    problem = f'must be a date of the years {FIRST_YEAR} to {LAST_YEAR}, such as "2026-05-01"'
    violations = [FieldViolation(name, problem) for name, value in dates.items() if value is None]
    first, until = dates.values()
    if first and until and not DAY <= until - first <= MAX_DAYS * DAY:
        violations.append(FieldViolation("until_date", f"must be 1 to {MAX_DAYS} days after from_date"))
    return violations


def _date(text: str) -> date | None:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if FIRST_YEAR <= found.year <= LAST_YEAR and found.isoformat() == text else None


def _start_of(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, DAY_BEGINS, zone).astimezone(UTC)
