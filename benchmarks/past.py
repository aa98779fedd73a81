"""A history: any number of bookings of showtimes that are over, written straight into the tables."""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import uuid_utils

from benchmarks.sample import BETWEEN_STARTS, PRICES, RUNTIME, SEAT_PRICE, Customer, SampleData, priced
from cinema_grpc.adapters.database.column_types import microseconds
from cinema_grpc.application.box_office.store import new_commit_id

BOOKINGS_A_SHOWTIME = 250
PAID_A_SHOWTIME = 60
"""Each of them has a pair of seats, a payment and two tickets; the others were holds without a payment."""
SHOWTIMES_AT_ONCE = 200
COLUMNS = {
    "showtime": "showtime_id movie_id auditorium_id cinema_id start_time end_time currency_code prices "
    "seat_gap_policy status taken_seats revision commit_id terms_revision latest_time",
    "commit_log": "showtime_id revision commit_id decide_time",
    "booking": "booking_id showtime_id user_id status seats seat_count currency_code total_price create_time "
    "hold_expire_time hold_extended hold_renewed wheelchair confirm_time revision",
    "seat_claim": "showtime_id seat booking_id",
    "payment_attempt": "attempt_id booking_id status create_time request due_time tries",
    "ticket": "ticket_id booking_id seat code",
}
Rows = dict[str, list[tuple[Any, ...]]]


def add_past(
    data: SampleData, bookings: int, regulars: Sequence[Customer], others: Sequence[Customer], each: int
) -> None:
    """Write bookings of the past.

    Args:
        data: Where.
        bookings: How many in all.
        regulars: Customers with many bookings, spread over all the time.
        others: Those who made the rest.
        each: How many every regular made.
    """
    stride = bookings // (len(regulars) * each)
    # A prime, so that the bookings of a showtime are many customers'.
    whose = [others[number * 7_919 % len(others)].user_id for number in range(bookings)]
    for number in range(0, bookings, stride):
        whose[number] = regulars[number // stride % len(regulars)].user_id
    auditoriums = data.database.ask("SELECT DISTINCT movie_id, auditorium_id, cinema_id FROM showtime")
    count = -(-bookings // BOOKINGS_A_SHOWTIME)
    first_start = datetime.now(UTC) - timedelta(days=2) - count // len(auditoriums) * BETWEEN_STARTS
    for first in range(0, count, SHOWTIMES_AT_ONCE):
        rows: Rows = {table: [] for table in COLUMNS}
        for number in range(first, min(first + SHOWTIMES_AT_ONCE, count)):
            start_time = first_start + number // len(auditoriums) * BETWEEN_STARTS
            buyers = whose[number * BOOKINGS_A_SHOWTIME : (number + 1) * BOOKINGS_A_SHOWTIME]
            _add_showtime(rows, data, auditoriums[number % len(auditoriums)], start_time, buyers)
        data.database.fill({table: (columns.split(), rows[table]) for table, columns in COLUMNS.items()})
    data.database.settle()


def _add_showtime(
    rows: Rows, data: SampleData, auditorium: tuple[Any, ...], start_time: datetime, buyers: Sequence[str]
) -> None:
    showtime_id = str(uuid_utils.uuid7())
    start, end = microseconds(start_time), microseconds(start_time + RUNTIME)
    taken = 2 * min(PAID_A_SHOWTIME, len(buyers))
    commits = [
        new_commit_id() for _ in range(2 * len(buyers) + 1)
    ]  # for each booking one that makes and one that ends it
    terms = ("EUR", PRICES, "REFUSE", "SCHEDULED")
    latest = (taken, len(commits) - 1, commits[-1], 0, start)
    rows["showtime"].append((showtime_id, *auditorium, start, end, *terms, *latest))
    rows["commit_log"] += [(showtime_id, revision, commit_id, start) for revision, commit_id in enumerate(commits)]
    for number, user_id in enumerate(buyers):
        booking_id = str(uuid_utils.uuid7())
        seats = data.pairs[number % len(data.pairs)]
        made = start - 86_400_000_000 + number * 1_000_000
        hold_end = made + 600_000_000
        kept = (booking_id, showtime_id, user_id)
        what = (priced(seats), len(seats), "EUR", len(seats) * SEAT_PRICE, made, hold_end)
        if number >= PAID_A_SHOWTIME:
            rows["booking"].append((*kept, "EXPIRED", *what, False, False, False, None, 2 * number + 2))
            continue
        rows["booking"].append((*kept, "CONFIRMED", *what, True, False, False, made, 2 * number + 2))
        rows["seat_claim"] += [(showtime_id, seat, booking_id) for seat in seats]
        rows["payment_attempt"].append((str(uuid_utils.uuid7()), booking_id, "CHARGED", made, "", made, 0))
        rows["ticket"] += [(str(uuid_utils.uuid7()), booking_id, seat, secrets.token_hex(16)) for seat in seats]
