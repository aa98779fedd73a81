"""A history of sales for the audit: each kind of booking, block, cancellation and refund that there is."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import insert

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.event_store import SqlEventStore
from cinema_grpc.application.box_office.command import Command, Decision
from cinema_grpc.domain.booking import BookedSeat, Booking
from cinema_grpc.domain.cancellation import void
from cinema_grpc.domain.charging import with_charge_settled, with_refund_settled
from cinema_grpc.domain.claims import Selection
from cinema_grpc.domain.counter import sell
from cinema_grpc.domain.door import record_redemptions, with_redemption_reversed
from cinema_grpc.domain.payment import RefundStatus, Settlement
from cinema_grpc.domain.sale import Sale, Tender
from cinema_grpc.domain.session import RefreshToken, Session
from cinema_grpc.domain.settlement import with_refund_settled_by_hand
from cinema_grpc.domain.showtime_changes import ShowtimeChanges, cancel_showtime, set_seat_blocks, update_showtime
from cinema_grpc.domain.terms import SeatBlock, SeatBlockKind, Terms
from cinema_grpc.domain.ticket import Redemption, Reversal, Ticket
from tests.application.commands import TEN_MINUTES, cancel_command, expire_command
from tests.application.conftest import App
from tests.database import START, writing

CANCELLED, CONFIRMED, HELD = "b0002", "b0003", "b0004"
SOLD, FREE, FOR_WHEELCHAIR = "a sale", "a free sale", "a sale for a wheelchair"
MOVED, OFF, LATE = "b0005", "b0006", "b0007"
"""Bookings of `a_history`: by a customer too late for all of the money; confirmed, without one of its seats; on hold;
at the counter, without one of its seats; complimentary; a wheelchair space with its companion seat; cancelled after a
move; cancelled with its showtime; charged after that."""


def new_id() -> str:
    """Return an identifier."""
    return str(uuid.uuid4())


async def change(app: App, at: str, change: Callable[[Decision], Any], booking_id: str = "") -> Any:
    """Change a showtime."""
    return await app.box_office.execute(Command(at, change, booking_id=booking_id))


async def open_payment(app: App, booking: Booking) -> None:
    """Begin to pay for a booking."""
    name = booking.booking_id

    def begin(decision: Decision) -> None:
        decision.showtime.open_payment(name, booking.user_id, f"a-{name}", decision.now)

    await change(app, booking.showtime_id, begin, name)


async def settle_payment(app: App, booking: Booking) -> None:
    """Note that a booking is paid for."""
    name = booking.booking_id
    tickets = [Ticket(f"{name}-{seat}", seat, f"{name}-{seat}") for seat in booking.labels]

    def settle(decision: Decision) -> None:
        showtime = decision.showtime
        showtime.update(name, with_charge_settled, f"a-{name}", tickets, f"r-{name}", showtime.terms, decision.now)

    await change(app, booking.showtime_id, settle, name)


async def pay(app: App, booking: Booking) -> None:
    """Pay for a booking."""
    await open_payment(app, booking)
    await settle_payment(app, booking)


async def sell_at_counter(
    app: App, name: str, tender: Tender, *seats: str, at: str = "s1", wheelchair: bool = False
) -> None:
    """Sell seats at the counter; bob sells to ada."""

    def issue(_terms: Terms, seats: Sequence[BookedSeat]) -> tuple[Ticket, ...]:
        return tuple(Ticket(f"{name}-{seat.label}", seat.label, f"{name}-{seat.label}") for seat in seats)

    sale, selection = Sale(tender, "bob", "a reason"), Selection(seats, wheelchair=wheelchair)
    await change(
        app,
        at,
        lambda decision: sell(decision.showtime, name, "ada", selection, sale, issue, decision.now),
    )


async def block(app: App, name: str, *seats: str, at: str = "s1", release_time: Any = None) -> None:
    """Block seats."""
    await change(
        app,
        at,
        lambda decision: set_seat_blocks(
            decision.showtime,
            SeatBlock(name, SeatBlockKind.HOUSE, seats, "guests", release_time, decision.now, "bob"),
            (),
            decision.now,
        ),
    )


async def a_history(app: App) -> None:
    """Do all that can be done in showtimes s1 to s3, from 13 hours before their start on."""
    app.clock.advance(START - timedelta(hours=13) - app.clock.now())
    async with writing(app.database) as connection:
        of_a3 = schema.auditorium.update().where(schema.auditorium.c.auditorium_id == "a3")
        await connection.execute(of_a3.values(wheelchair_spaces='[["A9", ["A10"]]]'))
    await app.hold("A5")
    app.clock.advance(timedelta(minutes=10))
    await app.box_office.execute(expire_command())
    cancelled = await app.hold("A4")
    await pay(app, cancelled)
    await app.box_office.execute(cancel_command(cancelled))
    await _pay_back(app, CANCELLED)
    confirmed = await app.hold("A2", "A3")
    await pay(app, confirmed)
    await change(
        app, "s1", lambda decision: decision.showtime.cancel(CONFIRMED, "ada", "of A3", decision.now, ["A3"]), CONFIRMED
    )
    await app.hold("A1")
    app.clock.advance(timedelta(minutes=1))
    await _at_the_counter(app)
    await _at_the_door(app)
    await _of_other_showtimes(app)
    await SqlEventStore(app.database).assign_positions(1_000)
    async with writing(app.database) as connection:
        session = Session.begin(RefreshToken(b"family", b"secret"), "ada", app.clock.now())
        await connection.execute(insert(schema.session).values(**asdict(session)))


async def _pay_back(app: App, name: str) -> None:
    await change(
        app,
        "s1",
        lambda decision: decision.showtime.update(
            name, with_refund_settled, f"refund of {name}", RefundStatus.COMPLETED
        ),
        name,
    )


async def _at_the_counter(app: App) -> None:
    """Sell, give up one seat, and pay its refund by hand; block seats."""
    await sell_at_counter(app, SOLD, Tender.CASH, "A6", "A7")
    await sell_at_counter(app, FREE, Tender.COMPLIMENTARY, "A8")
    await change(
        app,
        "s1",
        lambda decision: decision.showtime.update(
            SOLD, void, decision.showtime.terms, ["A7"], 30, "a complaint", "of A7", decision.now
        ),
        SOLD,
    )
    settlement = Settlement("bob", app.clock.now(), "in cash")
    await change(
        app,
        "s1",
        lambda decision: decision.showtime.update(SOLD, with_refund_settled_by_hand, "of A7", settlement),
        SOLD,
    )
    await sell_at_counter(app, FOR_WHEELCHAIR, Tender.CARD_TERMINAL, "A9", "A10", at="s3", wheelchair=True)
    await block(app, "a block", "A9", "A10")


async def _at_the_door(app: App) -> None:
    """Let people in with the tickets of a sale: twice with one, and once by mistake with another."""
    for ticket, gate in (("A6", "north"), ("A6", "south"), ("A7", "north")):
        reported = Redemption(f"{ticket} {gate}", f"{SOLD}-{ticket}", gate, START, "bob", app.clock.now())
        await change(app, "s1", partial(_record, reported, SOLD), SOLD)
    reported = Redemption("free", f"{FREE}-A8", "north", START, "bob", app.clock.now())
    await change(app, "s1", partial(_record, reported, FREE), FREE)
    reversal = Reversal("bob", app.clock.now(), "a mistake")
    await change(
        app,
        "s1",
        lambda decision: decision.showtime.update(FREE, with_redemption_reversed, f"{FREE}-A8", reversal),
        FREE,
    )


def _record(reported: Redemption, name: str, decision: Decision) -> None:
    booking, _ = record_redemptions(decision.showtime.booking(name), [reported])
    decision.showtime.put(booking)


async def _of_other_showtimes(app: App) -> None:
    """Move s3 after a sale, which is cancelled then; cancel s2 with a sale, a payment under way and a block."""
    moved = await app.hold("A1", at="s3")
    await pay(app, moved)
    app.clock.advance(timedelta(minutes=1))
    start_time = START + timedelta(minutes=20)
    await change(
        app,
        "s3",
        lambda decision: update_showtime(decision.showtime, ShowtimeChanges(start_time), (), TEN_MINUTES, decision.now),
    )
    app.clock.advance(timedelta(minutes=1))
    await app.box_office.execute(cancel_command(moved))
    sold, late = await app.hold("A1", "A2", at="s2"), await app.hold("A3", at="s2", by="bob")
    await pay(app, sold)
    await change(app, "s2", lambda decision: decision.showtime.cancel(OFF, "ada", "of A2", decision.now, ["A2"]), OFF)
    await open_payment(app, late)
    await block(app, "another block", "A10", at="s2")
    await change(
        app,
        "s2",
        lambda decision: cancel_showtime(decision.showtime, "a power cut", new_id, decision.now),
    )
    await settle_payment(app, late)
