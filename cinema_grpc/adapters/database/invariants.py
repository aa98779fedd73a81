"""The invariants of the tables, as queries that find their breaches.

They are written in terms of the tables alone, apart from the code that they check. The databases differ only in how a
query takes JSON apart.
"""

from dataclasses import dataclass
from datetime import timedelta

from cinema_grpc.adapters.database.column_types import MICROSECOND
from cinema_grpc.adapters.database.schema import OWED_REFUND, UNSETTLED_ATTEMPT
from cinema_grpc.domain.cancellation import TIERS

LATEST_SWEEP = timedelta(seconds=10)
"""How long a lapsed hold may stay RESERVED while a server runs."""
LATEST_ATTEMPT = timedelta(minutes=15)
LATEST_REFUND = timedelta(hours=1)
"""The maximum age of a payment attempt and of a refund that are not settled."""

# ruff: noqa: S608 (SQL that is put together from texts of this file)


@dataclass(frozen=True, slots=True)
class Invariant:
    """A rule, and a query for its breaches; `:now` is the present in microseconds."""

    rule: str
    breaches: str


def invariants(dialect: str) -> list[Invariant]:
    """Return the rules, with queries for "sqlite" or "postgresql"."""
    seats = _SQLITE if dialect == "sqlite" else _POSTGRESQL
    return [*_of_seats(seats), *_of_bookings(seats), *_OF_TIME, *_OF_MONEY, *_OF_ACCOUNTS]


@dataclass(frozen=True, slots=True)
class _Seats:
    """How a query reads the JSON of `booking.seats`: the rows to join, and the label and the price in each."""

    rows: str
    label: str
    price: str

    def include(self, label: str) -> str:
        """Return the condition that a booking has a seat."""
        return f"EXISTS (SELECT 1 FROM {self.rows} WHERE {self.label} = {label})"


_SQLITE = _Seats(
    "json_each(booking.seats) AS seat", "json_extract(seat.value, '$[0]')", "json_extract(seat.value, '$[1]')"
)
_POSTGRESQL = _Seats(
    "json_array_elements(CAST(booking.seats AS json)) AS seat(value)",
    "(seat.value->>0)",
    "CAST(seat.value->>1 AS BIGINT)",
)
_KEEPS = "status IN ('RESERVED', 'CONFIRMED')"
_LAPSED = f"CAST(:now AS BIGINT) - {LATEST_SWEEP // MICROSECOND}"


def _of_seats(seats: _Seats) -> list[Invariant]:
    kept = (
        f"SELECT booking.showtime_id, booking.booking_id, {seats.label} AS seat"
        f" FROM booking CROSS JOIN {seats.rows} WHERE {_KEEPS}"
    )
    return [
        Invariant(
            "a seat has one owner",
            f"SELECT showtime_id, seat, min(booking_id) AS one, max(booking_id) AS another FROM ({kept}) AS kept"
            " GROUP BY showtime_id, seat HAVING count(*) > 1",
        ),
        Invariant(
            "a claim belongs to a booking that keeps the seat",
            "SELECT showtime_id, seat, booking_id FROM seat_claim WHERE NOT EXISTS (SELECT 1 FROM booking"
            " WHERE booking.booking_id = seat_claim.booking_id AND booking.showtime_id = seat_claim.showtime_id"
            f" AND {_KEEPS} AND {seats.include('seat_claim.seat')})",
        ),
        Invariant(
            "a booking that keeps seats has a claim on each",
            f"SELECT showtime_id, seat, booking_id FROM ({kept}) AS kept WHERE NOT EXISTS (SELECT 1 FROM seat_claim"
            " WHERE seat_claim.showtime_id = kept.showtime_id AND seat_claim.seat = kept.seat"
            " AND seat_claim.booking_id = kept.booking_id)",
        ),
        Invariant(
            "the taken seats of a showtime are counted right",
            "SELECT showtime.showtime_id, showtime.taken_seats, count(seat_claim.seat) AS claims FROM showtime"
            " LEFT JOIN seat_claim ON seat_claim.showtime_id = showtime.showtime_id"
            " GROUP BY showtime.showtime_id, showtime.taken_seats"
            " HAVING showtime.taken_seats <> count(seat_claim.seat)",
        ),
        Invariant(
            "a showtime is in the cinema of its auditorium",
            "SELECT showtime.showtime_id, showtime.cinema_id, auditorium.cinema_id AS of_auditorium FROM showtime"
            " JOIN auditorium ON auditorium.auditorium_id = showtime.auditorium_id"
            " WHERE showtime.cinema_id <> auditorium.cinema_id",
        ),
        Invariant(
            "the revision and the commit of a showtime are the latest in the commit log",
            "SELECT showtime_id, revision, commit_id FROM showtime WHERE NOT EXISTS (SELECT 1 FROM commit_log"
            " WHERE commit_log.showtime_id = showtime.showtime_id AND commit_log.revision = showtime.revision"
            " AND commit_log.commit_id = showtime.commit_id) OR EXISTS (SELECT 1 FROM commit_log"
            " WHERE commit_log.showtime_id = showtime.showtime_id AND commit_log.revision > showtime.revision)",
        ),
    ]


def _of_bookings(seats: _Seats) -> list[Invariant]:
    return [
        Invariant(
            "the seats of a booking are counted right",
            "SELECT booking_id, seats, seat_count FROM booking"
            f" WHERE seat_count <> (SELECT count(*) FROM {seats.rows})",
        ),
        Invariant(
            "the price of a booking is the sum of its seats' prices",
            "SELECT booking_id, seats, total_price FROM booking"
            f" WHERE total_price <> (SELECT sum({seats.price}) FROM {seats.rows})",
        ),
        Invariant(
            "a booking's status agrees with when it was confirmed and cancelled",
            "SELECT booking_id, status, confirm_time, cancel_time FROM booking WHERE NOT"
            " CASE status WHEN 'CONFIRMED' THEN confirm_time IS NOT NULL AND cancel_time IS NULL"
            " WHEN 'CANCELLED' THEN cancel_time IS NOT NULL"
            " ELSE confirm_time IS NULL AND cancel_time IS NULL END",
        ),
        Invariant(
            "a ticket is for a seat of a booking that was confirmed",
            "SELECT ticket.ticket_id, ticket.booking_id, ticket.seat FROM ticket"
            " JOIN booking ON booking.booking_id = ticket.booking_id"
            f" WHERE booking.confirm_time IS NULL OR NOT {seats.include('ticket.seat')}",
        ),
        Invariant(
            "a booking that was confirmed has one ticket for each seat",
            "SELECT booking.booking_id, booking.seats, count(ticket.ticket_id) AS tickets FROM booking"
            " LEFT JOIN ticket ON ticket.booking_id = booking.booking_id WHERE booking.confirm_time IS NOT NULL"
            " GROUP BY booking.booking_id, booking.seats, booking.seat_count"
            " HAVING count(ticket.ticket_id) <> booking.seat_count"
            " OR count(DISTINCT ticket.seat) <> booking.seat_count",
        ),
    ]


_OF_TIME = [
    Invariant(
        "a lapsed hold is EXPIRED within 10 seconds (while a server runs)",
        f"SELECT booking_id, showtime_id, hold_expire_time FROM booking WHERE status = 'RESERVED'"
        f" AND hold_expire_time < {_LAPSED}",
    ),
    Invariant(
        "a payment attempt is settled within 15 minutes",
        f"SELECT attempt_id, booking_id, status, tries FROM payment_attempt WHERE {UNSETTLED_ATTEMPT}"
        f" AND create_time < CAST(:now AS BIGINT) - {LATEST_ATTEMPT // MICROSECOND}",
    ),
    Invariant(
        "a refund is paid within an hour",
        f"SELECT refund_id, booking_id, amount, currency_code, tries FROM refund WHERE {OWED_REFUND}"
        f" AND create_time < CAST(:now AS BIGINT) - {LATEST_REFUND // MICROSECOND}",
    ),
    Invariant(
        "no refund has failed",
        "SELECT refund_id, booking_id, amount, currency_code FROM refund WHERE status = 'FAILED'",
    ),
]

_CHARGED = (
    "EXISTS (SELECT 1 FROM payment_attempt WHERE payment_attempt.booking_id = booking.booking_id"
    " AND payment_attempt.status = 'CHARGED')"
)
_TIERS = " ".join(
    f"WHEN showtime.start_time - booking.cancel_time >= {before // MICROSECOND} THEN {percent}"
    for before, percent in TIERS
)
# Other charges than that of a confirmed booking are refunded in full.
_PERCENT = f"CASE WHEN booking.confirm_time IS NULL THEN 100 {_TIERS} ELSE 0 END"
_OWED = f"((booking.total_price * ({_PERCENT}) + 50) / 100)"
_GIVEN_UP = "booking.status = 'CANCELLED' AND booking.confirm_time IS NOT NULL"
_PAID_FOR = "booking JOIN showtime ON showtime.showtime_id = booking.showtime_id"

_OF_MONEY = [
    Invariant(
        "a booking is charged once",
        "SELECT booking_id, count(*) AS charges FROM payment_attempt WHERE status IN ('CHARGED', 'OPEN', 'VOIDING')"
        " GROUP BY booking_id HAVING count(*) > 1",
    ),
    Invariant(
        "a booking that was confirmed was charged",
        f"SELECT booking_id, status FROM booking WHERE confirm_time IS NOT NULL AND NOT {_CHARGED}",
    ),
    Invariant(
        "a booking that was charged is confirmed or refunded",
        f"SELECT booking_id, status FROM booking WHERE status <> 'CONFIRMED' AND {_CHARGED}"
        " AND NOT EXISTS (SELECT 1 FROM refund WHERE refund.booking_id = booking.booking_id)",
    ),
    Invariant(
        "a refund is for a charge of a booking that is over",
        "SELECT refund.refund_id, refund.booking_id, booking.status FROM refund"
        " JOIN booking ON booking.booking_id = refund.booking_id WHERE booking.status IN ('RESERVED', 'CONFIRMED')"
        " OR NOT EXISTS (SELECT 1 FROM payment_attempt WHERE payment_attempt.attempt_id = refund.attempt_id"
        " AND payment_attempt.booking_id = refund.booking_id AND payment_attempt.status = 'CHARGED')",
    ),
    Invariant(
        "a refund is what the policy says",
        f"SELECT refund.refund_id, refund.booking_id, refund.percent, refund.amount, {_OWED} AS owed FROM {_PAID_FOR}"
        f" JOIN refund ON refund.booking_id = booking.booking_id WHERE refund.percent <> ({_PERCENT})"
        f" OR refund.amount <> {_OWED} OR refund.currency_code <> booking.currency_code",
    ),
]

_OF_ACCOUNTS = [
    Invariant(
        "an account that is disabled has no session",
        "SELECT account.user_id, account.role FROM session JOIN account ON account.user_id = session.user_id"
        " WHERE account.disabled",
    ),
]

BOOKS = (
    "SELECT booking.currency_code,"
    f" sum(CASE WHEN {_CHARGED} THEN booking.total_price ELSE 0 END) AS charged,"
    " sum(coalesce(refund.amount, 0)) AS refunded,"
    f" sum(CASE booking.status WHEN 'CONFIRMED' THEN booking.total_price ELSE 0 END) AS sold,"
    f" sum(CASE WHEN {_GIVEN_UP} THEN booking.total_price - {_OWED} ELSE 0 END) AS kept"
    f" FROM {_PAID_FOR} LEFT JOIN refund ON refund.booking_id = booking.booking_id"
    " GROUP BY booking.currency_code ORDER BY booking.currency_code"
)
"""In each currency: what was charged, what is or was owed back, what confirmed bookings cost, what the policy kept."""
