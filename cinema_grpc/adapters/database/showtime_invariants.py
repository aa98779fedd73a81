"""The invariants of showtimes."""

from cinema_grpc.adapters.database.column_types import MICROSECOND
from cinema_grpc.adapters.database.invariant import KEEPS, Invariant, Json
from cinema_grpc.domain.catalog import TIME_BETWEEN_SHOWTIMES

# ruff: noqa: S608 (SQL that is put together from texts of this package)


def of_showtimes(json: Json) -> list[Invariant]:
    """Return the rules about showtimes, their revisions, and changes of them."""
    return [
        *_OF_SHOWTIMES,
        Invariant(
            "the moves of a showtime are in the order of time, none after its latest decision",
            f"""
            SELECT showtime_id, time, earlier, latest_time FROM (
                SELECT showtime.showtime_id, showtime.latest_time, {json.number("move", 0)} AS time,
                    lag({json.number("move", 0)}) OVER (PARTITION BY showtime.showtime_id ORDER BY move.key) AS earlier
                FROM showtime CROSS JOIN {json.rows("showtime.moves", "move")}
            ) AS moved WHERE time < earlier OR time > latest_time
            """,
        ),
    ]


_OF_SHOWTIMES = [
    Invariant(
        "a showtime is in the cinema of its auditorium",
        """
        SELECT showtime.showtime_id, showtime.cinema_id, auditorium.cinema_id AS of_auditorium
        FROM showtime JOIN auditorium ON auditorium.auditorium_id = showtime.auditorium_id
        WHERE showtime.cinema_id <> auditorium.cinema_id
        """,
    ),
    Invariant(
        "showtimes of an auditorium are 15 minutes apart, CANCELLED ones aside",
        f"""
        SELECT showtime_id, auditorium_id, start_time, end_before FROM (
            SELECT showtime_id, auditorium_id, start_time, lag(end_time) OVER (
                PARTITION BY auditorium_id ORDER BY start_time, showtime_id
            ) AS end_before
            FROM showtime WHERE status <> 'CANCELLED'
        ) AS programme WHERE start_time - end_before < {TIME_BETWEEN_SHOWTIMES // MICROSECOND}
        """,
    ),
    Invariant(
        "the revision and the commit of a showtime are the latest in the commit log",
        """
        SELECT showtime_id, revision, commit_id FROM showtime
        WHERE NOT EXISTS (
            SELECT 1 FROM commit_log
            WHERE commit_log.showtime_id = showtime.showtime_id AND commit_log.revision = showtime.revision
                AND commit_log.commit_id = showtime.commit_id
        ) OR EXISTS (
            SELECT 1 FROM commit_log
            WHERE commit_log.showtime_id = showtime.showtime_id AND commit_log.revision > showtime.revision
        )
        """,
    ),
    Invariant(
        "the terms of a showtime changed at a revision that it has had",
        "SELECT showtime_id, revision, terms_revision FROM showtime WHERE terms_revision > revision",
    ),
    Invariant(
        "a showtime is CANCELLED exactly if it has a time and a reason for that",
        """
        SELECT showtime_id, status, cancel_time, cancel_reason FROM showtime
        WHERE (status = 'CANCELLED') <> (cancel_time IS NOT NULL)
            OR (status = 'CANCELLED') <> (cancel_reason IS NOT NULL)
        """,
    ),
    Invariant(
        "a CANCELLED showtime has no seats taken",
        f"""
        SELECT showtime.showtime_id, owned.owner FROM showtime JOIN (
            SELECT booking.showtime_id, booking.booking_id AS owner FROM booking WHERE {KEEPS}
            UNION SELECT showtime_id, block_id FROM seat_block
            UNION SELECT showtime_id, coalesce(booking_id, block_id) FROM seat_claim
        ) AS owned ON owned.showtime_id = showtime.showtime_id
        WHERE showtime.status = 'CANCELLED'
        """,
    ),
    Invariant(
        "a showtime is CANCELLED before its end",
        "SELECT showtime_id, end_time, cancel_time FROM showtime WHERE cancel_time >= end_time",
    ),
    Invariant(
        "a showtime to come that was never moved lasts as long as its movie",
        """
        SELECT showtime.showtime_id, showtime.start_time, showtime.end_time, movie.runtime
        FROM showtime JOIN movie ON movie.movie_id = showtime.movie_id
        WHERE showtime.status <> 'CANCELLED' AND showtime.moves IS NULL AND showtime.start_time > CAST(:now AS BIGINT)
            AND showtime.end_time - showtime.start_time <> movie.runtime
        """,
    ),
    Invariant(
        "the catalog has one row with its revision",
        "SELECT rows FROM (SELECT count(*) AS rows FROM catalog_revision) AS counted WHERE rows <> 1",
    ),
]
