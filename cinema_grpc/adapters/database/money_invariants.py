"""The invariants of payments and refunds, and the books."""

from cinema_grpc.adapters.database.column_types import MICROSECOND
from cinema_grpc.adapters.database.invariant import Invariant, Json
from cinema_grpc.domain.cancellation import FULL_REFUND_AFTER, TIERS

# ruff: noqa: S608 (SQL that is put together from texts of this package)

_CHARGED = """EXISTS (
    SELECT 1 FROM payment_attempt
    WHERE payment_attempt.booking_id = booking.booking_id AND payment_attempt.status = 'CHARGED'
)"""
_PAID = f"(booking.tender IS NOT NULL OR {_CHARGED})"
_REFUNDED = "refund JOIN booking ON booking.booking_id = refund.booking_id"
_IN_FULL = "(booking.confirm_time IS NULL OR booking.cancel_cause = 'SHOWTIME')"
"""The condition that a booking that is over, and was paid for, is refunded in full."""
_FOREVER = 2**62

OF_PAYMENTS = [
    Invariant(
        "a booking is paid for once",
        """
        SELECT booking_id, count(*) AS charges FROM payment_attempt WHERE status IN ('CHARGED', 'OPEN', 'VOIDING')
        GROUP BY booking_id HAVING count(*) > 1
        """,
    ),
    Invariant(
        "the provider is never asked for the price of a sale at the counter",
        """
        SELECT payment_attempt.attempt_id, booking.booking_id, booking.tender FROM payment_attempt
        JOIN booking ON booking.booking_id = payment_attempt.booking_id WHERE booking.tender IS NOT NULL
        """,
    ),
    Invariant(
        "a booking that was confirmed was paid for",
        f"SELECT booking_id, status FROM booking WHERE confirm_time IS NOT NULL AND NOT {_PAID}",
    ),
    Invariant(
        "a refund is for what its booking was paid with",
        f"""
        SELECT refund.refund_id, refund.booking_id, refund.attempt_id, booking.tender FROM {_REFUNDED}
        WHERE CASE WHEN booking.tender IS NOT NULL THEN refund.attempt_id IS NOT NULL ELSE NOT EXISTS (
            SELECT 1 FROM payment_attempt
            WHERE payment_attempt.attempt_id = refund.attempt_id AND payment_attempt.status = 'CHARGED'
                AND payment_attempt.booking_id = refund.booking_id
        ) END
        """,
    ),
    Invariant(
        "a refund is in its booking's currency and showtime",
        f"""
        SELECT refund.refund_id, refund.booking_id, refund.currency_code, refund.showtime_id FROM {_REFUNDED}
        WHERE refund.currency_code <> booking.currency_code OR refund.showtime_id <> booking.showtime_id
        """,
    ),
    Invariant(
        "the refunds of a booking are no more than was paid",
        f"""
        SELECT booking.booking_id, booking.total_price, sum(refund.amount) AS refunded FROM {_REFUNDED}
        GROUP BY booking.booking_id, booking.total_price HAVING sum(refund.amount) > booking.total_price
        """,
    ),
    Invariant(
        "a booking that was cancelled with its showtime, or paid for too late, is refunded in full",
        f"""
        SELECT booking.booking_id, booking.total_price, sum(refund.amount) AS refunded FROM {_REFUNDED}
        WHERE {_IN_FULL}
        GROUP BY booking.booking_id, booking.total_price HAVING sum(refund.amount) <> booking.total_price
        """,
    ),
    Invariant(
        "a refund that was settled by hand is COMPLETED, and it is known when and why",
        """
        SELECT refund_id, booking_id, status, settled_by, settle_time, note FROM refund
        WHERE (settled_by IS NULL) <> (settle_time IS NULL) OR (settled_by IS NULL) <> (note IS NULL)
            OR (settled_by IS NOT NULL AND status <> 'COMPLETED')
        """,
    ),
    Invariant(
        "a refund of a sale at the counter is PENDING until it is settled by hand",
        f"""
        SELECT refund.refund_id, refund.booking_id, refund.status FROM {_REFUNDED}
        WHERE booking.tender IS NOT NULL AND refund.settled_by IS NULL AND refund.amount <> 0
            AND refund.status <> 'PENDING'
        """,
    ),
    Invariant(
        "a refund of nothing is COMPLETED",
        "SELECT refund_id, booking_id, status FROM refund WHERE amount = 0 AND status <> 'COMPLETED'",
    ),
]


def of_refunds(json: Json) -> list[Invariant]:
    """Return the rules about which seats are refunded, and how much."""
    gone, label = json.rows("refund.seats", "gone"), json.itself("gone")
    given_up = f"(booking.status NOT IN ('RESERVED', 'CONFIRMED') OR NOT {json.active})"
    return [
        Invariant(
            "a seat that was paid for and given up is refunded once",
            f"""
            SELECT sold.booking_id, sold.label, count(refunded.label) AS refunds FROM (
                SELECT booking.booking_id, {json.label} AS label FROM booking CROSS JOIN {json.seats}
                WHERE {_PAID} AND (booking.status <> 'CONFIRMED' OR NOT {json.active})
            ) AS sold LEFT JOIN (
                SELECT refund.booking_id, {label} AS label FROM refund CROSS JOIN {gone}
            ) AS refunded ON refunded.booking_id = sold.booking_id AND refunded.label = sold.label
            GROUP BY sold.booking_id, sold.label HAVING count(refunded.label) <> 1
            """,
        ),
        Invariant(
            "a seat that is refunded is one of the booking that was given up",
            f"""
            SELECT refund.refund_id, refund.booking_id, {label} AS label FROM {_REFUNDED} CROSS JOIN {gone}
            WHERE NOT EXISTS (SELECT 1 FROM {json.seats} WHERE {json.label} = {label} AND {given_up})
            """,
        ),
        Invariant(
            "a refund is its percent of the price of its seats",
            f"""
            SELECT refund_id, booking_id, percent, amount, owed FROM ({_owed(json)}) AS owed
            WHERE amount <> owed OR percent NOT BETWEEN 0 AND 100
            """,
        ),
        Invariant("the percent of a refund is what the policy says", _against_policy(json)),
    ]


def books(json: Json) -> str:
    """Return the query for the books.

    In each currency: what was paid, what is or was owed back, what the seats that are sold cost, and what was kept of
    those that were given up.
    """
    return f"""
        SELECT currency_code, sum(charged) AS charged, sum(refunded) AS refunded, sum(sold) AS sold, sum(kept) AS kept
        FROM (
            SELECT booking.currency_code, CASE WHEN {_PAID} THEN booking.total_price ELSE 0 END AS charged,
                0 AS refunded, 0 AS sold, 0 AS kept
            FROM booking
            UNION ALL SELECT currency_code, 0, amount, 0, 0 FROM refund
            UNION ALL SELECT booking.currency_code, 0, 0, {json.price}, 0 FROM booking CROSS JOIN {json.seats}
            WHERE booking.status = 'CONFIRMED' AND {json.active}
            UNION ALL SELECT currency_code, 0, 0, 0, price - owed FROM ({_owed(json)}) AS owed
        ) AS entries
        GROUP BY currency_code ORDER BY currency_code
    """


def _owed(json: Json) -> str:
    """Make the query for what each refund should be, beside the price of its seats.

    They telescope: those of a booking at one percent, in the order in which they were made, add up to that percent of
    all of their seats, rounded once. The last one of a booking that is refunded in full is the rest.
    """
    included = f"SELECT 1 FROM {json.rows('refund.seats', 'gone')} WHERE {json.itself('gone')} = {json.label}"
    return f"""
        SELECT refund_id, booking_id, currency_code, percent, amount, price,
            CASE WHEN is_rest THEN total_price - refunded
            ELSE (percent * seats + 50) / 100 - (percent * (seats - price) + 50) / 100 END AS owed
        FROM (
            SELECT refund_id, booking_id, currency_code, percent, amount, price, total_price,
                CAST(sum(price) OVER earlier_at_percent AS BIGINT) AS seats,
                CAST(sum(amount) OVER earlier AS BIGINT) - amount AS refunded,
                in_full AND row_number() OVER earlier = count(*) OVER (PARTITION BY booking_id) AS is_rest
            FROM (
                SELECT refund.refund_id, refund.booking_id, refund.currency_code, refund.percent, refund.amount,
                    refund.create_time, booking.total_price, CAST(sum({json.price}) AS BIGINT) AS price,
                    coalesce({_IN_FULL}, false) AS in_full
                FROM {_REFUNDED} CROSS JOIN {json.seats} WHERE EXISTS ({included})
                GROUP BY refund.refund_id, booking.booking_id
            ) AS part
            WINDOW earlier AS (PARTITION BY booking_id ORDER BY create_time, refund_id),
                earlier_at_percent AS (PARTITION BY booking_id, percent ORDER BY create_time, refund_id)
        ) AS ordered
    """


def _against_policy(json: Json) -> str:
    """Make the query for refunds with another percent than the policy's.

    Of parts of a booking it is not known who cancelled them, and staff choose the percent. A move of the start at the
    moment of the cancellation may have come before it or after it.
    """
    tiers = " ".join(
        f"WHEN start_time - cancel_time >= {before // MICROSECOND} THEN {percent}" for before, percent in TIERS
    )
    percent = f"""
        CASE WHEN since >= create_time AND abs(start_time - previous) >= {FULL_REFUND_AFTER // MICROSECOND} THEN 100
        {tiers} ELSE 0 END"""
    return f"""
        SELECT refund_id, booking_id, percent, max({percent}) AS of_policy FROM (
            SELECT refund.refund_id, refund.booking_id, refund.percent, booking.create_time, booking.cancel_time,
                start.start_time, start.previous, start.since
            FROM {_REFUNDED}
            JOIN ({_starts(json)}) AS start ON start.showtime_id = booking.showtime_id
                AND start.until >= booking.create_time AND start.since <= booking.cancel_time
            WHERE booking.cancel_cause = 'CUSTOMER' AND EXISTS (
                SELECT 1 FROM {json.seats} CROSS JOIN {json.rows("refund.seats", "gone")}
                WHERE {json.label} = {json.itself("gone")} AND {json.active}
            )
        ) AS lived_through
        GROUP BY refund_id, booking_id, percent
        HAVING percent NOT IN (max({percent}), coalesce(max(CASE WHEN since < cancel_time THEN {percent} END), -1))
        UNION ALL
        SELECT refund.refund_id, refund.booking_id, refund.percent, 100 FROM {_REFUNDED}
        WHERE {_IN_FULL} AND refund.percent <> 100 AND EXISTS (
            SELECT 1 FROM {json.seats} CROSS JOIN {json.rows("refund.seats", "gone")}
            WHERE {json.label} = {json.itself("gone")} AND {json.active}
        )
    """


def _starts(json: Json) -> str:
    """Make the query for the starts of each showtime: from when and until when it had one, and the one before."""
    return f"""
        SELECT showtime_id, start_time, lag(start_time) OVER earlier AS previous,
            coalesce(lag(until) OVER earlier, 0) AS since, until
        FROM (
            SELECT showtime.showtime_id, {json.number("move", 1)} AS start_time, {json.number("move", 0)} AS until,
                move.key AS number
            FROM showtime CROSS JOIN {json.rows("showtime.moves", "move")}
            UNION ALL SELECT showtime_id, start_time, {_FOREVER}, {_FOREVER} FROM showtime
        ) AS each_start
        WINDOW earlier AS (PARTITION BY showtime_id ORDER BY number)
    """
