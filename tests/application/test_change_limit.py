"""How many changes an account may ask for: a minute's worth at once, then as many as come free again."""

import pytest

from cinema_grpc.application import change_limit as module
from cinema_grpc.application.change_limit import ChangeLimit
from cinema_grpc.application.errors import TooManyChanges


class Watch:
    """A clock to turn."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


def taken(limit: ChangeLimit, user_id: str = "ada", most: int = 1_000) -> int:
    """Ask for changes until one is refused, and count those that were not."""
    for number in range(most):
        try:
            limit.take(user_id)
        except TooManyChanges:
            return number
    return most


@pytest.mark.parametrize("per_minute", [1, 7, 120])
def test_a_minute_s_worth_at_once(per_minute: int) -> None:
    """Then one more each time that its share of a minute has passed, and as many as before after a minute's rest."""
    watch = Watch()
    limit = ChangeLimit(per_minute, watch)
    assert taken(limit) == per_minute
    assert taken(limit, "bob") == per_minute  # of whom Ada uses up nothing
    for _ in range(3):
        watch.seconds += 60 / per_minute
        assert taken(limit) == 1
    watch.seconds += 30
    assert taken(limit) == per_minute // 2
    for rest in (60, 61, 200):
        watch.seconds += rest
        assert taken(limit) == per_minute


def test_a_refusal_says_how_long_to_wait() -> None:
    """It costs nothing: after the wait the change is let through."""
    watch = Watch()
    limit = ChangeLimit(10, watch)
    taken(limit)
    for _ in range(5):
        with pytest.raises(TooManyChanges) as raised:
            limit.take("ada")
    assert raised.value.metadata == {"changes_per_minute": "10", "retry_after_seconds": "6"}
    watch.seconds += 6
    limit.take("ada")


def test_zero_is_no_limit() -> None:
    assert taken(ChangeLimit(0, Watch())) == 1_000


def test_in_a_steady_stream_no_change_is_refused_and_none_is_let_through_beyond_it() -> None:
    """Over many minutes, however the accounts that are remembered are put away in between."""
    watch = Watch()
    limit = ChangeLimit(60, watch)
    assert taken(limit) == 60
    let_through = 0
    for _ in range(2_000):
        watch.seconds += 0.25
        let_through += taken(limit)
    assert let_through == 500


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """In number, and accounts that rest are forgotten."""
    monkeypatch.setattr(module, "MOST_ACCOUNTS", 100)
    watch = Watch()
    limit = ChangeLimit(2, watch)
    for number in range(1_000):
        limit.take(f"user-{number}")
        assert len(limit._full_at) + len(limit._older) <= 100
    assert taken(limit, "user-999") == 1
    for _ in range(2):
        watch.seconds += 60
        limit.take("ada")
    assert limit._full_at.keys() | limit._older.keys() == {"ada"}
