"""Draws bookings."""

from collections.abc import Iterable

from cinema_client.cinema.v1 import booking_pb2, booking_service_pb2, box_office_service_pb2
from rich.console import Group, RenderableType
from rich.text import Text

from cinema_grpc.cli.client.output import lines, moment, money, name, table
from cinema_grpc.cli.printing import plain

STYLES = {
    booking_pb2.BOOKING_STATUS_RESERVED: "yellow",
    booking_pb2.BOOKING_STATUS_CONFIRMED: "green",
    booking_pb2.BOOKING_STATUS_CANCELLED: "red",
    booking_pb2.BOOKING_STATUS_EXPIRED: "bright_black",
}


def draw_booking(booking: booking_pb2.Booking) -> RenderableType:
    """Return a booking with its seats and refunds."""
    reserved = booking.status == booking_pb2.BOOKING_STATUS_RESERVED
    parts: list[RenderableType] = [
        Text.assemble("Booking ", (plain(booking.booking_id), "cyan"), " is ", _status(booking)),
        lines(
            ("showtime", booking.showtime_id),
            ("total", money(booking.total_price)),
            ("pay until", moment(booking.hold_expire_time) if reserved else ""),
            ("reason", booking.cancel_reason),
        ),
    ]
    tickets = {ticket.seat: ticket for ticket in booking.tickets}
    seats = table("seat", "ticket type", "price", "ticket", right="price")
    for seat in booking.seats:
        ticket = tickets.get(seat.seat)
        cancelled = "cancelled" if seat.status == booking_pb2.BOOKED_SEAT_STATUS_CANCELLED else ""
        status = name(booking_pb2.TicketStatus, ticket.status).lower() if ticket else cancelled
        proof = f" ({seat.proof})" if seat.proof else ""
        seats.add_row(seat.seat, f"{seat.ticket_type}{proof}", money(seat.price), status)
    parts.append(seats)
    for refund in booking.refunds:
        status = name(booking_pb2.RefundStatus, refund.status).lower()
        parts.append(Text(plain(f"Refund of {money(refund.amount)} for {' '.join(refund.seats)}: {status}")))
    return Group(*parts)


def draw_bookings(bookings: Iterable[booking_pb2.Booking]) -> RenderableType:
    """Return a list of bookings."""
    list_ = table("booking", "status", "seats", "total", right="total")
    for each in bookings:
        list_.add_row(Text(plain(each.booking_id), "cyan"), _status(each), _seats(each), money(each.total_price))
    return list_ if list_.rows else Text("No bookings.")


def draw_found(found: Iterable[box_office_service_pb2.FoundBooking]) -> RenderableType:
    """Return a list of bookings with their customers."""
    list_ = table("booking", "status", "seats", "total", right="total")
    for each in found:
        booking, customer = each.booking, each.customer
        who = ", ".join(filter(None, (customer.username, customer.full_name, customer.email, customer.user_id)))
        list_.add_row(
            Text(f"{plain(booking.booking_id)}\n").append(plain(who), "dim"),
            _status(booking),
            _seats(booking),
            money(booking.total_price),
        )
    return list_ if list_.rows else Text("No bookings.")


def quote_text(quote: booking_service_pb2.GetCancellationQuoteResponse) -> str:
    """Return what a cancellation would refund."""
    if not quote.refund_amount.minor_units:
        return "Nothing is refunded."
    until = moment(quote.valid_until_time)
    return f"{money(quote.refund_amount)} are refunded ({quote.refund_percent}%), until {until}."


def _status(booking: booking_pb2.Booking) -> Text:
    return Text(name(booking_pb2.BookingStatus, booking.status).lower(), STYLES.get(booking.status, ""))


def _seats(booking: booking_pb2.Booking) -> str:
    return " ".join(seat.seat for seat in booking.seats)
