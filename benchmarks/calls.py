"""The calls that are measured, ready to be sent."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from cinema.v1 import auth_service_pb2, booking_service_pb2, showtime_service_pb2, ticket_service_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from benchmarks.load import Call

CREATE_BOOKING = "/cinema.v1.BookingService/CreateBooking"
CANCEL_BOOKING = "/cinema.v1.BookingService/CancelBooking"
CONFIRM_PAYMENT = "/cinema.v1.BookingService/ConfirmPayment"
LIST_BOOKINGS = "/cinema.v1.BookingService/ListBookings"
GET_SHOWTIME = "/cinema.v1.ShowtimeService/GetShowtime"
SUGGEST_SEATS = "/cinema.v1.ShowtimeService/SuggestSeats"
CANCEL_SHOWTIME = "/cinema.v1.ShowtimeService/CancelShowtime"
LIST_SHOWTIMES = "/cinema.v1.ShowtimeService/ListShowtimes"
GET_CURRENT_USER = "/cinema.v1.AuthService/GetCurrentUser"
REDEEM_TICKET = "/cinema.v1.TicketService/RedeemTicket"
LOGIN = "/cinema.v1.AuthService/Login"


def create_booking(showtime_id: str, seats: Sequence[str], token: str) -> Call:
    """Hold seats."""
    request = booking_service_pb2.CreateBookingRequest(
        showtime_id=showtime_id, seats=seats, request_id=str(uuid.uuid4())
    )
    return Call(CREATE_BOOKING, request.SerializeToString(), token)


def book_best(showtime_id: str, token: str) -> Call:
    """Hold the best two seats."""
    best = booking_service_pb2.BestSeats(ticket_types=["standard"] * 2)
    request = booking_service_pb2.CreateBookingRequest(showtime_id=showtime_id, best=best, request_id=str(uuid.uuid4()))
    return Call(CREATE_BOOKING, request.SerializeToString(), token)


def cancel_booking(booking_id: str, token: str) -> Call:
    """Give a booking up."""
    request = booking_service_pb2.CancelBookingRequest(booking_id=booking_id, request_id=str(uuid.uuid4()))
    return Call(CANCEL_BOOKING, request.SerializeToString(), token)


def confirm_payment(booking_id: str, token: str) -> Call:
    """Pay for a booking."""
    request = booking_service_pb2.ConfirmPaymentRequest(
        booking_id=booking_id,
        payment_token="tok_visa",  # noqa: S106 (what any provider takes)
        request_id=str(uuid.uuid4()),
    )
    return Call(CONFIRM_PAYMENT, request.SerializeToString(), token)


def redeem_ticket(showtime_id: str, code: str, token: str) -> Call:
    """Let someone in."""
    request = ticket_service_pb2.RedeemTicketRequest(
        showtime_id=showtime_id, code=code, gate="north", request_id=str(uuid.uuid4())
    )
    return Call(REDEEM_TICKET, request.SerializeToString(), token)


def list_bookings(token: str, page_token: str = "", page_size: int = 50) -> Call:
    """List the caller's bookings."""
    request = booking_service_pb2.ListBookingsRequest(page_token=page_token, page_size=page_size)
    return Call(LIST_BOOKINGS, request.SerializeToString(), token)


def get_showtime(showtime_id: str) -> Call:
    """Read a showtime with its seats."""
    return Call(GET_SHOWTIME, showtime_service_pb2.GetShowtimeRequest(showtime_id=showtime_id).SerializeToString())


def suggest_seats(showtime_id: str, party_size: int) -> Call:
    """Ask for the best seats for a party."""
    request = showtime_service_pb2.SuggestSeatsRequest(showtime_id=showtime_id, party_size=party_size)
    return Call(SUGGEST_SEATS, request.SerializeToString())


def list_showtimes(start_from: datetime | None = None) -> Call:
    """List the first 50 showtimes from a moment on, or from now on."""
    request = showtime_service_pb2.ListShowtimesRequest(page_size=50)
    if start_from is not None:
        moment = Timestamp()
        moment.FromDatetime(start_from)
        request.start_time_from.CopyFrom(moment)
    return Call(LIST_SHOWTIMES, request.SerializeToString())


def get_current_user(token: str) -> Call:
    """Ask who is calling."""
    return Call(GET_CURRENT_USER, auth_service_pb2.GetCurrentUserRequest().SerializeToString(), token)


def login(username: str, password: str) -> Call:
    """Sign in."""
    return Call(LOGIN, auth_service_pb2.LoginRequest(username=username, password=password).SerializeToString())
