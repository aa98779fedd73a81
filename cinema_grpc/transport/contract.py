"""The methods of cinema.v1: who may call each, how its requests are validated, and how large its response may be."""

from collections.abc import Mapping
from types import MappingProxyType

from cinema.v1 import (
    auth_service_pb2,
    booking_service_pb2,
    box_office_service_pb2,
    catalog_service_pb2,
    event_service_pb2,
    showtime_service_pb2,
    ticket_service_pb2,
)
from google.protobuf.descriptor_pb2 import MethodOptions

from cinema_grpc.transport.authentication import Access
from cinema_grpc.transport.handlers import MethodTraits
from cinema_grpc.transport.health import CHECK, LIST
from cinema_grpc.transport.validation import DomainCheck, request_checks

LARGEST_READ = 64 * 1024
"""Size in bytes of the seats of the largest auditorium, the largest response that is no list.

Two responses for staff can be larger: a sales report by showtimes, up to 2 MB, and seat blocks, up to 2 MB if each seat
has one of its own. They are rare, so memory for the rest is reserved when they are made.
"""
SERVICES = tuple(
    service
    for module in (
        auth_service_pb2,
        catalog_service_pb2,
        showtime_service_pb2,
        booking_service_pb2,
        box_office_service_pb2,
        event_service_pb2,
        ticket_service_pb2,
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
SECURITY_LOGGED = frozenset(
    f"/cinema.v1.{each}"
    for each in (
        "ShowtimeService/UpdateShowtime",
        "ShowtimeService/CancelShowtime",
        "ShowtimeService/SetSeatBlocks",
        "BoxOfficeService/SellSeats",
        "BoxOfficeService/VoidBooking",
        "BoxOfficeService/SettleRefund",
        "TicketService/ReverseRedemption",
        "TicketService/RecordRedemptions",
    )
)
"""The methods whose servicers note in the security log what they have changed."""

ACCESS: Mapping[str, Access] = MappingProxyType(
    {
        "/cinema.v1.AuthService/Register": Access.PUBLIC,
        "/cinema.v1.AuthService/Login": Access.PUBLIC,
        "/cinema.v1.AuthService/GetCurrentUser": Access.SIGNED_IN,
        "/cinema.v1.AuthService/RefreshTokens": Access.PUBLIC,
        "/cinema.v1.AuthService/Logout": Access.PUBLIC,
        "/cinema.v1.AuthService/ChangePassword": Access.SIGNED_IN,
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
        "/cinema.v1.ShowtimeService/WatchSeats": Access.PUBLIC,
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
        "/cinema.v1.EventService/ListEvents": Access.EVENTS,
        "/cinema.v1.EventService/WatchEvents": Access.EVENTS,
        "/cinema.v1.TicketService/ListTicketKeys": Access.PUBLIC,
        "/cinema.v1.TicketService/RenderTicket": Access.CUSTOMER,
        "/cinema.v1.TicketService/RedeemTicket": Access.STAFF,
        "/cinema.v1.TicketService/ReverseRedemption": Access.STAFF,
        "/cinema.v1.TicketService/RecordRedemptions": Access.STAFF,
        "/cinema.v1.TicketService/ListTickets": Access.STAFF,
        "/grpc.health.v1.Health/Check": Access.PUBLIC,
        "/grpc.health.v1.Health/List": Access.PUBLIC,
        "/grpc.health.v1.Health/Watch": Access.PUBLIC,
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": Access.PUBLIC,
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": Access.PUBLIC,
    }
)
"""Access by full name of the method. A method that is missing can't be called."""


def method_traits(largest_page: int, domain_checks: Mapping[str, DomainCheck] | None = None) -> dict[str, MethodTraits]:
    """Return how each method is served, by full name.

    Args:
        largest_page: Maximum size of a page of a list, in bytes.
        domain_checks: Additional checks of requests, by full name of the method.
    """
    checks = request_checks(SERVICES, domain_checks)
    traits = {each: MethodTraits(probe=True) for each in (CHECK, LIST)}
    for service in SERVICES:
        for method in service.methods:
            reads = method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
            lists = not {"next_page_token", "next_position"}.isdisjoint(method.output_type.fields_by_name)
            name = f"/{service.full_name}/{method.name}"
            response_bytes = largest_page if lists else LARGEST_READ if reads else 0
            traits[name] = MethodTraits(
                checks[name],
                changes=name in CHANGING,
                response_bytes=response_bytes,
                watch=method.server_streaming,
                shielded=name in SECURITY_LOGGED,
            )
    return traits
