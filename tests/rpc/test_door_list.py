"""The door's list, by difference, over a real channel."""

from cinema.v1 import booking_pb2, ticket_pb2

from tests.rpc.app import App
from tests.rpc.gates import door_list, open_showtime, redeem, reverse, sold, tickets_page
from tests.rpc.refusals import refusal

VALID, VOID = booking_pb2.TICKET_STATUS_VALID, booking_pb2.TICKET_STATUS_VOID
REDEEMED = booking_pb2.TICKET_STATUS_REDEEMED


def states(tickets: list[ticket_pb2.DoorTicket]) -> dict[str, int]:
    return {each.seat: each.status for each in tickets}


async def test_all_tickets(app: App) -> None:
    showtime = await open_showtime(app)
    assert await door_list(app, showtime.showtime_id) == ([], 1)
    booking = await sold(app, showtime.showtime_id, "A1", "A2")
    await app.book(showtime.showtime_id, "B1", "B2")
    tickets, revision = await door_list(app, showtime.showtime_id)
    assert [(each.ticket_id, each.seat, each.status) for each in tickets] == [
        (each.ticket_id, each.seat, VALID) for each in booking.tickets
    ]
    assert revision == (await app.read_showtime(showtime.showtime_id)).revision


async def test_what_has_changed(app: App) -> None:
    """Redeemed, reversed, void and new tickets come again; what did not change does not."""
    showtime = await open_showtime(app)
    first = await sold(app, showtime.showtime_id, "A1", "A2")
    await sold(app, showtime.showtime_id, "A3", "A4", by="bob")
    _, revision = await door_list(app, showtime.showtime_id)
    assert await door_list(app, showtime.showtime_id, revision) == ([], revision)
    await redeem(app, showtime.showtime_id, first.tickets[0])
    changed, revision = await door_list(app, showtime.showtime_id, revision)
    assert states(changed) == {"A1": REDEEMED, "A2": VALID}
    assert changed[0].redemption.gate == "north"
    await app.cancel(first.booking_id, "A2")
    await sold(app, showtime.showtime_id, "B1", "B2", by="cyd")
    changed, revision = await door_list(app, showtime.showtime_id, revision)
    assert states(changed) == {"A1": REDEEMED, "A2": VOID, "B1": VALID, "B2": VALID}
    await reverse(app, first.tickets[0].ticket_id)
    changed, revision = await door_list(app, showtime.showtime_id, revision)
    assert states(changed) == {"A1": VALID, "A2": VOID}
    await app.cancel_showtime(showtime.showtime_id)
    changed, _ = await door_list(app, showtime.showtime_id, revision)
    assert states(changed) == dict.fromkeys(["A1", "A2", "A3", "A4", "B1", "B2"], VOID)


async def test_pages_of_any_size(app: App) -> None:
    """They end within a booking, and before and after one."""
    showtime = await open_showtime(app, rows=(("A", (9,)), ("B", (9,))))
    bookings = (("ada", "A1 A2 A3"), ("bob", "A4 A5"), ("cyd", "B1 B2 B3"), ("dan", "B4"), ("eve", "B5"), ("fay", "B6"))
    for name, seats in bookings:
        await sold(app, showtime.showtime_id, *seats.split(), by=name)
    whole = await door_list(app, showtime.showtime_id)
    assert len(whole[0]) == 11
    for size in range(1, 10):
        assert await door_list(app, showtime.showtime_id, page_size=size) == whole


async def test_a_change_between_two_pages(app: App) -> None:
    """It comes on a later page, however early the ticket was listed."""
    showtime = await open_showtime(app)
    first = await sold(app, showtime.showtime_id, "A1", "A2")
    await sold(app, showtime.showtime_id, "A3", "A4", by="bob")
    page = await tickets_page(app, showtime.showtime_id, page_size=3)
    await redeem(app, showtime.showtime_id, first.tickets[1])
    rest = await tickets_page(app, showtime.showtime_id, page_size=3, page_token=page.next_page_token)
    assert [(each.seat, each.status) for each in rest.tickets] == [("A4", VALID), ("A1", VALID), ("A2", REDEEMED)]
    assert rest.revision == page.revision + 1


async def test_bad_requests(app: App) -> None:
    assert (await refusal(tickets_page(app, "none"))).reason == "SHOWTIME_NOT_FOUND"
    assert (await refusal(tickets_page(app, "", after_revision=-1))).fields == ["showtime_id", "after_revision"]
    showtime = await open_showtime(app)
    assert await door_list(app, showtime.showtime_id, 2**63 - 1) == ([], 1)
