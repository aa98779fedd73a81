"""Lists in responses are bounded, whatever the caller asks for and however much there is."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from cinema.v1 import booking_service_pb2, box_office_service_pb2, showtime_pb2, ticket_service_pb2

from tests.rpc.conftest import METHODS, App

BOUNDED = {
    "ListSigningKeysResponse.keys": "a few",
    "GetShowtimeResponse.seats": "the seats of an auditorium",
    "WatchSeatsResponse.seats": "the seats of an auditorium",
    "SuggestSeatsResponse.options": "10 options",
    "SetSeatBlocksResponse.blocks": "the seats of an auditorium",
    "ListSeatBlocksResponse.blocks": "the seats of an auditorium",
    "ListEventsResponse.events": "200 events",
    "WatchEventsResponse.events": "200 events",
    "GetSalesReportResponse.lines": "20,000 lines",
    "GetSalesReportResponse.totals": "the currencies of the lines",
    "ListTicketKeysResponse.keys": "a few",
    "RecordRedemptionsResponse.outcomes": "the 100 redemptions of the request",
}
"""The lists that come without pages, and what bounds them."""
ROWS = tuple((row, (42,)) for row in "ABCDE")
ALLOW = showtime_pb2.SEAT_GAP_POLICY_ALLOW
Page = Callable[..., Awaitable[Any]]


def test_every_list_has_pages_or_a_bound() -> None:
    without_pages = {
        f"{method.output_type.name}.{field.name}"
        for method in METHODS.values()
        for field in method.output_type.fields
        if field.is_repeated and "next_page_token" not in method.output_type.fields_by_name
    }
    assert without_pages == BOUNDED.keys()
    for method in METHODS.values():
        pages = "next_page_token" in method.output_type.fields_by_name
        assert pages == ({"page_size", "page_token"} <= set(method.input_type.fields_by_name))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_page_has_at_most_200_entries(app: App) -> None:
    """And 50 unless asked otherwise; every entry is on one page."""
    showtime_id = (await app.showtime(rows=ROWS, policy=ALLOW)).showtime_id
    seats = [f"{row}{number}" for row, (length,) in ROWS for number in range(1, length + 1)]
    sold = await asyncio.gather(*(app.sell(showtime_id, seat) for seat in seats))
    await asyncio.gather(*(app.void(each.booking_id) for each in sold))
    staff = await app.staff()
    box_office, pb = app.box_office, box_office_service_pb2
    lists: list[tuple[Page, Any, str]] = [
        (box_office.FindBookings, pb.FindBookingsRequest(showtime_id=showtime_id), "bookings"),
        (box_office.FindBookings, pb.FindBookingsRequest(username="staff"), "bookings"),
        (box_office.ListRefunds, pb.ListRefundsRequest(), "refunds"),
        (app.bookings.ListBookings, booking_service_pb2.ListBookingsRequest(), "bookings"),
        (app.tickets.ListTickets, ticket_service_pb2.ListTicketsRequest(showtime_id=showtime_id), "tickets"),
    ]
    for call, request, name in lists:
        assert len(getattr(await call(request, metadata=staff), name)) == 50
        request.page_size = 2**31 - 1
        first = await call(request, metadata=staff)
        assert len(getattr(first, name)) <= 200
        entries = [*getattr(first, name)]
        request.page_token = first.next_page_token
        while request.page_token:
            page = await call(request, metadata=staff)
            entries += getattr(page, name)
            request.page_token = page.next_page_token
        assert len({each.SerializeToString() for each in entries}) == len(entries) == len(seats)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_blocks_of_the_largest_auditorium(app: App) -> None:
    """A hundred blocks of all of its 2,000 seats fit into a response."""
    rows = tuple((row, (200,)) for row in "ABCDEFGHIJ")
    showtime_id = (await app.showtime(rows=rows)).showtime_id
    seats = [f"{row}{number}" for row, (length,) in rows for number in range(1, length + 1)]
    for number in range(0, 2_000, 20):
        await app.block(showtime_id, *seats[number : number + 20], reason="é" * 200)
    answer = await app.block(showtime_id, *seats[:1], reason="é" * 200)
    assert len(answer.blocks) == 101
    assert sorted(seat for each in answer.blocks for seat in each.seats) == sorted(seats)
    assert (await app.read_showtime(showtime_id)).available_seats == 0
