"""The gap rule at payment: a booking may not profit from holds that its customer never pays for.

When a booking is made, the gap rule counts the customer's own bookings as taken (`SeatPlan.stranded`). A customer could
hold A1, A2 and A3 in three bookings and pay for A1 and A3 alone. So a payment judges again:

    A payment is refused if it would leave a single seat that the gap rule would have refused had the customer made only
    the bookings that are paid for, in the same order, each on the seats of others as they were when it was made.

What that needs is written down with the booking (`Booking.relied_on`): the stretches of seats around it that no other
customer had, and the customer's own seats in them. It follows that

- a booking that was made with no other booking of the same customer beside it is never refused by itself;
- a customer who pays for all of their bookings, in the order in which they were made, is never refused;
- what other customers do after a booking was made never makes its payment refused. It can only make it accepted: a seat
  counts only if it is single and free at present;
- the paid bookings of a customer are always ones that the gap rule accepts in the order in which they were made. Only
  giving back a paid booking can leave a single seat behind, since cancelling is never refused.

A payment under way may succeed or fail, so the answer has to be right for both; else the next payment waits for it.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from cinema_grpc.domain.booking import Booking, BookingStatus, Reliance
from cinema_grpc.domain.seating import SeatPlan


@dataclass(frozen=True, slots=True)
class OwnSeats:
    """The seats of a showtime as one customer has them.

    Attributes:
        user_id: The customer.
        owner: Returns the booking that has a position now, of whichever customer, or None.
    """

    user_id: str
    owner: Callable[[int], Booking | None]

    def mine(self, position: int) -> Booking | None:
        """Return the customer's booking that has a position, or None."""
        booking = self.owner(position)
        return booking if booking is not None and booking.user_id == self.user_id else None


def reliances(plan: SeatPlan, chosen: Sequence[int], seats: OwnSeats) -> tuple[Reliance, ...]:
    """Return what a new booking relies on: the stretches that it takes seats from and that hold seats of its customer.

    Args:
        plan: The seats.
        chosen: The positions that it takes, in row order; all of them free.
        seats: The seats before the booking is made.
    """

    def open_to_customer(position: int) -> bool:
        booking = seats.owner(position)
        return booking is None or booking.user_id == seats.user_id

    found: list[Reliance] = []
    stop = -1
    for position in chosen:
        if position < stop:
            continue
        start, stop = plan.run(position, open_to_customer)
        own = tuple(plan.labels[each] for each in range(start, stop) if seats.mine(each) is not None)
        if own:
            found.append(Reliance(plan.labels[start], plan.labels[stop - 1], own))
    return tuple(found)


def blocking_payment(
    plan: SeatPlan, paying: Booking, relying: Sequence[Booking], seats: OwnSeats
) -> tuple[list[int], str | None]:
    """Find what forbids a payment.

    Args:
        plan: The seats.
        paying: The booking to be paid for.
        relying: The customer's bookings that keep seats and have `relied_on`.
        seats: The seats as they are.

    Returns:
        The positions of the single seats that the payment would leave, in row order, and the identifier of another
        booking of the customer's whose payment is under way and may change that, if there is one.
    """
    judged = [each for each in relying if each is paying or (_counts(each) and _relies_on(each, paying))]
    pending = {each.booking_id for each in judged if each is not paying and each.being_paid}
    for each in judged:
        near = (seats.mine(position) for position in _own_positions(plan, each))
        pending |= {other.booking_id for other in near if other is not None and other.being_paid}
    pending -= {paying.booking_id}

    stranded: set[int] = set()
    # A seat is single because of the two beside it, so it is enough to let each pending payment succeed by itself.
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
    """Which of the customer's seats count: those that are paid for, and those of some other bookings."""

    seats: OwnSeats
    also: Collection[str]

    def __call__(self, position: int) -> bool:
        booking = self.seats.mine(position)
        return booking is not None and (booking.status is BookingStatus.CONFIRMED or booking.booking_id in self.also)


def _counts(booking: Booking) -> bool:
    return booking.status is BookingStatus.CONFIRMED or booking.being_paid


def _relies_on(booking: Booking, other: Booking) -> bool:
    return any(seat in reliance.own for reliance in booking.relied_on for seat in other.seats)


def _own_positions(plan: SeatPlan, booking: Booking) -> list[int]:
    return [position for reliance in booking.relied_on for position in plan.positions(reliance.own)]


def _stranded(plan: SeatPlan, booking: Booking, kept: _Kept) -> list[int]:
    """Judge a booking as when it was made, with no other own seats than those kept."""
    found: list[int] = []
    for reliance in booking.relied_on:
        first, last = plan.positions([reliance.first, reliance.last])
        taken = {position for position in plan.positions(reliance.own) if kept(position)}
        chosen = [position for position in plan.positions(booking.seats) if first <= position <= last]

        def is_free(position: int, stretch: range = range(first, last + 1), taken: set[int] = taken) -> bool:
            return position in stretch and position not in taken

        found += plan.stranded(chosen, is_free)
    return found


def _is_single(plan: SeatPlan, position: int, seats: OwnSeats, kept: _Kept) -> bool:
    """Tell whether a seat is free, or on hold for the customer, and has no such seat beside it."""

    def is_others(each: int) -> bool:
        return seats.owner(each) is not None and seats.mine(each) is None

    def is_taken(each: int) -> bool:
        booking = seats.mine(each)
        return is_others(each) or kept(each) or (booking is not None and booking.being_paid)

    return not (is_others(position) or kept(position)) and all(map(is_taken, plan.neighbours(position)))
