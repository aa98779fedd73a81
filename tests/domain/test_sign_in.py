"""The delay after wrong passwords: none for a few, then doubling with each, up to the longest."""

from datetime import datetime, timedelta

import pytest

from cinema_grpc.domain.sign_in import KNOWN_FOR, Limit, Record, after_success, unseen
from tests.builders import NOW

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
LIMIT = Limit(5, 5 * MINUTE)


def after(failures: int, now: datetime = NOW, limit: Limit = LIMIT) -> Record:
    """Return the record of some failures at one time."""
    record = unseen(now)
    for _ in range(failures):
        record = record.after_failure(now, limit)
    return record


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(0, 0), (1, 0), (4, 0), (5, 1), (6, 2), (7, 4), (8, 8), (13, 256), (14, 300), (15, 300), (500, 300)],
)
def test_the_delay_doubles_up_to_the_longest(failures: int, seconds: int) -> None:
    assert after(failures).wait(NOW, LIMIT) == timedelta(seconds=seconds)


def test_the_delay_counts_from_the_latest_failure() -> None:
    record = after(7)
    assert record.wait(NOW + 3 * SECOND, LIMIT) == SECOND
    assert record.wait(NOW + 4 * SECOND, LIMIT) <= timedelta(0)


def test_failures_expire_one_by_one() -> None:
    """Five an hour are free, so one expires every twelve minutes."""
    record = after(6)
    counts = [record.failures_at(NOW + number * 6 * MINUTE, LIMIT) for number in range(0, 14, 2)]
    assert counts == [6, 5, 4, 3, 2, 1, 0]
    assert record.failures_at(NOW + 12 * MINUTE - timedelta(microseconds=1), LIMIT) == 6
    assert record.after_failure(NOW + HOUR, LIMIT).failures == 2


def test_failures_stay_when_the_clock_is_set_back() -> None:
    assert after(6).failures_at(NOW - HOUR, LIMIT) == 6


@pytest.mark.parametrize("back", [SECOND, MINUTE, 5 * MINUTE, HOUR, 24 * HOUR])
@pytest.mark.parametrize("failures", [5, 9, 30])
def test_the_delay_stays_bounded_when_the_clock_is_set_back(failures: int, back: timedelta) -> None:
    """After the delay an attempt is accepted, and a failure counts from the current time."""
    record, now = after(failures), NOW - back
    wait = record.wait(now, LIMIT)
    assert wait <= LIMIT.longest_delay
    now += max(wait, timedelta(0))
    assert record.wait(now, LIMIT) <= timedelta(0)
    again = record.after_failure(now, LIMIT)
    assert timedelta(0) < again.wait(now, LIMIT) <= LIMIT.longest_delay
    assert again.failures == failures + 1


@pytest.mark.parametrize("failures", [1, 5, 6, 30])
def test_a_record_expires_with_its_last_failure(failures: int) -> None:
    record = after(failures)
    assert record.failures_at(record.expire_time, LIMIT) == 0
    assert record.expire_time <= NOW + (failures / 5 + 1) * HOUR


def test_a_known_network_stays_known_after_a_failure() -> None:
    record = after_success(NOW).after_failure(NOW + HOUR, LIMIT)
    assert (record.known, record.failures, record.expire_time) == (True, 1, NOW + KNOWN_FOR)
    late = after_success(NOW).after_failure(NOW + KNOWN_FOR - MINUTE, LIMIT)
    assert late.expire_time == NOW + KNOWN_FOR - MINUTE + HOUR


def test_continuous_guessing_gets_few_guesses() -> None:
    """Fewer than 310 a day, at the longest delay."""
    now, record, guesses = NOW, unseen(NOW), 0
    while now < NOW + 24 * HOUR:
        record, guesses = record.after_failure(now, LIMIT), guesses + 1
        wait = record.wait(now, LIMIT)
        assert wait <= LIMIT.longest_delay
        now += max(wait, timedelta(0))
    assert guesses < 310
