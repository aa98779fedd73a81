"""The invariants of bookings and their tickets."""

from cinema_grpc.adapters.database.invariant import Invariant, Json
from cinema_grpc.domain.booking import MAX_SEATS_A_BOOKING
from cinema_grpc.domain.counter import MAX_SEATS_A_SALE

# ruff: noqa: S608 (SQL that is put together from texts of this package)


def of_bookings(json: Json) -> list[Invariant]:
    """Return the rules about bookings and their tickets."""
    return [*_of_seats(json), *_OF_STATES, *_OF_TIMES, *_of_tickets(json)]


def _of_seats(json: Json) -> list[Invariant]:
    companions = json.rows(json.array("space", 1), "companion")
    return [
        Invariant(
            "the active seats of a booking are counted right, and there are some",
            f"""
            SELECT booking_id, seats, seat_count FROM booking
            WHERE seat_count = 0 OR seat_count <> (SELECT count(*) FROM {json.seats} WHERE {json.active})
            """,
        ),
        Invariant(
            "the price of a booking is the sum of its seats' prices, none of them below 0",
            f"""
            SELECT booking_id, seats, total_price FROM booking
            WHERE total_price <> (SELECT sum({json.price}) FROM {json.seats})
                OR EXISTS (SELECT 1 FROM {json.seats} WHERE {json.price} < 0)
            """,
        ),
        Invariant(
            f"a booking has at most {MAX_SEATS_A_BOOKING} seats, {MAX_SEATS_A_SALE} at the counter",
            f"""
            SELECT booking_id, tender, seats FROM booking WHERE (SELECT count(*) FROM {json.seats}) >
                CASE WHEN tender IS NULL THEN {MAX_SEATS_A_BOOKING} ELSE {MAX_SEATS_A_SALE} END
            """,
        ),
        Invariant(
            "a seat is not active only if it was sold",
            f"""
            SELECT booking_id, status, seats FROM booking
            WHERE confirm_time IS NULL AND EXISTS (SELECT 1 FROM {json.seats} WHERE NOT {json.active})
            """,
        ),
        Invariant(
            "a complimentary seat costs nothing",
            f"""
            SELECT booking_id, seats FROM booking
            WHERE tender = 'COMPLIMENTARY' AND EXISTS (SELECT 1 FROM {json.seats} WHERE {json.price} <> 0)
            """,
        ),
        Invariant(
            "wheelchair spaces and companion seats are in bookings for wheelchairs alone",
            f"""
            SELECT booking.booking_id, booking.seats FROM booking
            JOIN showtime ON showtime.showtime_id = booking.showtime_id
            JOIN auditorium ON auditorium.auditorium_id = showtime.auditorium_id
            WHERE NOT booking.wheelchair AND EXISTS (
                SELECT 1 FROM {json.rows("auditorium.wheelchair_spaces", "space")} CROSS JOIN {json.seats}
                WHERE {json.text("space", 0)} = {json.label}
                    OR EXISTS (SELECT 1 FROM {companions} WHERE {json.itself("companion")} = {json.label})
            )
            """,
        ),
    ]


_OF_STATES = [
    Invariant(
        "a booking's status agrees with when it was confirmed and cancelled",
        """
        SELECT booking_id, status, confirm_time, cancel_time FROM booking WHERE NOT
            CASE status WHEN 'CONFIRMED' THEN confirm_time IS NOT NULL AND cancel_time IS NULL
            WHEN 'CANCELLED' THEN cancel_time IS NOT NULL
            ELSE confirm_time IS NULL AND cancel_time IS NULL END
        """,
    ),
    Invariant(
        "a booking has a cause of its cancellation exactly if it is CANCELLED, and others give a reason",
        """
        SELECT booking_id, status, cancel_cause, cancel_reason FROM booking
        WHERE (status = 'CANCELLED') <> (cancel_cause IS NOT NULL)
            OR (cancel_cause IN ('STAFF', 'SHOWTIME') AND cancel_reason IS NULL)
        """,
    ),
    Invariant(
        "a booking that was cancelled with its showtime is of one that is CANCELLED, since then and for that reason",
        """
        SELECT booking.booking_id, booking.showtime_id, showtime.status, showtime.cancel_time FROM booking
        JOIN showtime ON showtime.showtime_id = booking.showtime_id
        WHERE booking.cancel_cause = 'SHOWTIME' AND (showtime.status <> 'CANCELLED'
            OR booking.cancel_time <> showtime.cancel_time OR booking.cancel_reason <> showtime.cancel_reason)
        """,
    ),
    Invariant(
        "a booking of the counter has a seller, and is confirmed from the first",
        """
        SELECT booking_id, tender, sold_by, confirm_time FROM booking
        WHERE (tender IS NULL) <> (sold_by IS NULL)
            OR (tender IS NOT NULL AND coalesce(confirm_time, 0) <> create_time)
        """,
    ),
    Invariant(
        "a complimentary sale has a reason",
        """
        SELECT booking_id, sold_by, sale_reason FROM booking
        WHERE tender = 'COMPLIMENTARY' AND coalesce(sale_reason, '') = ''
        """,
    ),
    Invariant(
        "a booking is in its showtime's currency",
        """
        SELECT booking.booking_id, booking.currency_code, showtime.currency_code AS of_showtime FROM booking
        JOIN showtime ON showtime.showtime_id = booking.showtime_id
        WHERE booking.currency_code <> showtime.currency_code
        """,
    ),
    Invariant(
        "a booking changed at a revision that its showtime has had",
        """
        SELECT booking.booking_id, booking.revision, showtime.revision AS of_showtime FROM booking
        JOIN showtime ON showtime.showtime_id = booking.showtime_id WHERE booking.revision > showtime.revision
        """,
    ),
    Invariant(
        "a booking that was charged or sold is marked, so its charges, tickets and refunds are read with it",
        """
        SELECT booking_id, status, hold_extended FROM booking WHERE NOT hold_extended AND (
            confirm_time IS NOT NULL
            OR EXISTS (SELECT 1 FROM payment_attempt WHERE payment_attempt.booking_id = booking.booking_id)
            OR EXISTS (SELECT 1 FROM refund WHERE refund.booking_id = booking.booking_id)
        )
        """,
    ),
]


_OF_TIMES = [
    Invariant(
        "a booking is made, then confirmed, then cancelled",
        """
        SELECT booking_id, create_time, confirm_time, cancel_time FROM booking
        WHERE coalesce(confirm_time, create_time) < create_time
            OR coalesce(cancel_time, confirm_time, create_time) < coalesce(confirm_time, create_time)
        """,
    ),
    Invariant(
        "a hold that no charge has extended ends by the start",
        """
        SELECT booking.booking_id, booking.hold_expire_time, showtime.start_time FROM booking
        JOIN showtime ON showtime.showtime_id = booking.showtime_id
        WHERE booking.status = 'RESERVED' AND NOT booking.hold_extended
            AND booking.hold_expire_time > showtime.start_time
        """,
    ),
]


def _of_tickets(json: Json) -> list[Invariant]:
    return [
        Invariant(
            "a ticket is for a seat of a booking that was confirmed",
            f"""
            SELECT ticket.ticket_id, ticket.booking_id, ticket.seat FROM ticket
            JOIN booking ON booking.booking_id = ticket.booking_id
            WHERE booking.confirm_time IS NULL
                OR NOT EXISTS (SELECT 1 FROM {json.seats} WHERE {json.label} = ticket.seat)
            """,
        ),
        Invariant(
            "a booking that was confirmed has one ticket for each seat",
            f"""
            SELECT booking.booking_id, booking.seats, count(ticket.ticket_id) AS tickets FROM booking
            LEFT JOIN ticket ON ticket.booking_id = booking.booking_id WHERE booking.confirm_time IS NOT NULL
            GROUP BY booking.booking_id, booking.seats
            HAVING count(ticket.ticket_id) <> (SELECT count(*) FROM {json.seats})
                OR count(DISTINCT ticket.seat) <> (SELECT count(*) FROM {json.seats})
            """,
        ),
    ]
