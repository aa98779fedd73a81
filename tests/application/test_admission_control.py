"""Work that would wait too long is refused, and no other."""

import math

import pytest

from cinema_grpc.application.admission_control import AdmissionControl
from cinema_grpc.application.errors import LONGEST_RETRY_SECONDS, Overloaded


def test_work_that_need_not_wait_is_never_refused() -> None:
    admission = AdmissionControl(longest_wait=0)
    admission.record(100.0)
    admission.check(rounds=0, under_way=100.0)


def test_the_wait_is_the_usual_time_of_a_round_for_each_round() -> None:
    admission = AdmissionControl(longest_wait=2)
    for _ in range(100):
        admission.record(0.5)
    admission.check(rounds=4)
    with pytest.raises(Overloaded) as refused:
        admission.check(rounds=5)
    assert refused.value.metadata == {"longest_wait_seconds": "2", "retry_after_seconds": "2"}


def test_a_round_that_takes_long_counts_at_once() -> None:
    admission = AdmissionControl(longest_wait=2)
    admission.record(0.01)
    admission.check(rounds=1, under_way=1.9)
    with pytest.raises(Overloaded):
        admission.check(rounds=1, under_way=2.1)


def test_one_slow_round_is_forgotten_again() -> None:
    admission = AdmissionControl(longest_wait=1)
    admission.record(20.0)
    with pytest.raises(Overloaded):
        admission.check(rounds=1)
    for _ in range(40):
        admission.record(0.01)
    admission.check(rounds=1)


def test_one_slow_round_refuses_no_work_in_a_fast_queue() -> None:
    admission = AdmissionControl(longest_wait=5)
    for _ in range(100):
        admission.record(0.01)
    admission.record(0.25)
    admission.check(rounds=127)


def test_callers_may_retry_within_half_a_minute() -> None:
    admission = AdmissionControl(longest_wait=1)
    with pytest.raises(Overloaded) as refused:
        admission.check(rounds=1, under_way=1e6)
    assert refused.value.retry_after == LONGEST_RETRY_SECONDS


def test_the_wait_has_no_limit_by_default() -> None:
    AdmissionControl().check(rounds=10**9, under_way=math.inf)
