"""What doors did while they were offline, recorded over a real channel."""

import asyncio
from datetime import timedelta
from itertools import permutations

import pytest
from cinema.v1 import booking_pb2, box_office_service_pb2, ticket_pb2
from cinema.v1 import ticket_service_pb2 as pb

from cinema_grpc.transport import desk_messages
from tests.builders import NOW
from tests.rpc.app import App, new_id
from tests.rpc.gates import offline, open_showtime, outcomes, record, redeem, reverse, sold
from tests.rpc.refusals import refusal

MINUTE = timedelta(minutes=1)
REDEEMED = booking_pb2.TICKET_STATUS_REDEEMED


async def test_what_each_is(app: App) -> None:
    """In the order of the request, over bookings and showtimes."""
    showtime, other = await open_showtime(app), await open_showtime(app)
    first = await sold(app, showtime.showtime_id, "A1", "A2")
    second = await sold(app, other.showtime_id, "A1", "A2", by="bob")
    await app.cancel(second.booking_id, "A2", by="bob")
    recorded = await record(
        app,
        offline(second.tickets[0].code, "south"),
        offline(first.tickets[0].code),
        offline("none"),
        offline(second.tickets[1].code),
        offline(first.tickets[0].code),
        offline(first.tickets[0].code, "east"),
    )
    assert outcomes(recorded) == ["ACCEPTED", "ACCEPTED", "UNKNOWN_TICKET", "ADMITTED_VOID", "DUPLICATE", "CONFLICT"]
    assert [each.ticket.seat for each in recorded] == ["A1", "A1", "", "A2", "A1", "A1"]
    assert [each.redemption.gate for each in recorded[3:]] == ["north", "north", "east"]
    assert [each.gate for each in recorded[5].others] == ["north"]
    assert recorded[5].redemption.status == ticket_pb2.REDEMPTION_STATUS_CONFLICT
    assert not recorded[2].HasField("ticket")


@pytest.mark.parametrize("order", [*permutations(range(3))])
async def test_three_gates_in_any_order(app: App, order: tuple[int, ...]) -> None:
    """However the reports arrive, the one that comes later names the others, and staff find all of them."""
    showtime = await open_showtime(app)
    ticket = (await sold(app, showtime.showtime_id, "A1", "A2")).tickets[0]
    gates = ["north", "south", "east"]
    reports = [offline(ticket.code, gate, NOW + number * MINUTE) for number, gate in enumerate(gates)]
    seen = [gates[number] for number in order]
    for position, number in enumerate(order):
        (recorded,) = await record(app, reports[number])
        assert outcomes([recorded]) == ["CONFLICT" if position else "ACCEPTED"]
        assert [each.gate for each in recorded.others] == seen[:position]
        assert recorded.redemption.redeem_time.ToDatetime(NOW.tzinfo) == NOW + number * MINUTE
    search = box_office_service_pb2.FindBookingsRequest(ticket_code=ticket.code)
    (found,) = (await app.box_office.FindBookings(search, metadata=await app.staff())).bookings
    assert [each.gate for each in found.redemptions] == seen
    conflict = ticket_pb2.REDEMPTION_STATUS_CONFLICT
    assert [each.status for each in found.redemptions] == [ticket_pb2.REDEMPTION_STATUS_ADMITTED, conflict, conflict]


async def test_a_door_that_reports_one_ticket_again_and_again(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it is kept, each answer names the first ten others, and staff find so many that an answer has room."""
    showtime = await open_showtime(app)
    ticket = (await sold(app, showtime.showtime_id, "A1", "A2")).tickets[0]
    recorded = await record(app, *(offline(ticket.code, f"gate {number}", NOW) for number in range(15)))
    assert outcomes(recorded) == ["ACCEPTED", *["CONFLICT"] * 14]
    assert [each.gate for each in recorded[-1].others] == [f"gate {number}" for number in range(10)]
    search = box_office_service_pb2.FindBookingsRequest(ticket_code=ticket.code)
    (found,) = (await app.box_office.FindBookings(search, metadata=await app.staff())).bookings
    assert len(found.redemptions) == 15
    monkeypatch.setattr(desk_messages, "MAX_REDEMPTIONS", 14)
    (shortened,) = (await app.box_office.FindBookings(search, metadata=await app.staff())).bookings
    assert shortened.redemptions == found.redemptions[:14]


async def test_after_a_redemption_online(app: App) -> None:
    showtime = await open_showtime(app)
    ticket = (await sold(app, showtime.showtime_id, "A1", "A2")).tickets[0]
    await redeem(app, showtime.showtime_id, ticket, gate="south")
    (recorded,) = await record(app, offline(ticket.code, time=NOW - MINUTE))
    assert outcomes([recorded]) == ["CONFLICT"]
    assert [each.gate for each in recorded.others] == ["south"]


async def test_a_recorded_redemption_counts(app: App) -> None:
    """It keeps others out, and its customer from cancelling; reversed, it is still known as a duplicate."""
    showtime = await open_showtime(app)
    booking = await sold(app, showtime.showtime_id, "A1", "A2")
    ticket = booking.tickets[0]
    await record(app, offline(ticket.code))
    assert (await refusal(redeem(app, showtime.showtime_id, ticket))).reason == "TICKET_ALREADY_REDEEMED"
    assert (await refusal(app.cancel(booking.booking_id))).reason == "TICKET_ALREADY_REDEEMED"
    await reverse(app, ticket.ticket_id)
    (again,) = await record(app, offline(ticket.code))
    assert outcomes([again]) == ["DUPLICATE"]
    assert again.redemption.status == ticket_pb2.REDEMPTION_STATUS_REVERSED
    assert again.ticket.status == booking_pb2.TICKET_STATUS_VALID


async def test_a_repeat_gets_the_same_response(app: App) -> None:
    showtime = await open_showtime(app)
    reports = []
    for name, seats in (("ada", ("A1", "A2")), ("bob", ("A3", "A4")), ("cyd", ("A5", "A6"))):
        booking = await sold(app, showtime.showtime_id, *seats, by=name)
        reports += [offline(ticket.code) for ticket in booking.tickets]
    request_id = new_id()
    first = await record(app, *reports, request_id=request_id)
    assert outcomes(first) == ["ACCEPTED"] * 6
    assert await record(app, *reports, request_id=request_id) == first
    app.clock.advance(MINUTE)
    assert outcomes(await record(app, *reports)) == ["DUPLICATE"] * 6
    assert (await refusal(record(app, *reports[1:], request_id=request_id))).reason == "REQUEST_ID_REUSED"


async def test_doors_that_report_at_once(app: App) -> None:
    """Of what they report of one ticket, one is accepted."""
    showtime = await open_showtime(app)
    ticket = (await sold(app, showtime.showtime_id, "A1", "A2")).tickets[0]
    results = await asyncio.gather(*(record(app, offline(ticket.code, f"gate {number}")) for number in range(10)))
    assert sorted(name for each in results for name in outcomes(each)) == ["ACCEPTED"] + ["CONFLICT"] * 9


async def test_a_hundred_at_once_and_no_more(app: App) -> None:
    showtime = await open_showtime(app, rows=(("A", (100,)),))
    booking = await app.sell(showtime.showtime_id, *(f"A{number}" for number in range(1, 101)))
    recorded = await record(app, *(offline(ticket.code) for ticket in booking.tickets))
    assert outcomes(recorded) == ["ACCEPTED"] * 100
    assert {each.status for each in (await app.read(booking.booking_id, by="staff")).tickets} == {REDEEMED}
    refused = await refusal(record(app, *[offline("none")] * 101))
    assert refused.fields == ["redemptions"]


async def test_the_sales_report_counts_conflicts(app: App) -> None:
    """On the day on which someone was let in, by any group; void tickets count, redemptions do not."""
    showtime = await open_showtime(app)
    booking = await sold(app, showtime.showtime_id, "A1", "A2", "A3")
    first, second, third = (ticket.code for ticket in booking.tickets)
    await app.cancel(booking.booking_id, "A3")
    later = NOW + timedelta(days=1)
    await record(app, *(offline(first, gate) for gate in ("north", "south", "east")), offline(second), offline(third))
    await record(app, offline(second, "south", later))
    for group in box_office_service_pb2.SalesGroup.values()[1:]:
        request = box_office_service_pb2.GetSalesReportRequest(
            cinema_id=showtime.cinema.cinema_id, from_date="2026-05-01", until_date="2026-05-03", group_by=group
        )
        found = await app.box_office.GetSalesReport(request, metadata=await app.staff())
        assert [each.entry_conflicts for each in found.totals] == [4]
        assert sum(each.entry_conflicts for each in found.lines) == 4
        if group == box_office_service_pb2.SALES_GROUP_DAY:
            assert [(each.key, each.entry_conflicts) for each in found.lines] == [("2026-05-01", 3), ("2026-05-02", 1)]


async def test_bad_reports(app: App) -> None:
    late = offline("none")
    late.redeem_time.nanos = -1
    reports = [pb.OfflineRedemption(), offline("x", gate="\n"), late]
    assert (await refusal(record(app))).fields == ["redemptions"]
    assert (await refusal(record(app, *reports))).fields == [
        "redemptions[0].code",
        "redemptions[0].redeem_time",
        "redemptions[0].gate",
        "redemptions[1].gate",
        "redemptions[2].redeem_time",
    ]


async def test_a_malformed_report_records_nothing(app: App) -> None:
    """The door corrects it, and repeats the whole call."""
    showtime = await open_showtime(app)
    first, second = (await sold(app, showtime.showtime_id, "A1", "A2")).tickets
    refused = await refusal(record(app, offline(first.code), offline(second.code, gate=" ")))
    assert (refused.reason, refused.fields) == ("INVALID_REQUEST", ["redemptions[1].gate"])
    assert outcomes(await record(app, offline(first.code), offline(second.code))) == ["ACCEPTED", "ACCEPTED"]
