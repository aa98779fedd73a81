"""The limit on changes: a minute's worth at once, then one for each interval."""

import pytest

from cinema_grpc.application import change_limit
from cinema_grpc.application.change_limit import ChangeLimit
from cinema_grpc.application.errors import TooManyChanges


class FakeMonotonicClock:
    """A clock that tests advance."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


def taken(limit: ChangeLimit, user_id: str = "ada", most: int = 1_000) -> int:
    """Ask for changes until one is refused; return the number of accepted ones."""
    for number in range(most):
        try:
            limit.take(user_id)
        except TooManyChanges:
            return number
    return most


@pytest.mark.parametrize("per_minute", [1, 7, 120])
def test_a_minute_s_worth_at_once(per_minute: int) -> None:
    """Then one for each interval, and a minute's worth again after a minute."""
    clock = FakeMonotonicClock()
    limit = ChangeLimit(per_minute, clock)
    assert taken(limit) == per_minute
    assert taken(limit, "bob") == per_minute  # has a bucket of his own
    for _ in range(3):
        clock.seconds += 60 / per_minute
        assert taken(limit) == 1
    clock.seconds += 30
    assert taken(limit) == per_minute // 2
    for rest in (60, 61, 200):
        clock.seconds += rest
        assert taken(limit) == per_minute


def test_a_refusal_says_how_long_to_wait() -> None:
    """A refused change is not counted: after the wait it is accepted."""
    clock = FakeMonotonicClock()
    limit = ChangeLimit(10, clock)
    taken(limit)
    for _ in range(5):
        with pytest.raises(TooManyChanges) as raised:
            limit.take("ada")
    assert raised.value.metadata == {"changes_per_minute": "10", "retry_after_seconds": "6"}
    clock.seconds += 6
    limit.take("ada")


def test_zero_means_no_limit() -> None:
    assert taken(ChangeLimit(0, FakeMonotonicClock())) == 1_000


def test_a_steady_stream_gets_exactly_the_limit() -> None:
    """Over many minutes, across the rotations of the accounts in memory."""
    clock = FakeMonotonicClock()
    limit = ChangeLimit(60, clock)
    assert taken(limit) == 60
    accepted = 0
    for _ in range(2_000):
        clock.seconds += 0.25
        accepted += taken(limit)
    assert accepted == 500


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """By number, and idle accounts are dropped."""
    monkeypatch.setattr(change_limit, "MAX_ACCOUNTS", 100)
    clock = FakeMonotonicClock()
    limit = ChangeLimit(2, clock)
    for number in range(1_000):
        limit.take(f"user-{number}")
        assert len(limit._full_at) + len(limit._older) <= 100
    assert taken(limit, "user-999") == 1
    for _ in range(2):
        clock.seconds += 60
        limit.take("ada")
    assert limit._full_at.keys() | limit._older.keys() == {"ada"}
