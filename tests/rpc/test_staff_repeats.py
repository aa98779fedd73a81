"""Repeats of what staff change, over a real channel: the stored response, and one effect."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from cinema.v1 import booking_pb2, box_office_service_pb2, catalog_service_pb2, showtime_pb2, showtime_service_pb2
from google.protobuf.field_mask_pb2 import FieldMask

from tests.builders import NOW
from tests.rpc.app import App, moment, new_id
from tests.rpc.conftest import running
from tests.rpc.refusals import refusal

BOX_OFFICE, SHOWTIMES, CATALOG = box_office_service_pb2, showtime_service_pb2, catalog_service_pb2
Call = Callable[[App, Any], Awaitable[Any]]


class Case:
    """A request of staff, other content for it, and how often what it does was done."""

    def __init__(self, method: str, request: Any, **other: Any) -> None:
        self.method = method
        self.request = request
        self.request.request_id = new_id()
        self.other = type(request).FromString(request.SerializeToString())
        self.other.MergeFrom(type(request)(**other))

    async def call(self, app: App, request: Any) -> Any:
        service, _, name = self.method.partition("/")
        stubs = {"catalog": app.catalog, "showtimes": app.showtimes, "box_office": app.box_office}
        return await getattr(stubs[service], name)(request, metadata=await app.staff())


async def cases(app: App) -> list[Case]:
    """Return a case for each method, in an order in which each finds what it needs."""
    showtime = await app.showtime(price=1_000)
    showtime_id = showtime.showtime_id
    sold = await app.sell(showtime_id, "A1", "A2", "A3", "A4")
    refund_id = (await app.void(sold.booking_id, "A4")).refund.refund_id
    block = showtime_pb2.SeatBlock(seats=["B8"], kind=showtime_pb2.SEAT_BLOCK_KIND_HOUSE, reason="guests")
    return [
        Case(
            "catalog/UpdateMovie",
            CATALOG.UpdateMovieRequest(
                movie_id=showtime.movie.movie_id, title="Else", update_mask=FieldMask(paths=["title"])
            ),
            rating="16",
        ),
        Case(
            "showtimes/SetSeatBlocks",
            SHOWTIMES.SetSeatBlocksRequest(showtime_id=showtime_id, block=block),
            release=["B7"],
        ),
        Case(
            "showtimes/UpdateShowtime",
            SHOWTIMES.UpdateShowtimeRequest(
                showtime_id=showtime_id,
                start_time=moment(NOW + timedelta(days=3)),
                update_mask=FieldMask(paths=["start_time"]),
            ),
            reason="asked for",
        ),
        Case(
            "box_office/SellSeats",
            BOX_OFFICE.SellSeatsRequest(showtime_id=showtime_id, seats=["B1", "B2"], tender=booking_pb2.TENDER_CASH),
            tender=booking_pb2.TENDER_CARD_TERMINAL,
        ),
        Case(
            "box_office/VoidBooking",
            BOX_OFFICE.VoidBookingRequest(booking_id=sold.booking_id, seats=["A3"], refund_percent=50, reason="unwell"),
            refund_percent=51,
        ),
        Case(
            "box_office/SettleRefund",
            BOX_OFFICE.SettleRefundRequest(refund_id=refund_id, note="from the till"),
            note="by bank transfer",
        ),
        Case(
            "showtimes/CancelShowtime",
            SHOWTIMES.CancelShowtimeRequest(showtime_id=showtime_id, reason="a leak"),
            reason="another leak",
        ),
    ]


async def test_after_a_restart(database_url: str) -> None:
    """Each repeat gets the first response, though the showtime is cancelled by then; other content is refused."""
    async with running(database_url) as app:
        found = await cases(app)
        firsts = [await case.call(app, case.request) for case in found]
        tokens = app.tokens
        before = await everything(app)
    async with running(database_url) as app:
        app.tokens |= tokens
        for case, first in zip(found, firsts, strict=True):
            assert await case.call(app, case.request) == first, case.method
            refused = await refusal(case.call(app, case.other))
            assert refused.reason == "REQUEST_ID_REUSED", case.method
        assert await everything(app) == before


async def everything(app: App) -> tuple[Any, Any, Any]:
    """Read all showtimes, bookings and refunds."""
    staff = await app.staff()
    listing = SHOWTIMES.ListShowtimesRequest(include_cancelled=True)
    return (
        await app.showtimes.ListShowtimes(listing),
        await app.box_office.FindBookings(BOX_OFFICE.FindBookingsRequest(username="staff"), metadata=staff),
        await app.box_office.ListRefunds(BOX_OFFICE.ListRefundsRequest(), metadata=staff),
    )


async def test_of_five_at_once_one_has_an_effect(app: App) -> None:
    for case in await cases(app):
        answers = await asyncio.gather(*(case.call(app, case.request) for _ in range(5)))
        assert all(each == answers[0] for each in answers), case.method
    _, bookings, refunds = await everything(app)
    assert len(bookings.bookings) == 2
    assert sorted(each.refund.amount.minor_units for each in refunds.refunds) == [500, 1_000, 2_000, 2_500]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_by_another_member_of_staff(app: App) -> None:
    """A request_id is its caller's: the same of another is another call."""
    request = BOX_OFFICE.SellSeatsRequest(
        showtime_id=(await app.showtime()).showtime_id,
        seats=["A1", "A2"],
        tender=booking_pb2.TENDER_CASH,
        request_id=new_id(),
    )
    await app.box_office.SellSeats(request, metadata=await app.staff())
    await app.server.accounts.create_staff("eve", "correct horse battery staple", "Eve")
    await app.sign_in("eve")
    refused = await refusal(app.box_office.SellSeats(request, metadata=app.tokens["eve"]))
    assert refused.reason == "SEATS_UNAVAILABLE"


async def test_refusals_are_not_kept(app: App) -> None:
    """The same request_id may be used again, also with other content."""
    showtime_id = (await app.showtime()).showtime_id
    booking = await app.book(showtime_id, "A1", "A2")
    calls: list[tuple[Callable[..., Awaitable[Any]], dict[str, Any], dict[str, Any]]] = [
        (
            lambda **fields: app.sell(showtime_id, *fields.pop("seats"), **fields),
            {"seats": ["A1"]},
            {"seats": ["A3", "A4"]},
        ),
        (
            lambda **fields: app.block(showtime_id, *fields.pop("seats"), **fields),
            {"seats": ["A1"]},
            {"seats": ["A10"]},
        ),
        (
            lambda **fields: app.void(booking.booking_id, *fields.pop("seats"), **fields),
            {"seats": ["Z1"]},
            {"seats": []},
        ),
        (lambda **fields: app.cancel_showtime(showtime_id, **fields), {"expected_revision": 99}, {}),
    ]
    for call, bad, good in calls:
        request_id = new_id()
        assert (await refusal(call(request_id=request_id, **bad))).reason != "REQUEST_ID_REUSED"
        await call(request_id=request_id, **good)
