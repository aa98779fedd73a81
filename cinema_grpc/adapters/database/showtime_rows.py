"""A showtime as rows: what is fixed about it, and the bookings that keep its seats."""

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.prepared import Prepared, reader_of
from cinema_grpc.adapters.database.schema import moment
from cinema_grpc.adapters.database.seat_plans import seat_plan
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.showtime import SeatGapPolicy, Terms

TERMS = Prepared(
    schema.showtime,
    ("showtime_id",),
    lambda rows: (
        "SELECT showtime_id, start_time, currency_code, seat_price, seat_gap_policy, auditorium.rows"  # noqa: S608 (ours)
        f" FROM ({rows}) AS given CROSS JOIN showtime JOIN auditorium USING (auditorium_id)"
        " WHERE showtime.showtime_id = given.column1"
    ),
)
KEEPING_SEATS = Prepared(
    schema.showtime,
    ("showtime_id",),
    lambda rows: (
        "SELECT booking.* FROM booking WHERE booking.booking_id IN ("  # noqa: S608 (names of ours)
        f"SELECT seat_claim.booking_id FROM ({rows}) AS given CROSS JOIN seat_claim"
        " WHERE seat_claim.showtime_id = given.column1)"
    ),
)
read_booking = reader_of(schema.booking)


def to_terms(
    showtime_id: str, start_time: int, currency_code: str, seat_price: int, seat_gap_policy: str, rows: str
) -> Terms:
    """Read what is fixed about a showtime for those who sell its seats, from what TERMS has found."""
    price = Money(currency_code, seat_price)
    return Terms(showtime_id, moment(start_time), price, SeatGapPolicy(seat_gap_policy), seat_plan(rows))
