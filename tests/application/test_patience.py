"""Who would have to wait too long is turned away, and nobody else."""

import math

import pytest

from cinema_grpc.application.errors import LONGEST_RETRY_SECONDS, Overloaded
from cinema_grpc.application.patience import Patience


def test_nobody_is_turned_away_who_need_not_wait() -> None:
    patience = Patience(longest_wait=0)
    patience.took(100.0)
    patience.check(rounds=0, under_way=100.0)


def test_the_wait_is_the_usual_time_of_a_round_for_each_round() -> None:
    patience = Patience(longest_wait=2)
    for _ in range(100):
        patience.took(0.5)
    patience.check(rounds=4)
    with pytest.raises(Overloaded) as refused:
        patience.check(rounds=5)
    assert refused.value.metadata == {"longest_wait_seconds": "2", "retry_after_seconds": "2"}


def test_a_round_that_takes_long_is_believed_at_once() -> None:
    patience = Patience(longest_wait=2)
    patience.took(0.01)
    patience.check(rounds=1, under_way=1.9)
    with pytest.raises(Overloaded):
        patience.check(rounds=1, under_way=2.1)


def test_one_slow_round_is_forgotten_again() -> None:
    patience = Patience(longest_wait=1)
    patience.took(20.0)
    with pytest.raises(Overloaded):
        patience.check(rounds=1)
    for _ in range(40):
        patience.took(0.01)
    patience.check(rounds=1)


def test_one_slow_round_turns_away_nobody_in_a_queue_that_goes_well() -> None:
    patience = Patience(longest_wait=5)
    for _ in range(100):
        patience.took(0.01)
    patience.took(0.25)
    patience.check(rounds=127)


def test_callers_are_told_to_come_back_within_half_a_minute() -> None:
    patience = Patience(longest_wait=1)
    with pytest.raises(Overloaded) as refused:
        patience.check(rounds=1, under_way=1e6)
    assert refused.value.retry_after == LONGEST_RETRY_SECONDS


def test_patience_has_no_end_unless_told() -> None:
    Patience().check(rounds=10**9, under_way=math.inf)
