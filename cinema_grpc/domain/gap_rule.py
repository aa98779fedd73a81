"""The gap rule, at booking (`check_hold`) and again at payment (`check_payment`).

A booking must not depend on holds that its customer never pays for. At booking, the rule counts the customer's own
bookings as taken (`SeatPlan.stranded`). So a customer could hold A1, A2 and A3 in three bookings and pay only for A1
and A3. Therefore a payment applies the rule again:

    Suppose that the customer had made only the paid bookings, in the same order, each beside the seats that other
    customers had at that time. A payment is refused if it leaves a single seat that the rule would have refused then.

`Booking.relied_on` records what this needs: the stretches of seats around the booking without other customers' seats,
and the customer's own seats in them. It follows that:

- A booking made without another booking of the same customer beside it is never refused because of itself.
- A customer who pays for all bookings, in the order of their creation, is never refused, unless one of them has given
  up a seat beside another.
- What other customers do after a booking never causes a refusal. It can only prevent one: a seat counts only if it is
  single and free now.
- In the order of their creation, the gap rule accepts the paid bookings of a customer, or names only seats that another
  of them has. Only cancelling can leave a single seat, a paid booking or some seats of a hold, since cancelling is
  never refused.

A pending payment may succeed or fail. If the result depends on that, the next payment waits for it.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cinema_grpc.domain.booking import SEAT_KEEPING, Booking, BookingStatus, Reliance
from cinema_grpc.domain.booking_errors import GapLeftByPayment, PaymentInProgress, SingleSeatGap
from cinema_grpc.domain.claims import Owner
from cinema_grpc.domain.seating import SeatPlan


@dataclass(frozen=True, slots=True)
class CustomerView:
    """Who has each seat of a showtime, and which seats are one customer's own.

    Attributes:
        user_id: The customer.
        owner: Returns what has a position now, a booking of any customer or a block, or None.
    """

    user_id: str
    owner: Callable[[int], Owner | None]

    def mine(self, position: int) -> Booking | None:
        """Return the customer's booking that keeps a position, or None."""
        owner = self.owner(position)
        return owner if isinstance(owner, Booking) and owner.user_id == self.user_id else None


def check_hold(plan: SeatPlan, chosen: Sequence[int], seats: CustomerView) -> tuple[Reliance, ...]:
    """Check a new booking, and return what it relies on.

    Args:
        plan: The seats.
        chosen: The positions that it takes, in row order; all of them free.
        seats: The seats before the booking is made.

    Raises:
        SingleSeatGap: It would strand single seats; it names all of them.
    """
    neighbours: list[Owner] = []

    def is_free(position: int) -> bool:
        owner = seats.owner(position)
        if owner is None:
            return True
        neighbours.append(owner)
        return False

    stranded = plan.stranded(chosen, is_free)
    if stranded:
        raise SingleSeatGap([plan.labels[each] for each in stranded])
    own = any(isinstance(each, Booking) and each.user_id == seats.user_id for each in neighbours)
    return _reliances(plan, chosen, seats) if own else ()


def check_payment(
    plan: SeatPlan, paying: Booking, bookings: Iterable[Booking], seats: CustomerView, now: datetime
) -> None:
    """Judge a booking again that is to be paid for.

    Args:
        plan: The seats.
        paying: The booking to be paid for.
        bookings: All bookings that keep seats.
        seats: The seats as they are.
        now: The present moment.

    Raises:
        GapLeftByPayment: It would leave a single seat beside a booking that is not paid for.
        PaymentInProgress: It depends on another booking of the customer whose payment is under way.
    """
    relying = [
        each
        for each in bookings
        if each.relied_on and each.user_id == seats.user_id and each.as_of(now).status in SEAT_KEEPING
    ]
    stranded, awaited = _blocking_payment(plan, paying, relying, seats) if relying else ([], None)
    if stranded and awaited is not None:
        raise PaymentInProgress(awaited)
    if stranded:
        raise GapLeftByPayment(paying.booking_id, [plan.labels[each] for each in stranded])


def _reliances(plan: SeatPlan, chosen: Sequence[int], seats: CustomerView) -> tuple[Reliance, ...]:
    """Return the stretches that a new booking takes seats from and that hold seats of its customer."""

    def open_to_customer(position: int) -> bool:
        return seats.owner(position) is None or seats.mine(position) is not None

    found: list[Reliance] = []
    stop = -1
    for position in chosen:
        if position < stop or position in plan.space_of:
            continue
        start, stop = plan.run(position, open_to_customer)
        own = tuple(plan.labels[each] for each in range(start, stop) if seats.mine(each) is not None)
        if own:
            found.append(Reliance(plan.labels[start], plan.labels[stop - 1], own))
    return tuple(found)


def _blocking_payment(
    plan: SeatPlan, paying: Booking, relying: Sequence[Booking], seats: CustomerView
) -> tuple[list[int], str | None]:
    """Return the positions of the single seats that a payment would leave, in row order.

    With them the identifier of another booking of the customer whose payment is under way and may change that, or None.
    `relying` are the customer's bookings that keep seats and have `relied_on`.
    """
    judged = [each for each in relying if each is paying or (_counts(each) and _relies_on(each, paying))]
    pending = {each.booking_id for each in judged if each is not paying and each.being_paid}
    for each in judged:
        near = (seats.mine(position) for position in _own_positions(plan, each))
        pending |= {other.booking_id for other in near if other is not None and other.being_paid}
    pending -= {paying.booking_id}

    stranded: set[int] = set()
    # Only the two neighbours of a seat matter, so it is enough to let one pending payment succeed at a time.
    for succeeded in ((), *((each,) for each in sorted(pending))):
        kept = _Kept(seats, {paying.booking_id, *succeeded})
        without = _Kept(seats, set(succeeded))
        after = {each for booking in judged for each in _stranded(plan, booking, kept)}
        stranded |= after - {
            each for booking in judged if booking is not paying for each in _stranded(plan, booking, without)
        }
    present = _Kept(seats, {paying.booking_id})
    blocked = sorted(position for position in stranded if _is_single(plan, position, seats, present))
    return blocked, min(pending, default=None)


@dataclass(frozen=True, slots=True)
class _Kept:
    """Returns whether a seat of the customer counts: it is paid for, or belongs to one of the bookings `also`."""

    seats: CustomerView
    also: Collection[str]

    def __call__(self, position: int) -> bool:
        booking = self.seats.mine(position)
        return booking is not None and (booking.status is BookingStatus.CONFIRMED or booking.booking_id in self.also)


def _counts(booking: Booking) -> bool:
    return booking.status is BookingStatus.CONFIRMED or booking.being_paid


def _relies_on(booking: Booking, other: Booking) -> bool:
    return any(seat in reliance.own for reliance in booking.relied_on for seat in other.labels)


def _own_positions(plan: SeatPlan, booking: Booking) -> list[int]:
    return [position for reliance in booking.relied_on for position in plan.positions(reliance.own)]


def _stranded(plan: SeatPlan, booking: Booking, kept: _Kept) -> list[int]:
    """Apply the gap rule to a booking as it was made, with only the `kept` seats of its customer.

    Single seats that it would leave with all seats of the customer do not count: they are due to later cancellations.
    """
    found: list[int] = []
    for reliance in booking.relied_on:
        first, last = plan.positions([reliance.first, reliance.last])
        stretch, own = range(first, last + 1), plan.positions(reliance.own)
        chosen = [position for position in plan.positions(booking.labels) if position in stretch]
        cancelled = _stranded_in(plan, chosen, stretch, own)
        beside = _stranded_in(plan, chosen, stretch, [position for position in own if kept(position)])
        found += [position for position in beside if position not in cancelled]
    return found


def _stranded_in(plan: SeatPlan, chosen: Sequence[int], stretch: range, taken: Collection[int]) -> list[int]:
    """Return what taking positions in a stretch would strand, in which only the `taken` ones are not free."""
    return plan.stranded(chosen, lambda position: position in stretch and position not in taken)


def _is_single(plan: SeatPlan, position: int, seats: CustomerView, kept: _Kept) -> bool:
    """Return whether a seat is free or held by the customer, and none beside it is."""

    def is_others(each: int) -> bool:
        return seats.owner(each) is not None and seats.mine(each) is None

    def is_taken(each: int) -> bool:
        booking = seats.mine(each)
        return is_others(each) or kept(each) or (booking is not None and booking.being_paid)

    return not (is_others(position) or kept(position)) and all(map(is_taken, plan.neighbours(position)))
