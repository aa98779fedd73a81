"""The invariants of the event feed: its order, and that folding the events gives what the tables have.

Only showtimes whose first event is still kept can be folded. Events without a position yet count too.
"""

from datetime import timedelta

from cinema_grpc.adapters.database.column_types import MICROSECOND
from cinema_grpc.adapters.database.invariant import Invariant, Json

# ruff: noqa: S608 (SQL that is put together from texts of this package)

LATEST_POSITION = timedelta(seconds=10)
"""How long an event may have no position while a server runs."""

ORDER_OF_TIMES = timedelta(hours=1)
"""By how much the times of events may differ from the order of their positions."""


def of_events(json: Json) -> list[Invariant]:
    """Return the rules about events."""
    return [
        *_OF_ORDER,
        Invariant(
            "a showtime has the event that it was created, unless it is older than the events that are kept",
            f"""
            {_folded(json)} SELECT showtime.showtime_id
            FROM showtime LEFT JOIN whole ON whole.showtime_id = showtime.showtime_id
            WHERE whole.showtime_id IS NULL AND (
                (SELECT max(trimmed_position) FROM event_feed) = 0
                OR (SELECT min(decide_time) FROM commit_log WHERE commit_log.showtime_id = showtime.showtime_id)
                    > {ORDER_OF_TIMES // MICROSECOND} + (SELECT min(decide_time) FROM (
                        SELECT decide_time FROM event UNION ALL SELECT decide_time FROM event_outbox
                    ) AS kept)
            )
            """,
        ),
        Invariant(
            "folding the events gives who has which seat",
            f"{_folded(json)}, {_seats_of_feed(json)} {_difference(_SEATS_OF_FEED, _CLAIMS)}",
        ),
        Invariant(
            "folding the events gives what was sold and refunded",
            f"{_folded(json)} {_difference(_BOOKS_OF_FEED, _BOOKS)}",
        ),
        Invariant(
            "folding the events gives which tickets are redeemed",
            f"{_folded(json)} {_difference(_REDEEMED_OF_FEED, _REDEEMED)}",
        ),
        Invariant(
            "folding the events gives which showtimes are CANCELLED",
            f"{_folded(json)} {_difference(_CANCELLED_OF_FEED, _CANCELLED)}",
        ),
    ]


_OF_ORDER = [
    Invariant(
        "the event feed has one row to lock", "SELECT count(*) AS rows_found FROM event_feed HAVING count(*) <> 1"
    ),
    Invariant(
        "the positions of events have no gap",
        """
        SELECT position, before FROM (
            SELECT position, coalesce(
                lag(position) OVER (ORDER BY position), (SELECT max(trimmed_position) FROM event_feed)
            ) AS before
            FROM event
        ) AS positions WHERE position <> before + 1
        """,
    ),
    Invariant(
        "the events of a showtime are in the order of its revisions, and those of a change together",
        """
        SELECT position, showtime_id, revision FROM (
            SELECT position, showtime_id, revision, last_of_change,
                lead(revision) OVER (PARTITION BY showtime_id ORDER BY position) AS next_revision,
                lead(position) OVER (PARTITION BY showtime_id ORDER BY position) AS next_position
            FROM event
        ) AS events
        WHERE next_revision < revision OR last_of_change = coalesce(next_revision = revision, FALSE)
            OR (next_revision = revision AND next_position <> position + 1)
        """,
    ),
    Invariant(
        "an event is of a commit",
        """
        SELECT event.position, event.showtime_id, event.revision
        FROM event LEFT JOIN commit_log
            ON commit_log.showtime_id = event.showtime_id AND commit_log.revision = event.revision
        WHERE commit_log.decide_time IS NULL OR commit_log.decide_time <> event.decide_time
        """,
    ),
    Invariant(
        "an event has a position within 10 seconds (while a server runs)",
        f"""
        SELECT showtime_id, revision, decide_time FROM event_outbox
        WHERE decide_time < CAST(:now AS BIGINT) - {LATEST_POSITION // MICROSECOND}
        """,
    ),
]


def _folded(json: Json) -> str:
    """Return `folded`, all events of showtimes that can be folded, and `whole`, those showtimes."""
    return f"""
        WITH known AS (
            SELECT showtime_id, revision, position AS place, type, booking_id, seats, amount, refund_id,
                ticket_id
            FROM event
            UNION ALL
            SELECT event_outbox.showtime_id, event_outbox.revision, item.key, {json.text("item", 1)},
                {json.text("item", 3)}, CAST({json.array("item", 5)} AS TEXT), {json.number("item", 7)},
                {json.text("item", 8)}, {json.text("item", 9)}
            FROM event_outbox CROSS JOIN {json.rows("event_outbox.events", "item")}
        ), whole AS (
            SELECT showtime_id FROM known WHERE type = 'SHOWTIME_CREATED'
        ), folded AS (
            SELECT known.* FROM known JOIN whole ON whole.showtime_id = known.showtime_id
        )
    """


def _seats_of_feed(json: Json) -> str:
    """Return `kept`, the seats that bookings and the cinema keep by the events."""
    return f"""
        latest AS (
            SELECT showtime_id, booking_id, type, seats, row_number() OVER (
                PARTITION BY showtime_id, booking_id ORDER BY revision DESC, place DESC
            ) AS age
            FROM folded WHERE type IN ('SEATS_HELD', 'HOLD_CHANGED', 'HOLD_CANCELLED', 'HOLD_EXPIRED',
                'BOOKING_CONFIRMED', 'SEAT_BLOCKS_CHANGED')
        ), given_up AS (
            SELECT folded.booking_id, {json.itself("seat")} AS seat
            FROM folded CROSS JOIN {json.rows("folded.seats", "seat")} WHERE folded.type = 'SEATS_CANCELLED'
        ), kept AS (
            SELECT latest.showtime_id, {json.itself("seat")} AS seat, latest.booking_id
            FROM latest CROSS JOIN {json.rows("latest.seats", "seat")}
            WHERE latest.age = 1 AND latest.type NOT IN ('HOLD_CANCELLED', 'HOLD_EXPIRED')
        )
    """


def _difference(feed: str, tables: str) -> str:
    """Return a query for the rows that the feed has, or the tables have, alone."""
    return f"""
        SELECT 'feed' AS only_in, extra.*
        FROM (SELECT * FROM ({feed}) AS feed EXCEPT SELECT * FROM ({tables}) AS tables) AS extra
        UNION ALL
        SELECT 'tables', missing.*
        FROM (SELECT * FROM ({tables}) AS tables EXCEPT SELECT * FROM ({feed}) AS feed) AS missing
    """


_SEATS_OF_FEED = """
    SELECT showtime_id, seat, booking_id AS owner FROM kept
    WHERE NOT EXISTS (
        SELECT 1 FROM given_up WHERE given_up.booking_id = kept.booking_id AND given_up.seat = kept.seat
    )
"""
_CLAIMS = """
    SELECT seat_claim.showtime_id, seat_claim.seat, coalesce(seat_claim.booking_id, '') AS owner
    FROM seat_claim JOIN whole ON whole.showtime_id = seat_claim.showtime_id
"""
_BOOKS_OF_FEED = """
    SELECT booking_id, '' AS refund_id, 'SOLD' AS status, amount FROM folded WHERE type = 'BOOKING_CONFIRMED'
    UNION ALL
    SELECT booking_id, refund_id,
        CASE type WHEN 'REFUND_OWED' THEN 'PENDING' WHEN 'REFUND_FAILED' THEN 'FAILED' ELSE 'COMPLETED' END, amount
    FROM (
        SELECT booking_id, refund_id, type, amount, row_number() OVER (
            PARTITION BY refund_id ORDER BY revision DESC, place DESC
        ) AS age
        FROM folded WHERE type IN ('REFUND_OWED', 'REFUND_COMPLETED', 'REFUND_FAILED')
    ) AS refunds WHERE age = 1
"""
_BOOKS = """
    SELECT booking.booking_id, '' AS refund_id, 'SOLD' AS status, booking.total_price AS amount
    FROM booking JOIN whole ON whole.showtime_id = booking.showtime_id WHERE booking.confirm_time IS NOT NULL
    UNION ALL
    SELECT refund.booking_id, refund.refund_id, refund.status, refund.amount
    FROM refund JOIN whole ON whole.showtime_id = refund.showtime_id
"""
_REDEEMED_OF_FEED = """
    SELECT booking_id, ticket_id FROM (
        SELECT booking_id, ticket_id, type, row_number() OVER (
            PARTITION BY ticket_id ORDER BY revision DESC, place DESC
        ) AS age
        FROM folded WHERE type IN ('TICKET_REDEEMED', 'REDEMPTION_REVERSED')
    ) AS redemptions WHERE age = 1 AND type = 'TICKET_REDEEMED'
"""
_REDEEMED = """
    SELECT redemption.booking_id, redemption.ticket_id
    FROM redemption JOIN booking ON booking.booking_id = redemption.booking_id
        JOIN whole ON whole.showtime_id = booking.showtime_id
    WHERE redemption.kind <> 'ADMITTED_VOID' AND redemption.reverse_time IS NULL
"""
_CANCELLED_OF_FEED = "SELECT showtime_id FROM folded WHERE type = 'SHOWTIME_CANCELLED'"
_CANCELLED = """
    SELECT showtime.showtime_id FROM showtime JOIN whole ON whole.showtime_id = showtime.showtime_id
    WHERE showtime.status = 'CANCELLED'
"""
