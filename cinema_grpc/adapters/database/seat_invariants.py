"""The invariants of who has the seats of showtimes."""

from cinema_grpc.adapters.database.invariant import KEEPS, Invariant, Json
from cinema_grpc.domain.unpaid_holds import MAX_SEATS_ON_HOLD

# ruff: noqa: S608 (SQL that is put together from texts of this package)


def of_seats(json: Json) -> list[Invariant]:
    """Return the rules about seats, their claims, and blocks."""
    return [*_of_owners(json), *_of_counts(json)]


def _of_owners(json: Json) -> list[Invariant]:
    blocked = json.rows("seat_block.seats", "blocked")
    kept = f"""
        SELECT booking.showtime_id, {json.label} AS seat, booking.booking_id AS owner
        FROM booking CROSS JOIN {json.seats} WHERE {KEEPS} AND {json.active}
        UNION ALL
        SELECT seat_block.showtime_id, {json.itself("blocked")}, seat_block.block_id
        FROM seat_block CROSS JOIN {blocked}
    """
    return [
        Invariant(
            "a seat has one owner",
            f"""
            SELECT showtime_id, seat, min(owner) AS one, max(owner) AS another FROM ({kept}) AS kept
            GROUP BY showtime_id, seat HAVING count(*) > 1
            """,
        ),
        Invariant(
            "a claim belongs to a booking or a block that has the seat",
            f"""
            SELECT showtime_id, seat, booking_id, block_id FROM seat_claim
            WHERE NOT EXISTS (
                SELECT 1 FROM booking
                WHERE booking.booking_id = seat_claim.booking_id AND booking.showtime_id = seat_claim.showtime_id
                    AND {KEEPS}
                    AND EXISTS (SELECT 1 FROM {json.seats} WHERE {json.label} = seat_claim.seat AND {json.active})
            ) AND NOT EXISTS (
                SELECT 1 FROM seat_block
                WHERE seat_block.block_id = seat_claim.block_id AND seat_block.showtime_id = seat_claim.showtime_id
                    AND EXISTS (SELECT 1 FROM {blocked} WHERE {json.itself("blocked")} = seat_claim.seat)
            )
            """,
        ),
        Invariant(
            "a booking or a block that has seats has a claim on each",
            f"""
            SELECT showtime_id, seat, owner FROM ({kept}) AS kept WHERE NOT EXISTS (
                SELECT 1 FROM seat_claim
                WHERE seat_claim.showtime_id = kept.showtime_id AND seat_claim.seat = kept.seat
                    AND kept.owner IN (seat_claim.booking_id, seat_claim.block_id)
            )
            """,
        ),
    ]


def _of_counts(json: Json) -> list[Invariant]:
    blocked = json.rows("seat_block.seats", "blocked")
    return [
        Invariant(
            "the taken seats of a showtime are counted right",
            """
            SELECT showtime.showtime_id, showtime.taken_seats, count(seat_claim.seat) AS claims
            FROM showtime LEFT JOIN seat_claim ON seat_claim.showtime_id = showtime.showtime_id
            GROUP BY showtime.showtime_id, showtime.taken_seats
            HAVING showtime.taken_seats <> count(seat_claim.seat)
            """,
        ),
        Invariant(
            "the seats of a block are counted right, and there are some",
            f"""
            SELECT block_id, seats, seat_count FROM seat_block
            WHERE seat_count = 0 OR seat_count <> (SELECT count(*) FROM {blocked})
            """,
        ),
        Invariant(
            f"a customer has at most {MAX_SEATS_ON_HOLD} seats of a showtime on hold",
            f"""
            SELECT showtime_id, user_id, sum(seat_count) AS seats FROM booking
            WHERE status = 'RESERVED' AND hold_expire_time > CAST(:later AS BIGINT)
            GROUP BY showtime_id, user_id HAVING sum(seat_count) > {MAX_SEATS_ON_HOLD}
            """,
        ),
    ]
