"""Start times, overlaps and prices of new showtimes."""

from datetime import UTC, datetime, timedelta

import pytest
from cinema.buf.validate import validate_pb2
from cinema.v1 import catalog_service_pb2, money_pb2

from cinema_grpc.domain.catalog import (
    LONGEST_RUNTIME,
    Auditorium,
    check_overlap,
    single_price_violations,
    start_time_violations,
)
from cinema_grpc.domain.errors import ShowtimeOverlap
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.pricing import LARGEST_PRICE
from cinema_grpc.domain.seating import SeatRow
from tests.builders import NOW

MICROSECOND = timedelta(microseconds=1)
START = datetime(2026, 5, 1, 20, 0, tzinfo=UTC)
END = datetime(2026, 5, 1, 22, 0, tzinfo=UTC)
GAP = timedelta(minutes=15)


def test_an_auditorium_counts_its_seats() -> None:
    rows = (SeatRow("A", (4, 6, 4)), SeatRow("B", (3,)))
    assert Auditorium("auditorium", "cinema", "Screen 1", rows, NOW).total_seats == 17


def test_a_start_must_be_after_now() -> None:
    assert start_time_violations(NOW + MICROSECOND, NOW) == []
    for start_time in (NOW, NOW - MICROSECOND):
        (violation,) = start_time_violations(start_time, NOW)
        assert violation.field == "start_time"
        assert "2026-05-01T12:00:00Z" in violation.description


@pytest.mark.parametrize(
    ("now", "latest"),
    [
        ("2026-05-01T12:00:00+00:00", "2031-05-01T12:00:00+00:00"),
        ("2026-05-01T12:00:00.000001+00:00", "2031-05-01T12:00:00.000001+00:00"),
        ("2028-02-28T23:59:59+00:00", "2033-02-28T23:59:59+00:00"),
        ("2028-02-29T08:00:00+00:00", "2033-02-28T08:00:00+00:00"),
        ("2028-03-01T08:00:00+00:00", "2033-03-01T08:00:00+00:00"),
        ("2026-03-29T08:00:00+00:00", "2031-03-29T08:00:00+00:00"),
        ("2026-02-10T08:00:00+00:00", "2031-02-10T08:00:00+00:00"),
        ("2027-02-28T08:00:00+00:00", "2032-02-28T08:00:00+00:00"),
    ],
)
def test_a_start_is_at_most_five_years_ahead(now: str, latest: str) -> None:
    moment, last = datetime.fromisoformat(now), datetime.fromisoformat(latest)
    assert start_time_violations(last, moment) == []
    (violation,) = start_time_violations(last + MICROSECOND, moment)
    assert violation.field == "start_time"
    assert latest.replace("+00:00", "Z") in violation.description


@pytest.mark.parametrize(
    ("start", "end", "fits"),
    [
        (END + GAP, END + GAP + timedelta(hours=1), True),
        (END + GAP - MICROSECOND, END + timedelta(hours=1), False),
        (END, END + timedelta(hours=1), False),
        (START - GAP - timedelta(hours=1), START - GAP, True),
        (START - GAP - timedelta(hours=1), START - GAP + MICROSECOND, False),
        (START - timedelta(hours=1), START, False),
        (START, END, False),
        (START, START + timedelta(minutes=1), False),
        (START + timedelta(minutes=30), END - timedelta(minutes=30), False),
        (START - timedelta(minutes=30), END + timedelta(minutes=30), False),
        (START - timedelta(minutes=30), START + timedelta(minutes=30), False),
        (END - timedelta(minutes=30), END + timedelta(minutes=30), False),
        (START + timedelta(days=1), END + timedelta(days=1), True),
        (START - timedelta(days=1), END - timedelta(days=1), True),
    ],
    ids=[
        "15 minutes after",
        "a microsecond less after",
        "back to back after",
        "15 minutes before",
        "a microsecond less before",
        "back to back before",
        "the same",
        "same start",
        "within",
        "around",
        "over the start",
        "over the end",
        "the next day",
        "the day before",
    ],
)
def test_fifteen_minutes_between_two_showtimes(start: datetime, end: datetime, *, fits: bool) -> None:
    if fits:
        check_overlap(start, end, "other", START, END)
        check_overlap(START, END, "other", start, end)
        return
    with pytest.raises(ShowtimeOverlap) as refusal:
        check_overlap(start, end, "other", START, END)
    assert refusal.value.metadata["showtime_id"] == "other"
    assert refusal.value.metadata["start_time"] == "2026-05-01T20:00:00Z"
    assert refusal.value.metadata["end_time"] == "2026-05-01T22:00:00Z"
    with pytest.raises(ShowtimeOverlap):
        check_overlap(START, END, "other", start, end)


@pytest.mark.parametrize(("amount", "fits"), [(0, True), (1, True), (10**12, True), (-1, False), (10**12 + 1, False)])
def test_a_price_is_0_to_10_to_the_12_minor_units(amount: int, *, fits: bool) -> None:
    fields = [violation.field for violation in single_price_violations(Money("EUR", amount))]
    assert fields == ([] if fits else ["price.minor_units"])


def test_the_protos_have_the_same_bounds() -> None:
    """The search for overlaps looks back by the longest runtime, so requests must not exceed it."""
    runtime = catalog_service_pb2.CreateMovieRequest.DESCRIPTOR.fields_by_name["runtime"]
    longest = runtime.GetOptions().Extensions[validate_pb2.field].duration.lte
    assert timedelta(seconds=longest.seconds, microseconds=longest.nanos // 1000) == LONGEST_RUNTIME
    amount = money_pb2.Money.DESCRIPTOR.fields_by_name["minor_units"]
    assert amount.GetOptions().Extensions[validate_pb2.field].int64.lte == LARGEST_PRICE
