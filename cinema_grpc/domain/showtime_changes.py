"""What staff change about a showtime: cancel it, move it, change its prices, block seats."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cinema_grpc.domain.booking import Booking, BookingStatus
from cinema_grpc.domain.booking_errors import SeatsUnavailable
from cinema_grpc.domain.cancellation import cancel_with_showtime
from cinema_grpc.domain.catalog import check_overlap, start_time_violations
from cinema_grpc.domain.door import door_tickets
from cinema_grpc.domain.errors import FieldViolation, InvalidRequest, rfc3339
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.pricing import PriceList
from cinema_grpc.domain.showtime import Showtime
from cinema_grpc.domain.terms import Move, SeatBlock, SeatGapPolicy, ShowtimeStatus, Slot, without_seats
from cinema_grpc.domain.ticket import TicketStatus


@dataclass(frozen=True, slots=True)
class Impact:
    """What a change of a showtime affects; `refund_total` is the sum of the refunds that it makes."""

    confirmed_bookings: int
    reserved_bookings: int
    payments_in_progress: int
    seats: int
    redeemed_tickets: int
    refund_total: Money


def cancel_showtime(showtime: Showtime, reason: str, new_id: Callable[[], str], now: datetime) -> Impact:
    """Cancel a showtime and its bookings; all that was paid and not refunded yet is owed back.

    Args:
        showtime: The showtime, which is changed.
        reason: Why, for customers.
        new_id: Makes the identifiers of refunds.
        now: The present moment.

    Raises:
        ShowtimeCancelled, ShowtimeEnded.
    """
    showtime.terms.check_running(now)
    impact, refunded = _impact(showtime, now), 0
    for booking in showtime.bookings():
        if booking.lapsed(now):
            showtime.put(booking.to(BookingStatus.EXPIRED))
            continue
        cancelled = cancel_with_showtime(booking, reason, new_id(), now)
        if booking.status is BookingStatus.CONFIRMED:
            refunded += cancelled.refunds[-1].amount.minor_units
        showtime.put(cancelled)
    showtime.replace_terms(
        replace(
            showtime.terms,
            status=ShowtimeStatus.CANCELLED,
            cancel_time=now,
            cancel_reason=reason,
            blocks=(),
        )
    )
    return replace(impact, refund_total=Money(impact.refund_total.currency_code, refunded))


@dataclass(frozen=True, slots=True)
class ShowtimeChanges:
    """Changes of a showtime; None leaves a term as it is."""

    start_time: datetime | None = None
    prices: PriceList | None = None
    seat_gap_policy: SeatGapPolicy | None = None


def update_showtime(
    showtime: Showtime, changes: ShowtimeChanges, neighbours: Sequence[Slot], hold_for: timedelta, now: datetime
) -> Impact:
    """Change a showtime's start, prices or gap policy. Bookings keep their seats and prices.

    Args:
        showtime: The showtime, which is changed.
        changes: What to change.
        neighbours: Other showtimes of the auditorium around the new start, which are not CANCELLED.
        hold_for: How long a hold lasts. One that ended at the old start ends later if the start does.
        now: The present moment.

    Raises:
        ShowtimeCancelled, ShowtimeEnded.
        InvalidRequest: The start is not in the future or too far ahead, the prices are in another currency, or a
            category of the auditorium has no price.
        ShowtimeOverlap: The auditorium is not free then.
    """
    terms = showtime.terms
    terms.check_running(now)
    violations = []
    if changes.start_time is not None:
        violations += start_time_violations(changes.start_time, now)
    if changes.prices is not None and changes.prices.currency_code != terms.prices.currency_code:
        problem = f"must be {terms.prices.currency_code}, the currency of the showtime"
        violations.append(FieldViolation("prices[0].price.currency_code", problem))
    if violations:
        raise InvalidRequest(*violations)
    impact = _impact(showtime, now)
    if changes.prices is not None:
        terms = replace(terms, prices=PriceList(changes.prices.lines, terms.seat_plan.categories))
    if changes.seat_gap_policy is not None:
        terms = replace(terms, seat_gap_policy=changes.seat_gap_policy)
    start_time = changes.start_time
    if start_time is not None and start_time != terms.start_time:
        end_time = start_time + (terms.end_time - terms.start_time)
        for showtime_id, other_start, other_end in neighbours:
            check_overlap(start_time, end_time, showtime_id, other_start, other_end)
        moves = (*terms.moves, Move(now, terms.start_time))
        moved = replace(terms, start_time=start_time, end_time=end_time, moves=moves)
        for booking in showtime.bookings():
            if booking.status is BookingStatus.RESERVED and not booking.lapsed(now):
                showtime.put(_with_start_moved(booking, terms.start_time, start_time, hold_for))
        terms = moved
    if terms != showtime.terms:
        showtime.replace_terms(terms)
    return impact


def block_violations(seats: Sequence[str], release: Sequence[str]) -> list[FieldViolation]:
    """Return what is wrong with seats to block and seats to release: none may be in both lists.

    The labels may be malformed.
    """
    both = sorted(set(seats) & set(release), key=lambda label: (len(label), label))
    return [FieldViolation("release", "must not name seats to block: " + ", ".join(both))] if both else []


def set_seat_blocks(
    showtime: Showtime, block: SeatBlock | None, release: Sequence[str], now: datetime
) -> tuple[SeatBlock, ...]:
    """Block seats and release blocked ones, all or none; return the blocks that stand then.

    Args:
        showtime: The showtime, which is changed.
        block: The new block; None for none. Seats that were blocked before leave their block.
        release: Labels of seats to release.
        now: The present moment.

    Raises:
        ShowtimeCancelled, ShowtimeEnded.
        InvalidRequest: A seat is in both lists, or release_time is past or after the start.
        SeatNotFound, SeatsUnavailable: Each names all of the seats.
    """
    terms = showtime.terms
    terms.check_running(now)
    seats = () if block is None else block.seats
    if violations := block_violations(seats, release):
        raise InvalidRequest(*violations)
    if block is not None and block.release_time is not None and not now < block.release_time <= terms.start_time:
        problem = f"must be after {rfc3339(now)}, which is now, and not after the start, {rfc3339(terms.start_time)}"
        raise InvalidRequest(FieldViolation("block.release_time", problem))
    plan = terms.seat_plan
    plan.positions([*seats, *release])
    positions, owner = plan.positions(seats), showtime.owner_at(now)
    taken = [plan.labels[position] for position in positions if isinstance(owner(position), Booking)]
    if taken:
        raise SeatsUnavailable(taken)
    showtime.vacate(positions)
    blocks = without_seats((each for each in showtime.terms.blocks if not each.lapsed(now)), {*seats, *release})
    if block is not None:
        labels = tuple(plan.labels[position] for position in positions)
        blocks = (*blocks, replace(block, seats=labels))
    if blocks != showtime.terms.blocks:
        showtime.replace_terms(replace(showtime.terms, blocks=blocks))
    return blocks


def _impact(showtime: Showtime, now: datetime) -> Impact:
    bookings = [booking for booking in showtime.bookings() if not booking.lapsed(now)]
    confirmed = sum(booking.status is BookingStatus.CONFIRMED for booking in bookings)
    return Impact(
        confirmed_bookings=confirmed,
        reserved_bookings=len(bookings) - confirmed,
        payments_in_progress=sum(booking.being_paid for booking in bookings),
        seats=sum(len(booking.labels) for booking in bookings),
        redeemed_tickets=sum(
            shown.status is TicketStatus.REDEEMED
            for booking in bookings
            if booking.redemptions
            for shown in door_tickets(booking)
        ),
        refund_total=Money(showtime.terms.prices.currency_code, 0),
    )


def _with_start_moved(booking: Booking, before: datetime, after: datetime, hold_for: timedelta) -> Booking:
    """Return a hold that ends by the new start, or that the old one no longer cuts short.

    While a charge is under way it may end later than the start.
    """
    end = booking.hold_expire_time
    if end == before:
        # An extended hold can end at the old start later than `hold_for` after it was made.
        end = max(end, min(booking.create_time + hold_for, after))
    if not booking.being_paid:
        end = min(end, after)
    return booking if end == booking.hold_expire_time else replace(booking, hold_expire_time=end)
