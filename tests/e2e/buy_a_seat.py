"""Registers, finds a showtime, books two seats, pays and cancels, against the server at HOST:PORT, over gRPC."""

import asyncio
import sys
import uuid
from datetime import UTC, datetime, timedelta

import grpc
from cinema.v1 import (
    auth_service_pb2,
    auth_service_pb2_grpc,
    booking_pb2,
    booking_service_pb2,
    booking_service_pb2_grpc,
    showtime_pb2,
    showtime_service_pb2,
    showtime_service_pb2_grpc,
)
from google.protobuf.timestamp_pb2 import Timestamp

SECONDS = 30


async def buy_a_seat(address: str) -> None:
    """Do it, and say so step by step; any surprise ends it with an error."""
    async with grpc.aio.insecure_channel(address) as channel:
        await asyncio.wait_for(channel.channel_ready(), SECONDS)
        auth = auth_service_pb2_grpc.AuthServiceStub(channel)
        showtimes = showtime_service_pb2_grpc.ShowtimeServiceStub(channel)
        bookings = booking_service_pb2_grpc.BookingServiceStub(channel)

        name = f"visitor-{uuid.uuid4().hex[:12]}"
        registered = await auth.Register(
            auth_service_pb2.RegisterRequest(
                username=name, password=uuid.uuid4().hex, full_name="A Visitor", email=f"{name}@example.com"
            ),
            timeout=SECONDS,
        )
        metadata = (("authorization", f"Bearer {registered.tokens.access_token}"),)
        print(f"registered {registered.user.username}")  # noqa: T201 (this is a program)

        tomorrow = Timestamp()
        tomorrow.FromDatetime(datetime.now(UTC) + timedelta(hours=25))
        page = await showtimes.ListShowtimes(
            showtime_service_pb2.ListShowtimesRequest(start_time_from=tomorrow, page_size=1), timeout=SECONDS
        )
        showtime = page.showtimes[0]
        seen = await showtimes.GetShowtime(
            showtime_service_pb2.GetShowtimeRequest(showtime_id=showtime.showtime_id), timeout=SECONDS
        )
        free = [each.seat for each in seen.seats if each.status == showtime_pb2.SEAT_STATUS_AVAILABLE]
        print(f"found {showtime.movie.title}: {len(free)} of {showtime.total_seats} seats are free")  # noqa: T201

        booked = (
            await bookings.CreateBooking(
                booking_service_pb2.CreateBookingRequest(
                    showtime_id=showtime.showtime_id, seats=free[:2], request_id=str(uuid.uuid4())
                ),
                metadata=metadata,
                timeout=SECONDS,
            )
        ).booking
        paid = (
            await bookings.ConfirmPayment(
                booking_service_pb2.ConfirmPaymentRequest(booking_id=booked.booking_id, payment_token="tok_visa"),
                metadata=metadata,
                timeout=SECONDS,
            )
        ).booking
        if paid.status != booking_pb2.BOOKING_STATUS_CONFIRMED or len(paid.tickets) != 2:
            raise AssertionError(f"not paid for: {paid}")
        print(f"bought {', '.join(ticket.seat for ticket in paid.tickets)} for {paid.total_price.minor_units}")  # noqa: T201

        cancelled = (
            await bookings.CancelBooking(
                booking_service_pb2.CancelBookingRequest(booking_id=booked.booking_id),
                metadata=metadata,
                timeout=SECONDS,
            )
        ).booking
        if cancelled.refund.percent != 100:
            raise AssertionError(f"not refunded: {cancelled}")
        print(f"cancelled for a refund of {cancelled.refund.amount.minor_units}")  # noqa: T201


if __name__ == "__main__":
    asyncio.run(buy_a_seat(sys.argv[1]))
