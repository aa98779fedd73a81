"""SellSeats over a real channel: seats that staff sell, to whom, for what, and which rules they may override."""

from datetime import timedelta
from typing import Any

import grpc
import pytest
from cinema.v1 import auth_service_pb2, booking_service_pb2, box_office_service_pb2, showtime_pb2
from cinema.v1 import booking_pb2 as pb
from cinema.v1.booking_service_pb2 import SeatChoice
from cinema.v1.catalog_pb2 import SeatArea, WheelchairSpace
from cinema.v1.money_pb2 import Money
from cinema.v1.showtime_pb2 import PriceLine, Showtime

from tests.builders import NOW
from tests.rpc.app import PASSWORD, App, moment
from tests.rpc.conftest import running
from tests.rpc.programme import MICROSECOND, RUNTIME
from tests.rpc.providers import Provider
from tests.rpc.refusals import refusal

Code = grpc.StatusCode
HOUR = timedelta(hours=1)
WIDE = tuple((row, (26,)) for row in "ABCDE")
AREAS = (SeatArea(category="vip", rows=["B"]),)
SPACES = (WheelchairSpace(seat="B7", companion_seats=["B8"]),)
PRICES = [
    PriceLine(category=category, ticket_type=name, price=Money(currency_code="EUR", minor_units=price), proof=proof)
    for category, name, price, proof in (
        ("standard", "adult", 1_200, ""),
        ("vip", "adult", 2_000, ""),
        ("standard", "child", 700, "passport"),
    )
]


async def user_id(app: App, name: str) -> str:
    request = auth_service_pb2.GetCurrentUserRequest()
    answer = await app.auth.GetCurrentUser(
        request, metadata=await (app.staff() if name == "staff" else app.customer(name))
    )
    return answer.user.user_id


async def a_showtime(app: App, **fields: Any) -> Showtime:
    return await app.showtime(areas=AREAS, wheelchair_spaces=SPACES, prices=PRICES, **fields)


class TestSelling:
    async def test_a_sale(self, app: App) -> None:
        """The booking is CONFIRMED at once, with tickets, and it is the seller's."""
        showtime_id, seller = (await a_showtime(app)).showtime_id, await user_id(app, "staff")
        sold = await app.sell(showtime_id, "A2", "A1", reason=" no  card ")
        assert (sold.status, sold.user_id) == (pb.BOOKING_STATUS_CONFIRMED, seller)
        assert [each.seat for each in sold.seats] == ["A1", "A2"]
        assert sold.total_price.minor_units == 2_400
        assert (sold.create_time, sold.confirm_time) == (moment(NOW), moment(NOW))
        assert sold.HasField("hold_expire_time")
        assert [(each.seat, each.status) for each in sold.tickets] == [
            ("A1", pb.TICKET_STATUS_VALID),
            ("A2", pb.TICKET_STATUS_VALID),
        ]
        assert sold.sale == pb.Sale(
            channel=pb.SALE_CHANNEL_COUNTER, tender=pb.TENDER_CASH, sold_by=seller, reason="no card"
        )
        assert await app.read(sold.booking_id, by="staff") == sold
        assert await app.seat_states(showtime_id) == {"A1": "SOLD", "A2": "SOLD"}

    async def test_to_a_customer(self, app: App) -> None:
        """Who sees it among their bookings, and may cancel it; its refund waits until staff have paid it."""
        showtime_id, customer = (await a_showtime(app)).showtime_id, await user_id(app, "ada")
        sold = await app.sell(showtime_id, "A1", "A2", customer_user_id=customer, tender=pb.TENDER_CARD_TERMINAL)
        assert (sold.user_id, sold.sale.sold_by) == (customer, await user_id(app, "staff"))
        listing = booking_service_pb2.ListBookingsRequest()
        assert list((await app.bookings.ListBookings(listing, metadata=await app.customer())).bookings) == [sold]
        assert (await refusal(app.read(sold.booking_id, by="staff"))).reason == "NOT_BOOKING_OWNER"
        assert (await app.quote(sold.booking_id, "A1")).refund_amount.minor_units == 1_200
        kept = await app.cancel(sold.booking_id, "A1")
        await app.server.tasks.pay_refunds._run_pass()
        assert (await app.read(sold.booking_id)).refund.status == pb.REFUND_STATUS_PENDING
        request = box_office_service_pb2.SettleRefundRequest(refund_id=kept.refund.refund_id, note="in cash")
        await app.box_office.SettleRefund(request, metadata=await app.staff())
        read = await app.read(sold.booking_id)
        assert (read.refund.status, read.status) == (pb.REFUND_STATUS_COMPLETED, pb.BOOKING_STATUS_CONFIRMED)

    async def test_ticket_types(self, app: App) -> None:
        showtime_id = (await a_showtime(app)).showtime_id
        chosen = [SeatChoice(seat="A1", ticket_type="child"), SeatChoice(seat="B1", ticket_type="adult")]
        chosen += [SeatChoice(seat="A2", ticket_type="adult")]
        chosen += [SeatChoice(seat="B2", ticket_type="adult")]
        sold = await app.sell(showtime_id, choices=chosen)
        assert [(each.seat, each.price.minor_units, each.ticket_type, each.proof) for each in sold.seats] == [
            ("A1", 700, "child", "passport"),
            ("A2", 1_200, "adult", ""),
            ("B1", 2_000, "adult", ""),
            ("B2", 2_000, "adult", ""),
        ]

    async def test_no_provider_is_asked(self, database_url: str) -> None:
        provider = Provider()
        async with running(database_url, gateway=provider) as app:
            sold = await app.sell((await a_showtime(app)).showtime_id, "A1", "A2")
            await app.void(sold.booking_id)
            await app.server.tasks.pay_refunds._run_pass()
        assert (provider.charges, provider.refunds) == ([], [])

    async def test_a_hundred_seats(self, app: App) -> None:
        """At most; the limits on holds do not count, neither here nor for the customer afterwards."""
        showtime_id, customer = (await app.showtime(rows=WIDE)).showtime_id, await user_id(app, "ada")
        await app.book(showtime_id, *(f"E{number}" for number in range(1, 11)))
        seats = [f"{row}{number}" for row in "ABCD" for number in range(1, 26 + 1)][:101]
        refused = await refusal(app.sell(showtime_id, *seats, customer_user_id=customer))
        assert refused.fields == ["seats"]
        sold = await app.sell(showtime_id, *seats[:100], customer_user_id=customer)
        assert len(sold.tickets) == len({each.code for each in sold.tickets}) == 100
        assert await app.read(sold.booking_id) == sold
        other = (await app.showtime()).showtime_id
        assert len((await app.book(other, "A1", "A2")).seats) == 2

    async def test_until_the_end(self, app: App) -> None:
        showtime_id = (await app.showtime(start=NOW + HOUR)).showtime_id
        await app.pass_time(HOUR + RUNTIME - MICROSECOND)
        await app.sell(showtime_id, "A1", "A2")
        await app.pass_time(MICROSECOND)
        refused = await refusal(app.sell(showtime_id, "A3", "A4"))
        assert (refused.code, refused.reason) == (Code.FAILED_PRECONDITION, "SHOWTIME_ENDED")
        assert refused.metadata == {"showtime_id": showtime_id, "end_time": "2026-05-01T15:00:00Z"}


class TestComplimentary:
    async def test_every_price_is_0(self, app: App) -> None:
        """What the door asks for stays; a refund of nothing is COMPLETED."""
        showtime_id = (await a_showtime(app)).showtime_id
        chosen = [SeatChoice(seat="A1", ticket_type="child"), SeatChoice(seat="A2", ticket_type="adult")]
        free = await app.sell(showtime_id, choices=chosen, tender=pb.TENDER_COMPLIMENTARY, reason="a birthday")
        assert [(each.price.minor_units, each.proof) for each in free.seats] == [(0, "passport"), (0, "")]
        assert (free.total_price.currency_code, free.total_price.minor_units) == ("EUR", 0)
        assert (free.sale.tender, free.sale.reason) == (pb.TENDER_COMPLIMENTARY, "a birthday")
        refund = (await app.void(free.booking_id)).refund
        assert (refund.amount.minor_units, refund.status) == (0, pb.REFUND_STATUS_COMPLETED)

    @pytest.mark.parametrize(
        ("fields", "text"),
        [
            ({"tender": pb.TENDER_COMPLIMENTARY}, "tender COMPLIMENTARY"),
            ({"allow_gap": True}, "allow_gap"),
            ({"use_house_seats": True, "allow_gap": True}, "allow_gap and use_house_seats"),
        ],
    )
    async def test_a_reason_is_needed(self, app: App, fields: dict[str, Any], text: str) -> None:
        """Whether or not the override is; it is asked for before anything is looked up."""
        refused = await refusal(app.sell("none", "A1", "A2", **fields))
        assert (refused.fields, text in refused.message) == (["reason"], True)


class TestOverrides:
    async def test_the_gap_rule(self, app: App) -> None:
        """It holds at the counter too, unless a gap is allowed; then the seat that is left can be sold."""
        showtime_id = (await app.showtime()).showtime_id
        refused = await refusal(app.sell(showtime_id, "A2", "A3"))
        assert (refused.reason, refused.metadata) == ("SINGLE_SEAT_GAP", {"stranded_seats": "A1"})
        await app.sell(showtime_id, "A2", "A3", allow_gap=True, reason="asked for")
        await app.sell(showtime_id, "A1")

    async def test_seats_of_the_house(self, app: App) -> None:
        """HOUSE blocks alone, and only if asked for; the rest of the block stays."""
        showtime_id = (await app.showtime()).showtime_id
        await app.block(showtime_id, "A1", "A2", "A3", "A4")
        await app.block(showtime_id, "B1", "B2", kind=showtime_pb2.SEAT_BLOCK_KIND_OUT_OF_ORDER)
        await app.book(showtime_id, "A9", "A10")
        for use_house_seats, seats, taken in (
            (False, ("A1", "A2"), {"seats": "A1,A2", "house_seats": "A1,A2"}),
            (False, ("A2", "B1", "A10"), {"seats": "A2,A10,B1", "house_seats": "A2"}),
            (False, ("B1", "A10"), {"seats": "A10,B1"}),
            (True, ("A1", "B1", "A10"), {"seats": "A10,B1"}),
        ):
            refused = await refusal(app.sell(showtime_id, *seats, use_house_seats=use_house_seats, reason="a guest"))
            assert (refused.reason, refused.metadata) == ("SEATS_UNAVAILABLE", taken)
            assert ("set use_house_seats and a reason" in refused.message) == ("house_seats" in taken)
        by_customer = await refusal(app.book(showtime_id, "A1"))
        assert (by_customer.metadata, "house" in by_customer.message) == ({"seats": "A1"}, False)
        sold = await app.sell(showtime_id, "A1", "A2", use_house_seats=True, reason="a guest")
        states = await app.seat_states(showtime_id)
        assert (states["A1"], states["A3"], states["B1"]) == ("SOLD", "BLOCKED", "BLOCKED")
        await app.void(sold.booking_id)
        assert "A1" not in await app.seat_states(showtime_id)

    async def test_wheelchair_spaces_are_no_override(self, app: App) -> None:
        showtime_id = (await a_showtime(app)).showtime_id
        for seats, wheelchair in ((("B7",), False), (("B8",), True), (("A1", "A2"), True)):
            refused = await refusal(
                app.sell(showtime_id, *seats, wheelchair=wheelchair, allow_gap=True, reason="asked for")
            )
            assert (refused.reason, refused.metadata) == ("ACCESSIBLE_ONLY", {"seats": ",".join(seats)})
        assert len((await app.sell(showtime_id, "B7", "B8", wheelchair=True)).tickets) == 2


class TestRefusals:
    async def test_their_order(self, app: App) -> None:
        """Each with everything that comes after it wrong too."""
        showtime_id = (await a_showtime(app)).showtime_id
        await app.book(showtime_id, "A1", "A2")
        wrong = {"Z1": "adult", "B1": "child", "A2": "adult", "B7": "adult", "A4": "adult"}
        expected = ["SEAT_NOT_FOUND", "TICKET_TYPE_NOT_OFFERED", "SEATS_UNAVAILABLE", "ACCESSIBLE_ONLY"]
        seen = []
        for seat in tuple(wrong):
            choices = [SeatChoice(seat=each, ticket_type=name) for each, name in wrong.items()]
            seen.append((await refusal(app.sell(showtime_id, choices=choices))).reason)
            if len(wrong) > 1:
                del wrong[seat]
        assert seen == [*expected, "SINGLE_SEAT_GAP"]
        refused = await refusal(app.sell(showtime_id, "Z1", customer_user_id="none"))
        assert (refused.code, refused.reason, refused.metadata) == (
            Code.NOT_FOUND,
            "USER_NOT_FOUND",
            {"user_id": "none"},
        )
        service = (await app.server.accounts.create_service("billing", PASSWORD)).user_id
        assert (await refusal(app.sell(showtime_id, "A4", customer_user_id=service))).reason == "USER_NOT_FOUND"
        assert (await refusal(app.sell("none", "Z1"))).reason == "SHOWTIME_NOT_FOUND"
        assert (await refusal(app.sell("none", "Z", customer_user_id="none"))).fields == ["seats[0]"]

    async def test_seats_or_choices(self, app: App) -> None:
        showtime_id = (await a_showtime(app)).showtime_id
        choice = SeatChoice(seat="A1", ticket_type="adult")
        assert (await refusal(app.sell(showtime_id))).fields == ["seats", "choices"]
        assert (await refusal(app.sell(showtime_id, "A2", choices=[choice]))).fields == ["seats", "choices"]
        assert (await refusal(app.sell(showtime_id, choices=[choice] * 2))).fields == ["choices[1].seat"]
