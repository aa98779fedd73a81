"""The door: redeeming tickets and reversing that, over a real channel."""

import asyncio
from datetime import timedelta

import grpc
from cinema.v1 import booking_pb2, ticket_pb2

from cinema_grpc.adapters.database.audit import audit
from tests.builders import NOW
from tests.rpc.app import App, new_id
from tests.rpc.gates import HOUR, START, offline, open_showtime, record, redeem, reverse, sold
from tests.rpc.refusals import refusal

Code = grpc.StatusCode
MICROSECOND = timedelta(microseconds=1)
VALID, VOID = booking_pb2.TICKET_STATUS_VALID, booking_pb2.TICKET_STATUS_VOID
REDEEMED = booking_pb2.TICKET_STATUS_REDEEMED


class TestRedeeming:
    async def test_lets_a_guest_in(self, app: App) -> None:
        showtime = await open_showtime(app)
        booking = await sold(app, showtime.showtime_id, "A1", "A2")
        ticket = booking.tickets[0]
        let_in = await redeem(app, showtime.showtime_id, ticket, gate=" north ")
        shown, redemption = let_in.ticket, let_in.redemption
        assert (shown.ticket_id, shown.booking_id, shown.showtime_id, shown.seat, shown.status) == (
            ticket.ticket_id,
            booking.booking_id,
            showtime.showtime_id,
            "A1",
            REDEEMED,
        )
        assert (shown.category, shown.ticket_type, shown.proof) == ("standard", "standard", "")
        assert (redemption.gate, redemption.redeem_time.ToDatetime(NOW.tzinfo)) == ("north", NOW)
        assert redemption.status == ticket_pb2.REDEMPTION_STATUS_ADMITTED
        assert shown.redemption == redemption
        assert [each.status for each in (await app.read(booking.booking_id)).tickets] == [REDEEMED, VALID]

    async def test_by_the_identifier(self, app: App) -> None:
        showtime = await open_showtime(app)
        ticket = (await sold(app, showtime.showtime_id, "A1", "A2")).tickets[1]
        assert (await redeem(app, showtime.showtime_id, ticket_id=ticket.ticket_id)).ticket.seat == "A2"

    async def test_only_once(self, app: App) -> None:
        showtime = await open_showtime(app)
        ticket = (await sold(app, showtime.showtime_id, "A1", "A2")).tickets[0]
        await redeem(app, showtime.showtime_id, ticket)
        app.clock.advance(timedelta(minutes=1))
        refused = await refusal(redeem(app, showtime.showtime_id, ticket, gate="south"))
        assert (refused.code, refused.reason) == (Code.FAILED_PRECONDITION, "TICKET_ALREADY_REDEEMED")
        assert refused.metadata == {
            "ticket_id": ticket.ticket_id,
            "redeem_time": "2026-05-01T12:00:00Z",
            "gate": "north",
        }

    async def test_many_doors_at_once(self, app: App) -> None:
        showtime = await open_showtime(app)
        ticket = (await sold(app, showtime.showtime_id, "A1", "A2")).tickets[0]
        calls = [redeem(app, showtime.showtime_id, ticket, gate=f"gate {number}") for number in range(20)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(not isinstance(each, BaseException) for each in results) == 1

    async def test_a_repeat_lets_its_guest_in(self, app: App) -> None:
        showtime = await open_showtime(app)
        tickets = (await sold(app, showtime.showtime_id, "A1", "A2")).tickets
        request_id = new_id()
        first = await redeem(app, showtime.showtime_id, tickets[0], request_id=request_id)
        app.clock.advance(timedelta(minutes=1))
        assert await redeem(app, showtime.showtime_id, tickets[0], request_id=request_id) == first
        other = await refusal(redeem(app, showtime.showtime_id, tickets[1], request_id=request_id))
        assert other.reason == "REQUEST_ID_REUSED"

    async def test_opens_two_hours_before_the_start_and_closes_at_the_end(self, app: App) -> None:
        showtime = await open_showtime(app, NOW + 2 * HOUR + MICROSECOND)
        tickets = (await sold(app, showtime.showtime_id, "A1", "A2")).tickets
        refused = await refusal(redeem(app, showtime.showtime_id, tickets[0]))
        assert (refused.reason, refused.metadata["open_time"]) == ("GATE_CLOSED", "2026-05-01T12:00:00.000001Z")
        app.clock.advance(MICROSECOND)
        await redeem(app, showtime.showtime_id, tickets[0])
        await app.pass_time(4 * HOUR - MICROSECOND)
        await redeem(app, showtime.showtime_id, tickets[1], validate_only=True)
        app.clock.advance(MICROSECOND)
        assert (await refusal(redeem(app, showtime.showtime_id, tickets[1]))).reason == "GATE_CLOSED"

    async def test_at_the_wrong_showtime(self, app: App) -> None:
        showtime, other = await open_showtime(app), await open_showtime(app)
        ticket = (await sold(app, showtime.showtime_id, "A1", "A2")).tickets[0]
        refused = await refusal(redeem(app, other.showtime_id, ticket))
        assert (refused.reason, refused.metadata["showtime_id"]) == ("TICKET_WRONG_SHOWTIME", showtime.showtime_id)

    async def test_void_tickets(self, app: App) -> None:
        showtime = await open_showtime(app)
        booking = await sold(app, showtime.showtime_id, "A1", "A2")
        await app.cancel(booking.booking_id, "A1")
        refused = await refusal(redeem(app, showtime.showtime_id, booking.tickets[0]))
        assert (refused.reason, refused.metadata) == ("TICKET_VOID", {"ticket_id": booking.tickets[0].ticket_id})
        await redeem(app, showtime.showtime_id, booking.tickets[1])
        await app.cancel_showtime(showtime.showtime_id)
        assert (await refusal(redeem(app, showtime.showtime_id, booking.tickets[1]))).reason == "TICKET_VOID"

    async def test_a_void_ticket_of_a_seat_that_was_sold_again(self, app: App) -> None:
        showtime = await open_showtime(app)
        first = await sold(app, showtime.showtime_id, "A1", "A2")
        await app.cancel(first.booking_id, "A1")
        second = (await sold(app, showtime.showtime_id, "A1", by="bob")).tickets[0]
        assert (await refusal(redeem(app, showtime.showtime_id, first.tickets[0]))).reason == "TICKET_VOID"
        assert (await redeem(app, showtime.showtime_id, second)).ticket.seat == "A1"

    async def test_a_check_changes_nothing(self, app: App) -> None:
        showtime = await open_showtime(app)
        ticket = (await sold(app, showtime.showtime_id, "A1", "A2")).tickets[0]
        revision = (await app.read_showtime(showtime.showtime_id)).revision
        checked = await redeem(app, showtime.showtime_id, ticket, validate_only=True, request_id=new_id())
        assert (checked.ticket.status, checked.HasField("redemption")) == (VALID, False)
        assert (await app.read_showtime(showtime.showtime_id)).revision == revision
        await redeem(app, showtime.showtime_id, ticket)
        refused = await refusal(redeem(app, showtime.showtime_id, ticket, validate_only=True))
        assert refused.reason == "TICKET_ALREADY_REDEEMED"

    async def test_unknown_and_forged_tickets(self, app: App) -> None:
        showtime = await open_showtime(app)
        code = (await sold(app, showtime.showtime_id, "A1", "A2")).tickets[0].code
        refused = await refusal(redeem(app, showtime.showtime_id, ticket_id="none"))
        assert (refused.code, refused.reason, refused.metadata) == (
            Code.NOT_FOUND,
            "TICKET_NOT_FOUND",
            {"ticket_id": "none"},
        )
        for forged in (
            "none",
            code[:-1],
            f"{code[:9]} {code[9:]}",
            code[:-1] + ("0" if code[-1] != "0" else "1"),
            "\x00",
        ):
            refused = await refusal(redeem(app, showtime.showtime_id, code=forged))
            assert (refused.code, refused.reason) == (Code.INVALID_ARGUMENT, "TICKET_FORGED")

    async def test_bad_requests(self, app: App) -> None:
        assert (await refusal(redeem(app, "x", gate=" "))).fields == ["code", "ticket_id", "gate"]
        assert (await refusal(redeem(app, "", code="x"))).fields == ["showtime_id"]
        assert (await refusal(reverse(app, "", reason=" "))).fields == ["ticket_id", "reason"]

    async def test_a_scanner_adds_white_space(self, app: App) -> None:
        """Around the code; within it, a space is a part of it."""
        showtime = await open_showtime(app)
        first, second = (await sold(app, showtime.showtime_id, "A1", "A2")).tickets
        let_in = await redeem(app, showtime.showtime_id, code=f" {first.code}\r\n")
        assert let_in.ticket.ticket_id == first.ticket_id
        (recorded,) = await record(app, offline(f"{second.code}\n"))
        assert recorded.ticket.ticket_id == second.ticket_id
        assert (await refusal(redeem(app, showtime.showtime_id, code=" \n"))).reason == "TICKET_FORGED"


class TestReversing:
    async def test_a_ticket_can_be_redeemed_again(self, app: App) -> None:
        showtime = await open_showtime(app)
        ticket = (await sold(app, showtime.showtime_id, "A1", "A2")).tickets[0]
        await redeem(app, showtime.showtime_id, ticket)
        request_id = new_id()
        reversed_one = await reverse(app, ticket.ticket_id, request_id=request_id)
        assert (reversed_one.status, reversed_one.HasField("redemption")) == (VALID, False)
        again = await redeem(app, showtime.showtime_id, ticket, gate="south")
        assert again.ticket.redemption.gate == "south"
        assert await reverse(app, ticket.ticket_id, request_id=request_id) == reversed_one
        refused = await refusal(redeem(app, showtime.showtime_id, ticket))
        assert refused.metadata["gate"] == "south"

    async def test_someone_was_let_in_elsewhere(self, app: App) -> None:
        """The conflict takes the place of what was reversed: no refund for a seat that another guest sits on."""
        showtime = await open_showtime(app)
        booking = await sold(app, showtime.showtime_id, "A1", "A2")
        ticket = booking.tickets[0]
        await redeem(app, showtime.showtime_id, ticket)
        await record(app, offline(ticket.code, "south"))
        kept = await reverse(app, ticket.ticket_id)
        assert (kept.status, kept.redemption.gate) == (REDEEMED, "south")
        assert kept.redemption.status == ticket_pb2.REDEMPTION_STATUS_CONFLICT
        refused = await refusal(app.cancel(booking.booking_id))
        assert (refused.reason, refused.metadata["gate"]) == ("TICKET_ALREADY_REDEEMED", "south")
        assert (await refusal(redeem(app, showtime.showtime_id, ticket))).metadata["gate"] == "south"
        assert (await audit(app.server.database)).breaches == 0
        assert (await reverse(app, ticket.ticket_id)).status == VALID
        assert (await audit(app.server.database)).breaches == 0
        assert (await app.cancel(booking.booking_id)).status == booking_pb2.BOOKING_STATUS_CANCELLED

    async def test_what_is_not_redeemed(self, app: App) -> None:
        showtime = await open_showtime(app)
        ticket = (await sold(app, showtime.showtime_id, "A1", "A2")).tickets[0]
        assert (await refusal(reverse(app, ticket.ticket_id))).reason == "TICKET_NOT_REDEEMED"
        assert (await refusal(reverse(app, "none"))).reason == "TICKET_NOT_FOUND"


class TestCancelling:
    async def test_redeemed_seats_are_not_cancelled_by_the_customer(self, app: App) -> None:
        showtime = await open_showtime(app)
        booking = await sold(app, showtime.showtime_id, "A1", "A2", "A3", "A4")
        await redeem(app, showtime.showtime_id, booking.tickets[0])
        for call in (
            app.cancel(booking.booking_id),
            app.cancel(booking.booking_id, "A1"),
            app.quote(booking.booking_id),
        ):
            refused = await refusal(call)
            assert (refused.reason, refused.metadata["ticket_id"]) == (
                "TICKET_ALREADY_REDEEMED",
                booking.tickets[0].ticket_id,
            )
        kept = await app.cancel(booking.booking_id, "A2", "A3", "A4")
        assert [each.status for each in kept.tickets] == [REDEEMED, VOID, VOID, VOID]
        await reverse(app, booking.tickets[0].ticket_id)
        assert (await app.cancel(booking.booking_id)).status == booking_pb2.BOOKING_STATUS_CANCELLED

    async def test_staff_cancel_redeemed_seats(self, app: App) -> None:
        showtime = await open_showtime(app)
        booking = await sold(app, showtime.showtime_id, "A1", "A2")
        await redeem(app, showtime.showtime_id, booking.tickets[0])
        assert (await app.cancel_showtime(showtime.showtime_id, validate_only=True)).impact.redeemed_tickets == 1
        assert {each.status for each in (await app.void(booking.booking_id)).tickets} == {VOID}
        assert (await app.cancel_showtime(showtime.showtime_id)).impact.redeemed_tickets == 0

    async def test_of_a_cancel_and_a_redemption_at_once_one_succeeds(self, app: App) -> None:
        showtime = await open_showtime(app, START)
        for seats in (("A1", "A2"), ("A3", "A4"), ("A5", "A6"), ("A7", "A8")):
            booking = await sold(app, showtime.showtime_id, *seats)
            results = await asyncio.gather(
                app.cancel(booking.booking_id, seats[0]),
                redeem(app, showtime.showtime_id, booking.tickets[0]),
                return_exceptions=True,
            )
            assert sum(isinstance(each, BaseException) for each in results) == 1
