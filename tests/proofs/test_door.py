"""The door in a rush: each ticket lets in one, a seat is redeemed or cancelled, and every double entry is named."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import grpc
import pytest
from cinema.v1 import booking_pb2, box_office_service_pb2
from cinema.v1.auth_service_pb2 import GetCurrentUserRequest

from cinema_grpc.adapters.database.audit import audit
from tests import chance
from tests.builders import NOW, FakeClock
from tests.conftest import Lend
from tests.proofs.desk import OFFICES
from tests.proofs.test_best_seats import LETTERS
from tests.rpc.app import UNLIMITED, App, new_id
from tests.rpc.conftest import running
from tests.rpc.gates import offline, open_showtime, outcomes, record, redeem
from tests.rpc.refusals import read_refusal

A = TypeVar("A")
CALLS_UNDER_WAY = 100
SEATS_A_BOOKING = 20
LARGEST_HOUSE = 2_000
GATES = 50
REDEEMED, VOID = booking_pb2.TICKET_STATUS_REDEEMED, booking_pb2.TICKET_STATUS_VOID


def sizes(short: int, long: int) -> pytest.MarkDecorator:
    """Run a test in a short form and in a long one."""
    return pytest.mark.parametrize("number", [short, pytest.param(long, marks=pytest.mark.torture)])


@OFFICES
@sizes(100, 2_000)
async def test_each_ticket_lets_in_one(
    kind: str, offices: int, number: int, lend: Lend, tmp_path: Path, record_property: Callable[..., None]
) -> None:
    """Each is shown at three of 50 gates at once. Half of the answers are lost, and the gates ask again."""
    random = chance.generator(chance.seed())
    with lend(kind, tmp_path) as url:
        async with doors(url, offices) as apps:
            sold = await sell(apps[0], number)
            lost = 0

            async def show(ticket: booking_pb2.Ticket, showtime_id: str) -> bool:
                """Return whether a gate lets the holder in, with one request_id from the first try to the last."""
                nonlocal lost
                gate, request_id = f"gate {random.randrange(GATES)}", new_id()
                while True:
                    call = redeem(random.choice(apps), showtime_id, ticket, gate=gate, request_id=request_id)
                    # The task is cancelled at its end or before: the call may be anywhere, carried out or not.
                    timeout = random.choice([None, random.random() / 20])
                    try:
                        answer = await asyncio.wait_for(call, timeout)
                    except TimeoutError:
                        lost += 1
                    except grpc.aio.AioRpcError as error:
                        check_reason(error, "TICKET_ALREADY_REDEEMED")
                        return False
                    else:
                        assert (answer.ticket.seat, answer.redemption.gate) == (ticket.seat, gate)
                        return True

            shown = [(ticket, booking.showtime_id) for booking in sold for ticket in booking.tickets] * 3
            random.shuffle(shown)
            let_in = await limited(show(*each) for each in shown)
            entered = [ticket.ticket_id for (ticket, _), is_in in zip(shown, let_in, strict=True) if is_in]
            assert len(entered) == len(set(entered)) == number
            assert {each.status for booking in sold for each in await tickets_of(apps[-1], booking)} == {REDEEMED}
            await assert_audit(apps[0])
            record_property("figures", {"tickets": number, "lost answers": lost})


@OFFICES
@sizes(200, 10_000)
async def test_a_seat_is_redeemed_or_cancelled(
    kind: str, offices: int, number: int, lend: Lend, tmp_path: Path, record_property: Callable[..., None]
) -> None:
    """The customer cancels it while a gate redeems its ticket: one of the two succeeds, and the seat says which."""
    random = chance.generator(chance.seed())
    with lend(kind, tmp_path) as url:
        async with doors(url, offices) as apps:
            sold = await sell(apps[0], number)

            async def race(booking: booking_pb2.Booking, ticket: booking_pb2.Ticket) -> bool:
                """Return whether the ticket was redeemed."""
                calls: dict[str, Awaitable[object]] = {
                    "redeem": redeem(random.choice(apps), booking.showtime_id, ticket),
                    "cancel": random.choice(apps).cancel(booking.booking_id, ticket.seat),
                }
                order = random.sample(sorted(calls), k=2)  # as a rule, the one that is sent first wins
                first, second = await asyncio.gather(*(succeeds(calls[name]) for name in order))
                assert first != second
                return dict(zip(order, (first, second), strict=True))["redeem"]

            raced = [(booking, ticket) for booking in sold for ticket in booking.tickets]
            random.shuffle(raced)
            redeemed = await limited(race(*each) for each in raced)
            expected = {ticket.ticket_id: is_in for (_, ticket), is_in in zip(raced, redeemed, strict=True)}
            for booking in sold:
                for each in await tickets_of(apps[-1], booking):
                    assert each.status == (REDEEMED if expected[each.ticket_id] else VOID)
            await assert_audit(apps[0])
            assert number / 20 < sum(redeemed) < number * 19 / 20
            record_property("figures", {"races": number, "redeemed": sum(redeemed)})


@OFFICES
@sizes(60, 2_000)
async def test_three_gates_offline(kind: str, offices: int, number: int, lend: Lend, tmp_path: Path) -> None:
    """They report in any order, some of it twice; every double entry is named with all of its gates."""
    random = chance.generator(chance.seed())
    with lend(kind, tmp_path) as url:
        async with doors(url, offices) as apps:
            sold = await sell(apps[0], number)
            codes = {ticket.ticket_id: ticket.code for booking in sold for ticket in booking.tickets}
            entries = {each: random.sample(["north", "south", "east"], random.randint(1, 3)) for each in codes}
            reports = [
                offline(codes[each], gate, NOW + timedelta(seconds=random.randrange(3_600)))
                for each, gates in entries.items()
                for gate in gates
            ]
            reports += random.sample(reports, len(reports) // 4)
            random.shuffle(reports)
            parts = [reports[start : start + 100] for start in range(0, len(reports), 100)]
            recorded = [
                each for some in await limited(record(random.choice(apps), *part) for part in parts) for each in some
            ]
            named: dict[str, list[tuple[str, set[str]]]] = {each: [] for each in codes}
            for each, outcome in zip(recorded, outcomes(recorded), strict=True):
                assert (outcome == "CONFLICT") == bool(each.others)
                if outcome != "DUPLICATE":
                    others = {other.gate for other in each.others}
                    named[each.ticket.ticket_id].append((each.redemption.gate, others))
            for ticket_id, gates in entries.items():
                # In the order in which they were recorded, each names all that came before it.
                in_order = sorted(named[ticket_id], key=lambda entry: len(entry[1]))
                assert sorted(gate for gate, _ in in_order) == sorted(gates)
                for position, (_, others) in enumerate(in_order):
                    assert others == {gate for gate, _ in in_order[:position]}
            for booking in sold:
                kept = await redemptions_of(apps[-1], booking)
                for ticket in booking.tickets:
                    assert sorted(gate for each, gate in kept if each == ticket.ticket_id) == sorted(
                        entries[ticket.ticket_id]
                    )
            await assert_audit(apps[0])


@asynccontextmanager
async def doors(url: str, offices: int) -> AsyncIterator[list[App]]:
    """Run servers at one database, with the same users at each."""
    clock = FakeClock()
    async with AsyncExitStack() as stack:
        # On a busy machine, so many calls at once arrive late.
        apps = [
            await stack.enter_async_context(
                running(url, clock, receive_seconds=600, late_requests_per_connection=0, **UNLIMITED)
            )
            for _ in range(offices)
        ]
        await apps[0].staff()
        await apps[0].customer()
        for app in apps:
            app.tokens = apps[0].tokens
        yield apps


async def sell(app: App, number: int) -> list[booking_pb2.Booking]:
    """Sell tickets to ada at the counter, in as many showtimes as are needed; the gates of all are open."""
    ada = (await app.auth.GetCurrentUser(GetCurrentUserRequest(), metadata=await app.customer())).user.user_id
    sold = []
    for first in range(0, number, LARGEST_HOUSE):
        bookings = min(LARGEST_HOUSE, number - first) // SEATS_A_BOOKING
        rows = -(-bookings // 10)
        showtime = await open_showtime(app, rows=[(letter, (10 * SEATS_A_BOOKING,)) for letter in LETTERS[:rows]])
        for booking in range(bookings):
            start = booking % 10 * SEATS_A_BOOKING
            seats = [f"{LETTERS[booking // 10]}{start + seat}" for seat in range(1, SEATS_A_BOOKING + 1)]
            sold.append(await app.sell(showtime.showtime_id, *seats, customer_user_id=ada))
    return sold


async def limited(calls: Iterable[Awaitable[A]]) -> list[A]:
    """Make calls, not too many at once."""
    under_way = asyncio.Semaphore(CALLS_UNDER_WAY)

    async def make(call: Awaitable[A]) -> A:
        async with under_way:
            return await call

    return await asyncio.gather(*map(make, calls))


async def succeeds(call: Awaitable[object]) -> bool:
    """Return whether a call succeeds; the only refusals are those of the race."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        check_reason(error, "TICKET_VOID", "TICKET_ALREADY_REDEEMED")
        return False
    return True


def check_reason(error: grpc.aio.AioRpcError, *reasons: str) -> None:
    assert read_refusal(error).reason in reasons


async def tickets_of(app: App, booking: booking_pb2.Booking) -> Sequence[booking_pb2.Ticket]:
    """Read the tickets of a booking."""
    return (await app.read(booking.booking_id)).tickets


async def redemptions_of(app: App, booking: booking_pb2.Booking) -> list[tuple[str, str]]:
    """Read who was let in with a booking's tickets: each ticket_id and gate."""
    search = box_office_service_pb2.FindBookingsRequest(booking_id=booking.booking_id)
    (found,) = (await app.box_office.FindBookings(search, metadata=await app.staff())).bookings
    return [(each.ticket_id, each.gate) for each in found.redemptions]


async def assert_audit(app: App) -> None:
    """Check that the tables are in order."""
    report = await audit(app.server.database)
    assert [each.rule for each in report.findings if each.breaches] == []
