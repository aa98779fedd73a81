"""cinema.v1.BookingService: holding, buying and returning seats."""
# ruff: noqa: N802 (the names are those of the protos)

from functools import partial

from cinema.v1 import booking_service_pb2 as pb
from cinema.v1 import booking_service_pb2_grpc

from cinema_grpc.application.bookings import Bookings
from cinema_grpc.application.payment_ports import ActionRequired
from cinema_grpc.domain.booking import Booking
from cinema_grpc.transport.call import principal
from cinema_grpc.transport.idempotency import idempotent_call
from cinema_grpc.transport.page_tokens import query_of
from cinema_grpc.transport.pages import read_page
from cinema_grpc.transport.parsing import parse_booking_status
from cinema_grpc.transport.rendering import (
    booking_encoder,
    render_booking,
    render_moment,
    render_money,
    serialized,
    write_booking,
)
from cinema_grpc.transport.selections import parse_claim, parse_optional_selection

encode_confirmed = booking_encoder(pb.ConfirmPaymentResponse)
_encode_created = booking_encoder(pb.CreateBookingResponse)
_encode_updated = booking_encoder(pb.UpdateHoldResponse)
_encode_cancelled = booking_encoder(pb.CancelBookingResponse)


class BookingServicer(booking_service_pb2_grpc.BookingServiceServicer):
    """Answers the calls of the BookingService."""

    def __init__(self, bookings: Bookings, largest_page: int) -> None:
        self._bookings = bookings
        self._largest_page = largest_page

    async def CreateBooking(self, request: pb.CreateBookingRequest, _context: object) -> pb.CreateBookingResponse:
        """Hold seats."""
        call = idempotent_call(request)
        wanted = parse_claim(request)
        body = await self._bookings.create(principal().user_id, request.showtime_id, wanted, call, _encode_created)
        return serialized(pb.CreateBookingResponse, body)

    async def UpdateHold(self, request: pb.UpdateHoldRequest, _context: object) -> pb.UpdateHoldResponse:
        """Replace the seats of a RESERVED booking, or extend its hold."""
        call = idempotent_call(request)
        wanted = parse_optional_selection(request)
        body = await self._bookings.update_hold(
            principal().user_id, request.booking_id, wanted, call, _encode_updated, extend=request.extend
        )
        return serialized(pb.UpdateHoldResponse, body)

    async def GetBooking(self, request: pb.GetBookingRequest, _context: object) -> pb.GetBookingResponse:
        """Return a booking of the caller."""
        booking = await self._bookings.get(principal().user_id, request.booking_id)
        return pb.GetBookingResponse(booking=render_booking(booking))

    async def ListBookings(self, request: pb.ListBookingsRequest, _context: object) -> pb.ListBookingsResponse:
        """Return a page of the caller's bookings."""
        user_id = principal().user_id
        status = parse_booking_status(request.status)
        bookings, next_page_token = await read_page(
            request,
            query_of(request, user_id),
            partial(self._bookings.list, user_id, request.showtime_id, status),
            lambda booking: booking.booking_id,
            render_booking,
            self._largest_page,
        )
        return pb.ListBookingsResponse(bookings=bookings, next_page_token=next_page_token)

    async def ConfirmPayment(self, request: pb.ConfirmPaymentRequest, _context: object) -> pb.ConfirmPaymentResponse:
        """Charge a booking and confirm it."""
        call = idempotent_call(request)
        body = await self._bookings.confirm(principal().user_id, request.booking_id, request.payment_token, call)
        return serialized(pb.ConfirmPaymentResponse, body)

    async def GetCancellationQuote(
        self, request: pb.GetCancellationQuoteRequest, _context: object
    ) -> pb.GetCancellationQuoteResponse:
        """Return what cancelling a booking now would pay back."""
        quote = await self._bookings.quote(principal().user_id, request.booking_id, tuple(request.seats))
        return pb.GetCancellationQuoteResponse(
            refund_amount=render_money(quote.amount),
            refund_percent=quote.percent,
            valid_until_time=render_moment(quote.valid_until_time),
        )

    async def CancelBooking(self, request: pb.CancelBookingRequest, _context: object) -> pb.CancelBookingResponse:
        """Cancel a booking, or some of its seats."""
        call = idempotent_call(request)
        user_id, seats = principal().user_id, tuple(request.seats)
        body = await self._bookings.cancel(user_id, request.booking_id, call, _encode_cancelled, seats)
        return serialized(pb.CancelBookingResponse, body)


def encode_action(booking: Booking, action: ActionRequired) -> bytes:
    """Return the response to ConfirmPayment for a booking whose customer has to act until its hold ends."""
    response = pb.ConfirmPaymentResponse(
        action=pb.PaymentAction(
            provider=action.provider,
            client_secret=action.client_secret,
            expire_time=render_moment(booking.hold_expire_time),
        )
    )
    write_booking(booking, response.booking)
    return response.SerializeToString()
