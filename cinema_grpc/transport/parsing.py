"""From the messages of the protos to the objects of the domain."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from cinema.v1 import booking_pb2, catalog_pb2, money_pb2, showtime_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from cinema_grpc.domain.booking import BookingStatus
from cinema_grpc.domain.errors import FieldViolation, InvalidRequest
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.seating import SeatRow
from cinema_grpc.domain.showtime import SeatGapPolicy

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_MOMENT = datetime.max.replace(tzinfo=UTC)
FIRST_SECOND = -62_135_596_800
LAST_SECOND = 253_402_300_799
"""The years 1 to 9999, in seconds since 1970: all that a Timestamp can say."""
LONGEST_SPAN = 315_576_000_000
"""About 10,000 years, in seconds: all that a Duration can say."""


def parse_moment(timestamp: Timestamp, field: str) -> datetime:
    """Return a moment, cut off below the microsecond.

    Raises:
        InvalidRequest: It is outside the years 1 to 9999.
    """
    if not FIRST_SECOND <= timestamp.seconds <= LAST_SECOND or not 0 <= timestamp.nanos < 1_000_000_000:
        raise InvalidRequest(FieldViolation(field, "must lie in the years 1 to 9999, with nanos from 0 to 999,999,999"))
    return EPOCH + timedelta(seconds=timestamp.seconds, microseconds=timestamp.nanos // 1000)


def parse_bound(request: Message, field: str) -> datetime | None:
    """Return the first whole microsecond that is not before a moment of a request, or None where that is not set.

    Stored times are whole microseconds, so each of them lies before the moment exactly if it lies before this bound:
    a comparison with the bound is exact, however fine the moment is.

    Raises:
        InvalidRequest: The moment is outside the years 1 to 9999.
    """
    if not request.HasField(field):
        return None
    timestamp = getattr(request, field)
    moment = parse_moment(timestamp, field)
    if timestamp.nanos % 1000 and moment < LAST_MOMENT:  # nothing is stored at the last moment of all, or after it
        moment += timedelta(microseconds=1)
    return moment


def parse_span(duration: Duration, field: str) -> timedelta:
    """Read a span of time.

    Raises:
        InvalidRequest: It is finer than a microsecond, or is no good Duration.
    """
    same_sign = duration.seconds * duration.nanos >= 0
    if abs(duration.seconds) > LONGEST_SPAN or abs(duration.nanos) >= 1_000_000_000 or not same_sign:
        problem = "must be at most 10,000 years long, with nanos below a second and of the same sign as the seconds"
        raise InvalidRequest(FieldViolation(field, problem))
    if duration.nanos % 1000:
        raise InvalidRequest(FieldViolation(field, "must not be finer than a microsecond"))
    return timedelta(seconds=duration.seconds, microseconds=duration.nanos // 1000)


def parse_money(money: money_pb2.Money) -> Money:
    """Read an amount of money."""
    return Money(money.currency_code, money.minor_units)


def parse_seat_rows(rows: Iterable[catalog_pb2.SeatRow]) -> tuple[SeatRow, ...]:
    """Read the rows of an auditorium."""
    return tuple(SeatRow(row.label, tuple(row.sections)) for row in rows)


def parse_seat_gap_policy(policy: showtime_pb2.SeatGapPolicy.ValueType) -> SeatGapPolicy:
    """Read a seat gap policy; unset means REFUSE."""
    return SeatGapPolicy.ALLOW if policy == showtime_pb2.SEAT_GAP_POLICY_ALLOW else SeatGapPolicy.REFUSE


def parse_booking_status(status: booking_pb2.BookingStatus.ValueType) -> BookingStatus | None:
    """Read the status of a filter; unset means any, None."""
    if status == booking_pb2.BOOKING_STATUS_UNSPECIFIED:
        return None
    return BookingStatus(booking_pb2.BookingStatus.Name(status).removeprefix("BOOKING_STATUS_"))
