"""Counts of calls and errors, for metrics."""

import pytest
from grpc import StatusCode

from cinema_grpc.application.distribution import Distribution
from cinema_grpc.application.errors import Overloaded
from cinema_grpc.domain.booking_errors import SeatsUnavailable
from cinema_grpc.domain.errors import CinemaError
from cinema_grpc.observability.readings import code_name
from cinema_grpc.transport.call_counts import CallCounts
from cinema_grpc.transport.errors import TooManyCalls, TooManyWatches


@pytest.mark.parametrize(
    ("error", "sheds"),
    [
        (TooManyCalls("calls_at_once", 3), {"calls_at_once": 1}),
        (TooManyWatches("watches_at_once", 3), {"watches_at_once": 1}),
        (Overloaded(5, 7), {"longest_wait_seconds": 1}),
        (SeatsUnavailable(["A1"]), {}),
    ],
)
def test_errors_of_overload_are_counted_by_limit(error: CinemaError, sheds: dict[str, int]) -> None:
    counts = CallCounts()
    counts.note_error(error)
    assert counts.errors == {error.reason: 1}
    assert counts.sheds == sheds


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (StatusCode.OK, "OK"),
        (StatusCode.CANCELLED, "Canceled"),
        (StatusCode.INVALID_ARGUMENT, "InvalidArgument"),
        (StatusCode.DATA_LOSS, "DataLoss"),
        (StatusCode.INTERNAL, "Internal"),
    ],
)
def test_codes_are_spelled_as_in_go(code: StatusCode, name: str) -> None:
    assert code_name(code.name) == name


def test_a_distribution() -> None:
    """A value that equals a bound is below it."""
    found = Distribution((1, 2, 5))
    for value in (0.5, 1, 1.5, 2, 7):
        found.add(value)
    assert found.counts == [2, 2, 0, 1]
    assert found.total == 12
