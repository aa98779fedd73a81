"""Commands on a showtime, with defaults: Ada holds, pays and cancels at NOW."""

from collections.abc import Sequence
from datetime import timedelta

from cinema_grpc.domain import charging, holds
from cinema_grpc.domain.booking import BookedSeat, Booking
from cinema_grpc.domain.claims import Selection
from cinema_grpc.domain.payment import AttemptStatus, RefundStatus
from cinema_grpc.domain.showtime import SeatStatus, Showtime
from cinema_grpc.domain.terms import SeatBlock, SeatBlockKind, Terms
from cinema_grpc.domain.ticket import Ticket
from tests.builders import NOW

TEN_MINUTES = timedelta(minutes=10)
MICROSECOND = timedelta(microseconds=1)
NO_TIME = timedelta()
START = NOW + timedelta(days=2)
"""The start of `a_showtime`."""


def hold(
    showtime: Showtime,
    *seats: str,
    by: str = "ada",
    name: str = "b1",
    after: timedelta = NO_TIME,
    ticket_types: Sequence[str] = (),
    wheelchair: bool = False,
) -> Booking:
    selection = Selection(seats, ticket_types, wheelchair)
    return holds.hold(showtime, name, by, selection, TEN_MINUTES, NOW + after)


def settle_charge(
    showtime: Showtime,
    name: str,
    attempt: str,
    refund: str = "refund",
    after: timedelta = NO_TIME,
    expected: AttemptStatus = AttemptStatus.OPEN,
) -> Booking:
    """Settle a charge that succeeded; each seat gets a ticket if it is in time."""
    tickets = tickets_for(*showtime.booking(name).labels)
    settle, now = charging.with_charge_settled, NOW + after
    return showtime.update(name, settle, attempt, tickets, refund, showtime.terms, now, expected=expected)


def settle_decline(showtime: Showtime, name: str, attempt: str) -> Booking:
    return showtime.update(name, charging.with_decline_settled, attempt)


def begin_void(showtime: Showtime, name: str, attempt: str) -> Booking:
    return showtime.update(name, charging.with_void_begun, attempt)


def settle_void(showtime: Showtime, name: str, attempt: str, *, taken: bool, after: timedelta = NO_TIME) -> Booking:
    """Settle an attempt that was called off; `taken` if its charge succeeded before it could be voided."""
    if not taken:
        return showtime.update(name, charging.with_void_settled, attempt)
    return settle_charge(showtime, name, attempt, "refund", after, expected=AttemptStatus.VOIDING)


def settle_refund(showtime: Showtime, name: str, refund: str, status: RefundStatus) -> Booking:
    return showtime.update(name, charging.with_refund_settled, refund, status)


def pay(showtime: Showtime, name: str = "b1", by: str = "ada", after: timedelta = NO_TIME) -> Booking:
    showtime.open_payment(name, by, f"attempt of {name}", NOW + after)
    return settle_charge(showtime, name, f"attempt of {name}", f"refund of {name}", after)


def sold(showtime: Showtime, *seats: str, by: str = "ada", name: str = "b1") -> Booking:
    """Hold seats and pay for them."""
    hold(showtime, *seats, by=by, name=name)
    return pay(showtime, name, by)


def cancel(showtime: Showtime, *seats: str, name: str = "b1", after: timedelta = NO_TIME) -> Booking:
    """Cancel some seats of a booking of Ada's, or all if none are named."""
    number = len(showtime.booking(name).refunds) + 1
    return showtime.cancel(name, "ada", f"refund {number}", NOW + after, seats)


def state(showtime: Showtime, seat: str, after: timedelta = NO_TIME) -> SeatStatus:
    (position,) = showtime.terms.seat_plan.positions([seat])
    return showtime.seats(NOW + after)[position]


def tickets_for(*seats: str) -> list[Ticket]:
    return [Ticket(f"t-{seat}", seat, f"code of {seat}") for seat in seats]


def issue(_terms: Terms, seats: Sequence[BookedSeat]) -> tuple[Ticket, ...]:
    """Issue the tickets of a counter sale."""
    return tuple(tickets_for(*(seat.label for seat in seats)))


def a_block(
    *seats: str,
    kind: SeatBlockKind = SeatBlockKind.OUT_OF_ORDER,
    release_after: timedelta | None = None,
    block_id: str = "a-block",
) -> SeatBlock:
    """Return a block that is made at NOW."""
    release_time = None if release_after is None else NOW + release_after
    return SeatBlock(block_id, kind, seats, "broken", release_time, NOW, "staff")
