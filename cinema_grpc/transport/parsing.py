"""Parses messages of the protos into objects of the domain."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cinema.v1 import booking_pb2, catalog_pb2, money_pb2, showtime_pb2, showtime_service_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from cinema_grpc.domain.booking import MICROSECOND, BookingStatus
from cinema_grpc.domain.errors import FieldViolation, InvalidRequest
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.pricing import PriceLine
from cinema_grpc.domain.seating import SeatArea, SeatRow, WheelchairSpace
from cinema_grpc.domain.terms import SeatGapPolicy

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_MOMENT = datetime.max.replace(tzinfo=UTC)
FIRST_SECOND = -62_135_596_800
LAST_SECOND = 253_402_300_799
"""The range of a Timestamp, years 1 to 9999, in seconds since 1970."""
LONGEST_DURATION = 315_576_000_000
"""The range of a Duration in seconds, about 10,000 years."""


def parse_moment(timestamp: Timestamp, field: str) -> datetime:
    """Return a timestamp as a datetime in UTC, truncated to the microsecond.

    Raises:
        InvalidRequest: It is outside the years 1 to 9999, or its nanos are out of range.
    """
    if not FIRST_SECOND <= timestamp.seconds <= LAST_SECOND or not 0 <= timestamp.nanos < 1_000_000_000:
        raise InvalidRequest(FieldViolation(field, "must lie in the years 1 to 9999, with nanos from 0 to 999,999,999"))
    return EPOCH + timedelta(seconds=timestamp.seconds, microseconds=timestamp.nanos // 1000)


def parse_bound(request: Message, field: str) -> datetime | None:
    """Return a time filter of a request, rounded up to the microsecond, or None if it is not set.

    Stored times are whole microseconds, so that a comparison with the rounded bound gives the same result as with the
    exact one.

    Raises:
        InvalidRequest: As for parse_moment.
    """
    if not request.HasField(field):
        return None
    timestamp = getattr(request, field)
    moment = parse_moment(timestamp, field)
    if timestamp.nanos % 1000 and moment < LAST_MOMENT:  # no later datetime exists, and no showtime starts then
        moment += MICROSECOND
    return moment


def parse_duration(duration: Duration, field: str) -> timedelta:
    """Return a duration as a timedelta.

    Raises:
        InvalidRequest: It is not a whole number of microseconds, or not a valid Duration.
    """
    same_sign = duration.seconds * duration.nanos >= 0
    if abs(duration.seconds) > LONGEST_DURATION or abs(duration.nanos) >= 1_000_000_000 or not same_sign:
        problem = "must be at most 10,000 years long, with nanos below a second and of the same sign as the seconds"
        raise InvalidRequest(FieldViolation(field, problem))
    if duration.nanos % 1000:
        raise InvalidRequest(FieldViolation(field, "must not be finer than a microsecond"))
    return timedelta(seconds=duration.seconds, microseconds=duration.nanos // 1000)


def parse_money(money: money_pb2.Money) -> Money:
    """Return an amount of money."""
    return Money(money.currency_code, money.minor_units)


def parse_price(request: showtime_service_pb2.CreateShowtimeRequest) -> Money | None:
    """Return the price of every seat, or None if it is not set."""
    return parse_money(request.price) if request.HasField("price") else None


def parse_seat_rows(rows: Iterable[catalog_pb2.SeatRow]) -> tuple[SeatRow, ...]:
    """Return the rows of an auditorium."""
    return tuple(SeatRow(row.label, tuple(row.sections)) for row in rows)


def parse_seat_areas(areas: Iterable[catalog_pb2.SeatArea]) -> tuple[SeatArea, ...]:
    """Return the areas of an auditorium."""
    return tuple(SeatArea(area.category, tuple(area.rows), tuple(area.seats)) for area in areas)


def parse_wheelchair_spaces(spaces: Iterable[catalog_pb2.WheelchairSpace]) -> tuple[WheelchairSpace, ...]:
    """Return the wheelchair spaces of an auditorium."""
    return tuple(WheelchairSpace(space.seat, tuple(space.companion_seats)) for space in spaces)


def parse_price_lines(lines: Iterable[showtime_pb2.PriceLine]) -> tuple[PriceLine, ...]:
    """Return the lines of a price list."""
    return tuple(PriceLine(line.category, line.ticket_type, parse_money(line.price), line.proof) for line in lines)


def parse_changes(request: Any, fields: Mapping[str, bool]) -> dict[str, Any]:
    """Return the fields that the update_mask of a request names, with their values.

    Args:
        request: A request with an update_mask.
        fields: The fields that can change, and whether each must be set if update_mask names it.

    Raises:
        InvalidRequest: The update_mask names no field, or one that can't change; or such a field is not set.
    """
    named = set(request.update_mask.paths)
    if not named or not named <= fields.keys():
        raise InvalidRequest(FieldViolation("update_mask", "must name one or more of " + ", ".join(fields)))
    unset = [name for name, must_be_set in fields.items() if must_be_set and name in named - _set_fields(request)]
    if unset:
        problem = "must be set, since update_mask names it"
        raise InvalidRequest(*(FieldViolation(name, problem) for name in unset))
    return {name: getattr(request, name) for name in fields if name in named}


def _set_fields(message: Message) -> set[str]:
    """Return the fields of a message that are set, and not to the default of their type."""
    return {field.name for field, _ in message.ListFields()}


def parse_seat_gap_policy(policy: showtime_pb2.SeatGapPolicy.ValueType) -> SeatGapPolicy:
    """Return a seat gap policy; unset means REFUSE."""
    return SeatGapPolicy.ALLOW if policy == showtime_pb2.SEAT_GAP_POLICY_ALLOW else SeatGapPolicy.REFUSE


def parse_booking_status(status: booking_pb2.BookingStatus.ValueType) -> BookingStatus | None:
    """Return the booking status of a filter, or None if it is unset."""
    if status == booking_pb2.BOOKING_STATUS_UNSPECIFIED:
        return None
    return BookingStatus(booking_pb2.BookingStatus.Name(status).removeprefix("BOOKING_STATUS_"))
