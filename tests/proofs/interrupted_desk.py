"""The changes that staff make, each prepared so that it can be interrupted and repeated; and UpdateHold."""

from datetime import timedelta
from typing import Any

from cinema.v1 import (
    booking_pb2,
    booking_service_pb2,
    box_office_service_pb2,
    catalog_service_pb2,
    showtime_pb2,
    showtime_service_pb2,
)
from google.protobuf.field_mask_pb2 import FieldMask

from tests.builders import NOW
from tests.proofs.interruptions import Prepare, Scene, Stub
from tests.rpc.conftest import Metadata, moment, new_id
from tests.rpc.programme import EUR

STAFF_EFFECTS = {
    "UpdateMovie": "SELECT count(*) FROM movie WHERE title LIKE 'New title%'",
    "UpdateCinema": "SELECT count(*) FROM cinema WHERE name LIKE 'New name%'",
    "UpdateAuditorium": "SELECT count(*) FROM auditorium WHERE name LIKE 'New name%'",
    "SetSeatBlocks": "SELECT count(*) FROM seat_block",
    "CancelShowtime": "SELECT count(*) FROM showtime WHERE status = 'CANCELLED'",
    "UpdateShowtime": "SELECT count(*) FROM showtime WHERE moves <> '[]'",
    "UpdateHold": "SELECT count(*) FROM booking WHERE hold_renewed",
    "SellSeats": "SELECT count(*) FROM booking WHERE tender IS NOT NULL",
    "VoidBooking": "SELECT count(*) FROM booking WHERE cancel_cause = 'STAFF'",
    "SettleRefund": "SELECT count(*) FROM refund WHERE settle_time IS NOT NULL",
}
"""What each call with a request_id leaves one of, beside its stored response."""


async def update_movie(scene: Scene) -> tuple[Stub, Any, Metadata]:
    scene.number += 1
    request = catalog_service_pb2.UpdateMovieRequest(
        movie_id=(await scene.app.movie()).movie_id,
        title=f"New title {scene.number}",
        update_mask=FieldMask(paths=["title"]),
        request_id=new_id(),
    )
    return scene.app.catalog.UpdateMovie, request, await scene.app.staff()


async def update_cinema(scene: Scene) -> tuple[Stub, Any, Metadata]:
    scene.number += 1
    request = catalog_service_pb2.UpdateCinemaRequest(
        cinema_id=(await scene.app.cinema()).cinema_id,
        name=f"New name {scene.number}",
        update_mask=FieldMask(paths=["name"]),
        request_id=new_id(),
    )
    return scene.app.catalog.UpdateCinema, request, await scene.app.staff()


async def update_auditorium(scene: Scene) -> tuple[Stub, Any, Metadata]:
    scene.number += 1
    auditorium = await scene.app.auditorium(scene.cinema_id, name=f"Room {scene.number}")
    request = catalog_service_pb2.UpdateAuditoriumRequest(
        auditorium_id=auditorium.auditorium_id,
        name=f"New name {scene.number}",
        update_mask=FieldMask(paths=["name"]),
        request_id=new_id(),
    )
    return scene.app.catalog.UpdateAuditorium, request, await scene.app.staff()


async def set_seat_blocks(scene: Scene) -> tuple[Stub, Any, Metadata]:
    showtime_id, seat = scene.seat()
    block = showtime_pb2.SeatBlock(seats=[seat], kind=showtime_pb2.SEAT_BLOCK_KIND_HOUSE, reason="for guests")
    request = showtime_service_pb2.SetSeatBlocksRequest(showtime_id=showtime_id, block=block, request_id=new_id())
    return scene.app.showtimes.SetSeatBlocks, request, await scene.app.staff()


async def a_showtime(scene: Scene) -> str:
    """Put a showtime on the programme, in time that no other change wants, and sell a seat."""
    scene.number += 1
    request = showtime_service_pb2.CreateShowtimeRequest(
        movie_id=scene.movie_id,
        auditorium_id=scene.auditorium_id,
        start_time=moment(NOW + scene.number * timedelta(hours=2)),
        price=EUR,
    )
    created = await scene.app.showtimes.CreateShowtime(request, metadata=await scene.app.staff())
    showtime_id = created.showtime.showtime_id
    await scene.app.pay((await scene.app.book(showtime_id, "A1")).booking_id)
    return showtime_id


async def cancel_showtime(scene: Scene) -> tuple[Stub, Any, Metadata]:
    request = showtime_service_pb2.CancelShowtimeRequest(
        showtime_id=await a_showtime(scene), reason="a power cut", request_id=new_id()
    )
    return scene.app.showtimes.CancelShowtime, request, await scene.app.staff()


async def update_showtime(scene: Scene) -> tuple[Stub, Any, Metadata]:
    showtime_id = await a_showtime(scene)
    request = showtime_service_pb2.UpdateShowtimeRequest(
        showtime_id=showtime_id,
        start_time=moment(NOW + scene.number * timedelta(hours=2) + timedelta(minutes=5)),
        update_mask=FieldMask(paths=["start_time"]),
        request_id=new_id(),
    )
    return scene.app.showtimes.UpdateShowtime, request, await scene.app.staff()


async def update_hold(scene: Scene) -> tuple[Stub, Any, Metadata]:
    customer = f"customer-{scene.number // 5}"
    booking_id = await scene.next_booking(customer)
    scene.app.clock.advance(timedelta(milliseconds=1))
    request = booking_service_pb2.UpdateHoldRequest(booking_id=booking_id, extend=True, request_id=new_id())
    return scene.app.bookings.UpdateHold, request, await scene.app.customer(customer)


async def sell_seats(scene: Scene) -> tuple[Stub, Any, Metadata]:
    showtime_id, seat = scene.seat()
    request = box_office_service_pb2.SellSeatsRequest(
        showtime_id=showtime_id, seats=[seat], tender=booking_pb2.TENDER_CASH, request_id=new_id()
    )
    return scene.app.box_office.SellSeats, request, await scene.app.staff()


async def void_booking(scene: Scene) -> tuple[Stub, Any, Metadata]:
    booking_id = await scene.next_booking()
    if scene.number % 2:
        await scene.app.pay(booking_id)
    request = box_office_service_pb2.VoidBookingRequest(
        booking_id=booking_id, refund_percent=50, reason="a complaint", request_id=new_id()
    )
    return scene.app.box_office.VoidBooking, request, await scene.app.staff()


async def settle_refund(scene: Scene) -> tuple[Stub, Any, Metadata]:
    showtime_id, seat = scene.seat()
    sold = await scene.app.sell(showtime_id, seat)
    voided = await scene.app.void(sold.booking_id)
    request = box_office_service_pb2.SettleRefundRequest(
        refund_id=voided.refund.refund_id, note="in cash", request_id=new_id()
    )
    return scene.app.box_office.SettleRefund, request, await scene.app.staff()


STAFF_CHANGES: dict[str, Prepare] = {
    "UpdateMovie": update_movie,
    "UpdateCinema": update_cinema,
    "UpdateAuditorium": update_auditorium,
    "SetSeatBlocks": set_seat_blocks,
    "CancelShowtime": cancel_showtime,
    "UpdateShowtime": update_showtime,
    "UpdateHold": update_hold,
    "SellSeats": sell_seats,
    "VoidBooking": void_booking,
    "SettleRefund": settle_refund,
}
