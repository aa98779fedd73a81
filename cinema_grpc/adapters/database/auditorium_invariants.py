"""The invariants of auditoriums, of what their seats cost, and of bookings in their seats."""

from cinema_grpc.adapters.database.invariant import Invariant, Json
from cinema_grpc.domain.pricing import STANDARD
from cinema_grpc.domain.seating import MAX_SEATS_A_ROW

# ruff: noqa: S608 (SQL that is put together from texts of this package)


def of_auditoriums(json: Json) -> list[Invariant]:
    """Return the rules that compare seats, wheelchair spaces and prices with the rows and areas of auditoriums."""
    return [*_of_rows(json), *_of_seats(json), *_of_prices(json)]


def _of_rows(json: Json) -> list[Invariant]:
    return [
        Invariant(
            "the seats of an auditorium are counted right",
            f"""
            SELECT auditorium_id, rows, total_seats FROM auditorium WHERE total_seats <> (
                SELECT sum({_length(json)}) FROM {json.rows("auditorium.rows", "seat_row")}
                CROSS JOIN {json.rows(json.array("seat_row", 1), "part")}
            )
            """,
        ),
        Invariant(
            "wheelchair spaces and companion seats are seats of their auditorium, each once",
            f"""
            {_with_seats(json)}
            SELECT accessible.auditorium_id, accessible.label, count(*) AS times, count(seat_of.label) AS found
            FROM (
                SELECT auditorium_id, {json.text("space", 0)} AS label
                FROM auditorium CROSS JOIN {json.rows("auditorium.wheelchair_spaces", "space")}
                UNION ALL
                SELECT auditorium_id, {json.itself("companion")}
                FROM auditorium CROSS JOIN {json.rows("auditorium.wheelchair_spaces", "space")}
                CROSS JOIN {json.rows(json.array("space", 1), "companion")}
            ) AS accessible LEFT JOIN seat_of
                ON seat_of.auditorium_id = accessible.auditorium_id AND seat_of.label = accessible.label
            GROUP BY accessible.auditorium_id, accessible.label HAVING count(*) <> 1 OR count(seat_of.label) <> 1
            """,
        ),
    ]


def _of_seats(json: Json) -> list[Invariant]:
    spaces = json.rows("auditorium.wheelchair_spaces", "space")
    companions = json.rows(json.array("space", 1), "companion")
    is_taken = f"{{}} IN (SELECT {json.label} FROM {json.seats})"
    takes_space = is_taken.format(json.text("space", 0))
    return [
        # Of thousands of bookings, each seat with its category is compared once.
        Invariant(
            "a seat of a booking is one of its auditorium, in the category of its area",
            f"""
            SELECT booking_id, label, booked, category FROM (
                SELECT named.booking_id, named.label, named.booked, {_category(json)} AS category
                FROM (
                    SELECT showtime.auditorium_id, {json.label} AS label, {json.text("seat", 2)} AS booked,
                        min(booking.booking_id) AS booking_id
                    FROM booking JOIN showtime ON showtime.showtime_id = booking.showtime_id CROSS JOIN {json.seats}
                    GROUP BY showtime.auditorium_id, {json.label}, {json.text("seat", 2)}
                ) AS named JOIN auditorium ON auditorium.auditorium_id = named.auditorium_id
            ) AS compared
            WHERE category IS NULL OR category <> booked
            """,
        ),
        Invariant(
            "a seat of a block is one of its auditorium",
            f"""
            SELECT named.block_id, named.label FROM (
                SELECT seat_block.block_id, showtime.auditorium_id, {json.itself("blocked")} AS label
                FROM seat_block JOIN showtime ON showtime.showtime_id = seat_block.showtime_id
                CROSS JOIN {json.rows("seat_block.seats", "blocked")}
            ) AS named JOIN auditorium ON auditorium.auditorium_id = named.auditorium_id
            WHERE {_category(json)} IS NULL
            """,
        ),
        # Online, the space of a hold may have been cancelled before other seats were paid for, and it leaves no trace.
        Invariant(
            "a sale for a wheelchair takes a space, and companion seats with their own",
            f"""
            SELECT booking.booking_id, booking.seats FROM booking
            JOIN showtime ON showtime.showtime_id = booking.showtime_id
            JOIN auditorium ON auditorium.auditorium_id = showtime.auditorium_id
            WHERE booking.wheelchair AND (
                (booking.tender IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {spaces} WHERE {takes_space}))
                OR booking.confirm_time IS NOT NULL AND EXISTS (
                    SELECT 1 FROM {spaces} CROSS JOIN {companions}
                    WHERE {is_taken.format(json.itself("companion"))} AND NOT {takes_space}
                )
            )
            """,
        ),
    ]


def _of_prices(json: Json) -> list[Invariant]:
    lines = json.rows("showtime.prices", "line")
    default = f"(SELECT {json.text('line', 1)} FROM {lines} ORDER BY line.key LIMIT 1)"
    return [
        Invariant(
            "a showtime has a price of its default ticket type for each category of its auditorium",
            f"""
            {_with_seats(json)}
            SELECT showtime.showtime_id, offered.category FROM showtime
            JOIN (SELECT DISTINCT auditorium_id, category FROM seat_of) AS offered
                ON offered.auditorium_id = showtime.auditorium_id
            WHERE NOT EXISTS (
                SELECT 1 FROM {lines}
                WHERE {json.text("line", 0)} = offered.category AND {json.text("line", 1)} = {default}
            )
            """,
        ),
        Invariant(
            "a showtime has one price for a category and a ticket type, not below 0",
            f"""
            SELECT showtime.showtime_id, {json.text("line", 0)} AS category, {json.text("line", 1)} AS ticket_type
            FROM showtime CROSS JOIN {lines}
            GROUP BY showtime.showtime_id, {json.text("line", 0)}, {json.text("line", 1)}
            HAVING count(*) > 1 OR min({json.number("line", 2)}) < 0
            """,
        ),
    ]


def _length(json: Json) -> str:
    return f"CAST({json.itself('part')} AS BIGINT)"


def _category(json: Json) -> str:
    """Return the category of the seat `named.label` in an auditorium; null if it has no such seat.

    It looks into the JSON of the auditorium. A join with all seats would take a product of both in PostgreSQL, which
    can't estimate how many seats the JSON has.
    """
    row = "rtrim(named.label, '0123456789')"
    number = f"CAST(nullif(substr(named.label, length({row}) + 1), '') AS BIGINT)"
    category = json.text("area", 0)
    areas = json.rows("auditorium.areas", "area")
    of_seat, of_row = (
        f"(SELECT {category} FROM {areas} CROSS JOIN {json.rows(json.array('area', place), 'name')} "
        f"WHERE {json.itself('name')} = {name} LIMIT 1)"
        for place, name in ((2, "named.label"), (1, row))
    )
    return f"""
        CASE WHEN named.label = {row} || CAST({number} AS TEXT) AND {number} BETWEEN 1 AND (
            SELECT sum({_length(json)}) FROM {json.rows("auditorium.rows", "seat_row")}
            CROSS JOIN {json.rows(json.array("seat_row", 1), "part")} WHERE {json.text("seat_row", 0)} = {row}
        ) THEN coalesce({of_seat}, {of_row}, '{STANDARD}') END"""


def _with_seats(json: Json) -> str:
    """Make a clause that names all seats of auditoriums: `seat_of`, with auditorium_id, label and category.

    MATERIALIZED, or PostgreSQL might make them again for each seat that is looked up.
    """
    areas = json.rows("auditorium.areas", "area")
    category = json.text("area", 0)
    return f"""
        WITH RECURSIVE number(value) AS (
            SELECT 1 UNION ALL SELECT value + 1 FROM number WHERE value < {MAX_SEATS_A_ROW}
        ), each_row AS MATERIALIZED (
            SELECT auditorium.auditorium_id, {json.text("seat_row", 0)} AS label,
                (SELECT sum({_length(json)}) FROM {json.rows(json.array("seat_row", 1), "part")}) AS seats
            FROM auditorium CROSS JOIN {json.rows("auditorium.rows", "seat_row")}
        ), of_row AS MATERIALIZED (
            SELECT auditorium.auditorium_id, {json.itself("name")} AS label, {category} AS category
            FROM auditorium CROSS JOIN {areas} CROSS JOIN {json.rows(json.array("area", 1), "name")}
        ), of_seat AS MATERIALIZED (
            SELECT auditorium.auditorium_id, {json.itself("name")} AS label, {category} AS category
            FROM auditorium CROSS JOIN {areas} CROSS JOIN {json.rows(json.array("area", 2), "name")}
        ), named AS (
            SELECT each_row.auditorium_id, each_row.label AS row_label,
                each_row.label || CAST(number.value AS TEXT) AS label
            FROM each_row JOIN number ON number.value <= each_row.seats
        ), seat_of AS MATERIALIZED (
            SELECT named.auditorium_id, named.label,
                coalesce(of_seat.category, of_row.category, '{STANDARD}') AS category
            FROM named
            LEFT JOIN of_seat ON of_seat.auditorium_id = named.auditorium_id AND of_seat.label = named.label
            LEFT JOIN of_row ON of_row.auditorium_id = named.auditorium_id AND of_row.label = named.row_label
        )"""
