"""Business days from 05:00 to 05:00 in a cinema's time zone, also where the clocks change."""

from datetime import UTC, date, datetime, timedelta

import pytest

from cinema_grpc.domain.business_days import BusinessDays, latest_business_day, parse_period
from cinema_grpc.domain.errors import InvalidRequest

BERLIN = "Europe/Berlin"
MICROSECOND = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("day", "start", "hours"),
    [
        (date(2026, 3, 28), datetime(2026, 3, 28, 4, tzinfo=UTC), 23),  # the clocks go forward in its night
        (date(2026, 3, 29), datetime(2026, 3, 29, 3, tzinfo=UTC), 24),
        (date(2026, 10, 24), datetime(2026, 10, 24, 3, tzinfo=UTC), 25),
        (date(2026, 10, 25), datetime(2026, 10, 25, 4, tzinfo=UTC), 24),
    ],
)
def test_a_day_is_as_long_as_its_clocks_say(day: date, start: datetime, hours: int) -> None:
    days = BusinessDays(day, day + timedelta(days=1), BERLIN)
    assert (days.start, days.end) == (start, start + timedelta(hours=hours))


@pytest.mark.parametrize("first", [date(2026, 3, 27), date(2026, 10, 23), date(2026, 5, 1)])
def test_every_moment_belongs_to_the_day_that_began_last(first: date) -> None:
    days = BusinessDays(first, first + timedelta(days=4), BERLIN)
    for number in range(4):
        day = first + timedelta(days=number)
        alone = BusinessDays(day, day + timedelta(days=1), BERLIN)
        assert days.day_of(alone.start) == day
        assert days.day_of(alone.end - MICROSECOND) == day


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        (datetime(2026, 5, 2, 3, tzinfo=UTC) - MICROSECOND, date(2026, 4, 30)),  # 04:59 in Berlin
        (datetime(2026, 5, 2, 3, tzinfo=UTC), date(2026, 5, 1)),
        (datetime(2026, 5, 1, 22, 30, tzinfo=UTC), date(2026, 4, 30)),  # past midnight in Berlin
        (datetime(2026, 10, 25, 3, 30, tzinfo=UTC), date(2026, 10, 23)),
        (datetime(2026, 10, 25, 4, tzinfo=UTC), date(2026, 10, 24)),
    ],
)
def test_the_latest_day_that_is_over(moment: datetime, day: date) -> None:
    assert latest_business_day(moment, BERLIN) == day


def test_a_period() -> None:
    """Of 1 to 400 days."""
    assert parse_period("2026-05-01", "2026-05-02") == (date(2026, 5, 1), date(2026, 5, 2))
    first, until = parse_period("2026-01-01", "2027-02-05")
    assert (until - first).days == 400


@pytest.mark.parametrize(
    ("from_date", "until_date", "fields"),
    [
        ("2026-02-30", "2026-05-01", "from_date"),
        ("2026-05-01", "2026-13-01", "until_date"),
        ("2026-05-01", "2026-05-01", "until_date"),
        ("2026-05-02", "2026-05-01", "until_date"),
        ("2026-01-01", "2027-02-06", "until_date"),
        ("0001-01-01", "0001-01-02", "from_date,until_date"),
        ("9999-12-30", "9999-12-31", "from_date,until_date"),
        ("20260501", "2026-W19", "from_date,until_date"),
        ("", "x", "from_date,until_date"),
    ],
)
def test_what_is_no_period(from_date: str, until_date: str, fields: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse_period(from_date, until_date)
    assert raised.value.metadata["fields"] == fields
