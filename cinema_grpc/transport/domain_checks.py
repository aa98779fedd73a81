"""Checks of requests by the domain, beyond the rules in the protos.

They run only for a request that breaks the rules of the protos, so that the error names every bad field. For any other
the method makes the same checks by itself. A rule that is only in this file is not enforced.
"""

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

from cinema.v1 import (
    booking_pb2,
    box_office_service_pb2,
    catalog_service_pb2,
    showtime_service_pb2,
)

from cinema_grpc.application.accounts import Accounts
from cinema_grpc.application.catalog import Catalog
from cinema_grpc.application.catalog_rules import time_zone_violations
from cinema_grpc.application.counter import reason_violations
from cinema_grpc.domain.business_days import period_violations
from cinema_grpc.domain.errors import FieldViolation, InvalidRequest, violations_of
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.seating import SeatPlan
from cinema_grpc.transport.call import principal
from cinema_grpc.transport.catalog_servicer import MOVIE_FIELDS, NAMED_FIELDS
from cinema_grpc.transport.desk_messages import search_violations
from cinema_grpc.transport.door_messages import offline_violations
from cinema_grpc.transport.parsing import (
    parse_changes,
    parse_moment,
    parse_price,
    parse_price_lines,
    parse_seat_areas,
    parse_seat_rows,
    parse_wheelchair_spaces,
)
from cinema_grpc.transport.seat_options import parse_party
from cinema_grpc.transport.selections import claim_violations, parse_optional_selection
from cinema_grpc.transport.showtime_messages import CHANGEABLE, seat_block_violations
from cinema_grpc.transport.validation import DomainCheck


def domain_checks(accounts: Accounts, catalog: Catalog) -> Mapping[str, DomainCheck]:
    """Return, by full name of the method, the checks of the domain that a method makes by itself for other requests."""

    async def schedule_violations(request: Any, price: Money | None, fields: Collection[str]) -> list[FieldViolation]:
        try:
            is_given = "start_time" in fields and request.HasField("start_time")
            start_time = parse_moment(request.start_time, "start_time") if is_given else None
        except InvalidRequest:
            start_time = None  # named by the rules of the protos already
        prices = parse_price_lines(request.prices) if "prices" in fields else []
        return [*await catalog.showtime_violations(start_time, price, prices)]

    async def update_showtime(request: showtime_service_pb2.UpdateShowtimeRequest) -> list[FieldViolation]:
        changes = _change_violations(CHANGEABLE, request)
        return [*changes, *await schedule_violations(request, None, request.update_mask.paths)]

    return {
        "/cinema.v1.AuthService/Register": lambda request: accounts.violations(
            request.username, request.password, request.full_name, request.email
        ),
        "/cinema.v1.AuthService/ChangePassword": lambda request: accounts.password_violations(
            principal().user_id, request.new_password
        ),
        "/cinema.v1.CatalogService/CreateCinema": lambda request: time_zone_violations(request.time_zone),
        "/cinema.v1.CatalogService/CreateAuditorium": _auditorium_violations,
        "/cinema.v1.CatalogService/UpdateMovie": partial(_change_violations, MOVIE_FIELDS),
        "/cinema.v1.CatalogService/UpdateCinema": partial(_change_violations, NAMED_FIELDS),
        "/cinema.v1.CatalogService/UpdateAuditorium": partial(_change_violations, NAMED_FIELDS),
        "/cinema.v1.ShowtimeService/CreateShowtime": lambda request: schedule_violations(
            request, parse_price(request), CHANGEABLE
        ),
        "/cinema.v1.ShowtimeService/UpdateShowtime": update_showtime,
        "/cinema.v1.ShowtimeService/SuggestSeats": lambda request: violations_of(lambda: parse_party(request)),
        "/cinema.v1.ShowtimeService/SetSeatBlocks": seat_block_violations,
        "/cinema.v1.BookingService/CreateBooking": claim_violations,
        "/cinema.v1.BookingService/UpdateHold": _selection_violations,
        "/cinema.v1.BoxOfficeService/SellSeats": _sale_violations,
        "/cinema.v1.BoxOfficeService/FindBookings": search_violations,
        "/cinema.v1.BoxOfficeService/GetSalesReport": lambda request: period_violations(
            request.from_date, request.until_date
        ),
        "/cinema.v1.TicketService/RecordRedemptions": offline_violations,
    }


def _auditorium_violations(request: catalog_service_pb2.CreateAuditoriumRequest) -> list[FieldViolation]:
    areas, spaces = parse_seat_areas(request.areas), parse_wheelchair_spaces(request.wheelchair_spaces)
    return violations_of(lambda: SeatPlan(parse_seat_rows(request.rows), areas, spaces))


def _selection_violations(request: Any) -> list[FieldViolation]:
    return violations_of(lambda: parse_optional_selection(request))


def _sale_violations(request: box_office_service_pb2.SellSeatsRequest) -> list[FieldViolation]:
    return _selection_violations(request) + reason_violations(
        request.reason,
        complimentary=request.tender == booking_pb2.TENDER_COMPLIMENTARY,
        allow_gap=request.allow_gap,
        use_house_seats=request.use_house_seats,
    )


def _change_violations(fields: Mapping[str, bool], request: Any) -> list[FieldViolation]:
    return violations_of(lambda: parse_changes(request, fields))
