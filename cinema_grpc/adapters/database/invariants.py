"""The invariants of the tables, as queries that find their breaches.

They are written in terms of the tables alone, apart from the code that they check. The databases differ only in how a
query takes JSON apart.
"""

from datetime import timedelta

from cinema_grpc.adapters.database.auditorium_invariants import of_auditoriums
from cinema_grpc.adapters.database.booking_invariants import of_bookings
from cinema_grpc.adapters.database.column_types import MICROSECOND
from cinema_grpc.adapters.database.door_invariants import of_door
from cinema_grpc.adapters.database.event_invariants import of_events
from cinema_grpc.adapters.database.invariant import Invariant, Json
from cinema_grpc.adapters.database.money_invariants import OF_PAYMENTS, books, of_refunds
from cinema_grpc.adapters.database.schema import OWED_REFUND, UNSETTLED_ATTEMPT
from cinema_grpc.adapters.database.seat_invariants import of_seats
from cinema_grpc.adapters.database.showtime_invariants import of_showtimes

LATEST_SWEEP = timedelta(seconds=10)
"""How long a lapsed hold may stay RESERVED, and a lapsed block may stay, while a server runs."""
LATEST_ATTEMPT = timedelta(minutes=15)
LATEST_REFUND = timedelta(hours=1)
"""The maximum age of a payment attempt and of a refund that are not settled.

A customer who has to act has time until the end of the hold. What the provider has as pending may take days.
"""

# ruff: noqa: S608 (SQL that is put together from texts of this file)


def invariants(dialect: str) -> list[Invariant]:
    """Return the rules, with queries for "sqlite" or "postgresql"."""
    json = Json(dialect)
    return [
        *of_seats(json),
        *of_auditoriums(json),
        *of_showtimes(json),
        *of_bookings(json),
        *of_events(json),
        *of_door(json),
        *_OF_TIME,
        *OF_PAYMENTS,
        *of_refunds(json),
        *_OF_ACCOUNTS,
    ]


def books_query(dialect: str) -> str:
    """Return the query for the books: rows of currency_code, charged, refunded, sold and kept."""
    return books(Json(dialect))


def _ago(time: timedelta) -> str:
    return f"CAST(:now AS BIGINT) - {time // MICROSECOND}"


_OF_TIME = [
    Invariant(
        "nothing was done more than 10 seconds in the future, as by a clock that was ahead",
        f"""
        SELECT kind, identifier, time FROM (
            SELECT 'showtime' AS kind, showtime_id AS identifier, latest_time AS time FROM showtime
            UNION ALL SELECT 'refund', refund_id, create_time FROM refund WHERE status = 'PENDING'
            UNION ALL SELECT 'payment attempt', attempt_id, create_time FROM payment_attempt
            WHERE status IN ('OPEN', 'VOIDING')
            UNION ALL SELECT 'account', user_id, revoke_time FROM account
        ) AS waiting WHERE time > CAST(:later AS BIGINT) + {LATEST_SWEEP // MICROSECOND}
        """,
    ),
    Invariant(
        "a lapsed hold is EXPIRED within 10 seconds (while a server runs)",
        f"""
        SELECT booking_id, showtime_id, hold_expire_time FROM booking
        WHERE status = 'RESERVED' AND hold_expire_time < {_ago(LATEST_SWEEP)}
        """,
    ),
    Invariant(
        "a lapsed block is gone within 10 seconds (while a server runs)",
        f"SELECT block_id, showtime_id, release_time FROM seat_block WHERE release_time < {_ago(LATEST_SWEEP)}",
    ),
    Invariant(
        "a payment attempt is settled within 15 minutes",
        f"""
        SELECT attempt_id, booking_id, status, tries FROM payment_attempt
        WHERE {UNSETTLED_ATTEMPT} AND create_time < {_ago(LATEST_ATTEMPT)} AND NOT (action AND EXISTS (
            SELECT 1 FROM booking
            WHERE booking.booking_id = payment_attempt.booking_id
                AND booking.hold_expire_time >= {_ago(LATEST_ATTEMPT)}
        ))
        """,
    ),
    Invariant(
        "a refund is paid within an hour",
        f"""
        SELECT refund_id, booking_id, amount, currency_code, tries FROM refund
        WHERE {OWED_REFUND} AND provider_id = '' AND create_time < {_ago(LATEST_REFUND)}
        """,
    ),
    Invariant(
        "no refund has failed",
        "SELECT refund_id, booking_id, amount, currency_code FROM refund WHERE status = 'FAILED'",
    ),
]

_OF_ACCOUNTS = [
    Invariant(
        "an account that is disabled has no session",
        """
        SELECT account.user_id, account.role FROM session JOIN account ON account.user_id = session.user_id
        WHERE account.disabled
        """,
    ),
]
