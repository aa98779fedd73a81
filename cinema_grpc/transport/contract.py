"""The methods of cinema.v1: who may call each, how its requests are validated, and how large its response may be."""

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from cinema.v1 import (
    auth_service_pb2,
    booking_pb2,
    booking_service_pb2,
    box_office_service_pb2,
    catalog_service_pb2,
    showtime_service_pb2,
)
from google.protobuf.descriptor_pb2 import MethodOptions

from cinema_grpc.application.accounts import Accounts
from cinema_grpc.application.catalog import Catalog
from cinema_grpc.application.catalog_rules import time_zone_violations
from cinema_grpc.application.counter import reason_violations
from cinema_grpc.domain.business_days import period_violations
from cinema_grpc.domain.errors import FieldViolation, InvalidRequest, violations_of
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.seating import SeatPlan
from cinema_grpc.transport.authentication import Access
from cinema_grpc.transport.call import principal
from cinema_grpc.transport.catalog_servicer import MOVIE_FIELDS, PLACE_FIELDS
from cinema_grpc.transport.desk_messages import search_violations
from cinema_grpc.transport.handlers import MethodTraits
from cinema_grpc.transport.health import CHECK
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
from cinema_grpc.transport.validation import Further, request_checks

LARGEST_READ = 64 * 1024
"""Bytes of the largest response that is no list, the seats of the largest auditorium, but for two that only staff get.

Sales reports and seat blocks take what they are larger once they are made, as so few are: a report up to 2 MB by
showtimes, and a few KB by other keys; blocks up to 2 MB if each seat has one of its own.
"""
SERVICES = tuple(
    service
    for module in (
        auth_service_pb2,
        catalog_service_pb2,
        showtime_service_pb2,
        booking_service_pb2,
        box_office_service_pb2,
    )
    for service in module.DESCRIPTOR.services_by_name.values()
)
CHANGING = frozenset(
    f"/{service.full_name}/{method.name}"
    for service in SERVICES
    for method in service.methods
    if "request_id" in method.input_type.fields_by_name
)
"""The methods that change something. Those of the AuthService, which have limits of their own, do not count."""

ACCESS: Mapping[str, Access] = MappingProxyType(
    {
        "/cinema.v1.AuthService/Register": Access.PUBLIC,
        "/cinema.v1.AuthService/Login": Access.PUBLIC,
        "/cinema.v1.AuthService/GetCurrentUser": Access.CUSTOMER,
        "/cinema.v1.AuthService/RefreshTokens": Access.PUBLIC,
        "/cinema.v1.AuthService/Logout": Access.PUBLIC,
        "/cinema.v1.AuthService/ChangePassword": Access.CUSTOMER,
        "/cinema.v1.AuthService/ListSigningKeys": Access.PUBLIC,
        "/cinema.v1.CatalogService/CreateMovie": Access.STAFF,
        "/cinema.v1.CatalogService/CreateCinema": Access.STAFF,
        "/cinema.v1.CatalogService/CreateAuditorium": Access.STAFF,
        "/cinema.v1.CatalogService/UpdateMovie": Access.STAFF,
        "/cinema.v1.CatalogService/UpdateCinema": Access.STAFF,
        "/cinema.v1.CatalogService/UpdateAuditorium": Access.STAFF,
        "/cinema.v1.CatalogService/GetMovie": Access.PUBLIC,
        "/cinema.v1.CatalogService/GetCinema": Access.PUBLIC,
        "/cinema.v1.CatalogService/GetAuditorium": Access.PUBLIC,
        "/cinema.v1.CatalogService/ListMovies": Access.PUBLIC,
        "/cinema.v1.CatalogService/ListCinemas": Access.PUBLIC,
        "/cinema.v1.CatalogService/ListAuditoriums": Access.PUBLIC,
        "/cinema.v1.ShowtimeService/ListShowtimes": Access.PUBLIC,
        "/cinema.v1.ShowtimeService/GetShowtime": Access.PUBLIC,
        "/cinema.v1.ShowtimeService/SuggestSeats": Access.PUBLIC,
        "/cinema.v1.ShowtimeService/CreateShowtime": Access.STAFF,
        "/cinema.v1.ShowtimeService/UpdateShowtime": Access.STAFF,
        "/cinema.v1.ShowtimeService/CancelShowtime": Access.STAFF,
        "/cinema.v1.ShowtimeService/SetSeatBlocks": Access.STAFF,
        "/cinema.v1.ShowtimeService/ListSeatBlocks": Access.STAFF,
        "/cinema.v1.BookingService/CreateBooking": Access.CUSTOMER,
        "/cinema.v1.BookingService/GetBooking": Access.CUSTOMER,
        "/cinema.v1.BookingService/ListBookings": Access.CUSTOMER,
        "/cinema.v1.BookingService/ConfirmPayment": Access.CUSTOMER,
        "/cinema.v1.BookingService/GetCancellationQuote": Access.CUSTOMER,
        "/cinema.v1.BookingService/CancelBooking": Access.CUSTOMER,
        "/cinema.v1.BookingService/UpdateHold": Access.CUSTOMER,
        "/cinema.v1.BoxOfficeService/SellSeats": Access.STAFF,
        "/cinema.v1.BoxOfficeService/VoidBooking": Access.STAFF,
        "/cinema.v1.BoxOfficeService/FindBookings": Access.STAFF,
        "/cinema.v1.BoxOfficeService/ListRefunds": Access.STAFF,
        "/cinema.v1.BoxOfficeService/SettleRefund": Access.STAFF,
        "/cinema.v1.BoxOfficeService/GetSalesReport": Access.STAFF,
        "/grpc.health.v1.Health/Check": Access.PUBLIC,
        "/grpc.health.v1.Health/Watch": Access.PUBLIC,
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": Access.PUBLIC,
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": Access.PUBLIC,
    }
)
"""Access by full name of the method. A method that is missing can't be called."""


def method_traits(largest_page: int, further: Mapping[str, Further] | None = None) -> dict[str, MethodTraits]:
    """Return how each method is served, by full name.

    Args:
        largest_page: Maximum size of a page of a list, in bytes.
        further: Additional checks of requests, by full name of the method.
    """
    checks = request_checks(SERVICES, further)
    traits = {CHECK: MethodTraits(probe=True)}
    for service in SERVICES:
        for method in service.methods:
            reads = method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
            lists = "next_page_token" in method.output_type.fields_by_name
            name = f"/{service.full_name}/{method.name}"
            response_bytes = largest_page if lists else LARGEST_READ if reads else 0
            traits[name] = MethodTraits(checks[name], name in CHANGING, response_bytes)
    return traits


def further_checks(accounts: Accounts, catalog: Catalog) -> Mapping[str, Further]:
    """Return, by full name of the method, the checks of the domain that a method makes by itself for valid requests.

    They also run for a request that breaks the rules of the protos, so that the error names every bad field.
    """

    async def register(request: auth_service_pb2.RegisterRequest) -> Sequence[FieldViolation]:
        return accounts.violations(request.username, request.password, request.full_name, request.email)

    async def change_password(request: auth_service_pb2.ChangePasswordRequest) -> Sequence[FieldViolation]:
        return await accounts.password_violations(principal().user_id, request.new_password)

    async def create_cinema(request: catalog_service_pb2.CreateCinemaRequest) -> Sequence[FieldViolation]:
        return time_zone_violations(request.time_zone)

    async def create_auditorium(request: catalog_service_pb2.CreateAuditoriumRequest) -> Sequence[FieldViolation]:
        areas, spaces = parse_seat_areas(request.areas), parse_wheelchair_spaces(request.wheelchair_spaces)
        return violations_of(lambda: SeatPlan(parse_seat_rows(request.rows), areas, spaces))

    async def schedule_violations(request: Any, price: Money | None) -> Sequence[FieldViolation]:
        try:
            start_time = parse_moment(request.start_time, "start_time") if request.HasField("start_time") else None
        except InvalidRequest:
            start_time = None  # named by the rules of the protos already
        return await catalog.showtime_violations(start_time, price, parse_price_lines(request.prices))

    async def create_showtime(request: showtime_service_pb2.CreateShowtimeRequest) -> Sequence[FieldViolation]:
        return await schedule_violations(request, parse_price(request))

    async def get_sales_report(request: box_office_service_pb2.GetSalesReportRequest) -> Sequence[FieldViolation]:
        return period_violations(request.from_date, request.until_date)

    async def suggest_seats(request: showtime_service_pb2.SuggestSeatsRequest) -> Sequence[FieldViolation]:
        return violations_of(lambda: parse_party(request))

    async def create_booking(request: booking_service_pb2.CreateBookingRequest) -> Sequence[FieldViolation]:
        return claim_violations(request)

    async def update_hold(request: booking_service_pb2.UpdateHoldRequest) -> Sequence[FieldViolation]:
        return violations_of(lambda: parse_optional_selection(request))

    async def set_seat_blocks(request: showtime_service_pb2.SetSeatBlocksRequest) -> Sequence[FieldViolation]:
        return seat_block_violations(request)

    async def update_showtime(request: showtime_service_pb2.UpdateShowtimeRequest) -> Sequence[FieldViolation]:
        return [*await _update_violations(CHANGEABLE, request), *await schedule_violations(request, None)]

    async def find_bookings(request: box_office_service_pb2.FindBookingsRequest) -> Sequence[FieldViolation]:
        return search_violations(request)

    async def sell_seats(request: box_office_service_pb2.SellSeatsRequest) -> Sequence[FieldViolation]:
        return violations_of(lambda: parse_optional_selection(request)) + reason_violations(
            request.reason,
            complimentary=request.tender == booking_pb2.TENDER_COMPLIMENTARY,
            allow_gap=request.allow_gap,
            use_house_seats=request.use_house_seats,
        )

    return {
        "/cinema.v1.AuthService/Register": register,
        "/cinema.v1.BookingService/CreateBooking": create_booking,
        "/cinema.v1.BookingService/UpdateHold": update_hold,
        "/cinema.v1.ShowtimeService/SuggestSeats": suggest_seats,
        "/cinema.v1.ShowtimeService/SetSeatBlocks": set_seat_blocks,
        "/cinema.v1.ShowtimeService/UpdateShowtime": update_showtime,
        "/cinema.v1.BoxOfficeService/SellSeats": sell_seats,
        "/cinema.v1.BoxOfficeService/FindBookings": find_bookings,
        "/cinema.v1.AuthService/ChangePassword": change_password,
        "/cinema.v1.CatalogService/CreateCinema": create_cinema,
        "/cinema.v1.CatalogService/CreateAuditorium": create_auditorium,
        "/cinema.v1.CatalogService/UpdateMovie": partial(_update_violations, MOVIE_FIELDS),
        "/cinema.v1.CatalogService/UpdateCinema": partial(_update_violations, PLACE_FIELDS),
        "/cinema.v1.CatalogService/UpdateAuditorium": partial(_update_violations, PLACE_FIELDS),
        "/cinema.v1.ShowtimeService/CreateShowtime": create_showtime,
        "/cinema.v1.BoxOfficeService/GetSalesReport": get_sales_report,
    }


async def _update_violations(fields: Mapping[str, bool], request: Any) -> Sequence[FieldViolation]:
    return violations_of(lambda: parse_changes(request, fields))
