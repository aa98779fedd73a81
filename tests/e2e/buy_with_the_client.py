"""Books, pays and cancels with the client package at HOST:PORT, synchronously and with asyncio. Needs nothing else."""

import asyncio
import sys
import uuid
from typing import assert_type

from cinema_client import AsyncClient, Client, errors
from cinema_client.cinema.v1.booking_pb2 import BOOKING_STATUS_CONFIRMED, Booking
from cinema_client.cinema.v1.booking_service_pb2 import (
    BestSeats,
    CancelBookingRequest,
    ConfirmPaymentRequest,
    CreateBookingRequest,
    CreateBookingResponse,
)
from cinema_client.cinema.v1.showtime_pb2 import SEAT_STATUS_HELD, Showtime
from cinema_client.cinema.v1.showtime_service_pb2 import ListShowtimesRequest, SuggestSeatsRequest

PASSWORD = uuid.uuid4().hex


def new_name() -> str:
    """Make a username."""
    return f"visitor-{uuid.uuid4().hex[:12]}"


def buy(address: str) -> None:
    """Do it synchronously."""
    with Client(address) as client:
        name = new_name()
        client.register(name, PASSWORD, "A Visitor", f"{name}@example.com")
        showtimes = list(client.pages(client.showtimes.ListShowtimes, ListShowtimesRequest(page_size=20)))
        showtime = assert_type(showtimes[-1], Showtime)
        suggested = client.showtimes.SuggestSeats(SuggestSeatsRequest(showtime_id=showtime.showtime_id, party_size=2))
        seats = suggested.options[0].seats
        held = client.bookings.CreateBooking(CreateBookingRequest(showtime_id=showtime.showtime_id, seats=seats))
        booking = assert_type(held, CreateBookingResponse).booking
        frame = next(client.watch_seats(showtime.showtime_id))
        assert {seat.status for seat in frame.seats if seat.seat in seats} == {SEAT_STATUS_HELD}
        try:
            client.bookings.CreateBooking(CreateBookingRequest(showtime_id=showtime.showtime_id, seats=seats))
            raise AssertionError("the seats were sold twice")
        except errors.SeatsUnavailable as error:
            print(f"refused to sell again: {', '.join(error.seats)}")  # noqa: T201
        payment = ConfirmPaymentRequest(booking_id=booking.booking_id, payment_token="tok_visa")
        assert client.bookings.ConfirmPayment(payment).booking.status == BOOKING_STATUS_CONFIRMED
        print(f"bought {', '.join(seats)} of {len(showtimes)} showtimes' last")  # noqa: T201 (this is a program)
        cancelled = client.bookings.CancelBooking(CancelBookingRequest(booking_id=booking.booking_id))
        assert cancelled.booking.refund.percent == 100
        client.logout()


async def buy_async(address: str) -> None:
    """Do it with asyncio."""
    async with AsyncClient(address) as client:
        name = new_name()
        await client.register(name, PASSWORD, "A Visitor", f"{name}@example.com")
        pages = client.pages(client.showtimes.ListShowtimes, ListShowtimesRequest(page_size=20))
        showtimes = [assert_type(showtime, Showtime) async for showtime in pages]
        best = BestSeats(ticket_types=[showtimes[-1].prices[0].ticket_type] * 2)
        request = CreateBookingRequest(showtime_id=showtimes[-1].showtime_id, best=best)
        booking = assert_type((await client.bookings.CreateBooking(request)).booking, Booking)
        async for frame in client.watch_seats(booking.showtime_id):
            seats = {seat.seat for seat in booking.seats}
            assert {seat.status for seat in frame.seats if seat.seat in seats} == {SEAT_STATUS_HELD}
            break
        print(f"held {', '.join(seats)} of {len(showtimes)} showtimes' last")  # noqa: T201 (this is a program)
        try:
            await client.bookings.ConfirmPayment(
                ConfirmPaymentRequest(booking_id=booking.booking_id, payment_token="tok_declined")
            )
            raise AssertionError("the charge was not declined")
        except errors.PaymentDeclined as error:
            print(f"the payment was declined: {error.decline_code}")  # noqa: T201
        await client.bookings.CancelBooking(CancelBookingRequest(booking_id=booking.booking_id))
        await client.logout()


if __name__ == "__main__":
    buy(sys.argv[1])
    asyncio.run(buy_async(sys.argv[1]))
