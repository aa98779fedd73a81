"""Selling seats at the counter."""

from collections.abc import Callable, Sequence
from datetime import datetime

from cinema_grpc.domain.booking import BookedSeat, Booking, BookingStatus
from cinema_grpc.domain.booking_errors import (
    HouseSeatsUnavailable,
    SeatsUnavailable,
)
from cinema_grpc.domain.claims import Owner, Selection, priced_seats
from cinema_grpc.domain.gap_rule import CustomerView
from cinema_grpc.domain.sale import Sale, Tender
from cinema_grpc.domain.showtime import Showtime
from cinema_grpc.domain.terms import Terms
from cinema_grpc.domain.ticket import Ticket

IssueTickets = Callable[[Terms, Sequence[BookedSeat]], tuple[Ticket, ...]]
"""Returns a new ticket for each seat of a booking; for the same seats the same, if a change is applied again."""
MAX_SEATS_A_SALE = 100
"""How many seats one sale at the counter has at most."""


def sell(
    showtime: Showtime,
    booking_id: str,
    user_id: str,
    selection: Selection,
    sale: Sale,
    issue: IssueTickets,
    now: datetime,
    *,
    allow_gap: bool = False,
    use_house_seats: bool = False,
) -> Booking:
    """Sell seats at the counter: the booking is CONFIRMED at once.

    Args:
        showtime: The showtime, which is changed.
        booking_id: The new booking's.
        user_id: Whose booking it is.
        selection: The seats.
        sale: How it is paid for, and by whom it is sold. COMPLIMENTARY seats cost nothing.
        issue: Returns a ticket for each seat.
        now: The present moment.
        allow_gap: Whether it may strand single seats.
        use_house_seats: Whether seats of HOUSE blocks count as free.

    Raises:
        ShowtimeCancelled, ShowtimeEnded.
        InvalidRequest, SeatNotFound, TicketTypeNotOffered, SeatsUnavailable, AccessibleOnly: See claims.priced_seats.
        HouseSeatsUnavailable: Instead of SeatsUnavailable, if `use_house_seats` would free some of the seats.
        SingleSeatGap: It would strand single seats.
    """
    showtime.terms.check_running(now)
    owner = showtime.owner_at(now, house_is_free=use_house_seats)
    free = sale.tender is Tender.COMPLIMENTARY
    try:
        positions, seats = priced_seats(showtime.terms, selection, MAX_SEATS_A_SALE, owner, free=free)
    except SeatsUnavailable as refusal:
        _check_house_seats(showtime, refusal.seats, now)
        raise
    if not allow_gap:
        _check_gaps(showtime, positions, CustomerView(user_id, owner), now)
    showtime.vacate(positions)
    return showtime.put(
        Booking(
            booking_id=booking_id,
            user_id=user_id,
            showtime_id=showtime.terms.showtime_id,
            seats=seats,
            status=BookingStatus.CONFIRMED,
            create_time=now,
            hold_expire_time=now,
            hold_extended=True,
            confirm_time=now,
            tickets=issue(showtime.terms, seats),
            wheelchair=selection.wheelchair,
            sale=sale,
        )
    )


def _check_gaps(showtime: Showtime, positions: Sequence[int], seats: CustomerView, now: datetime) -> None:
    """Check that a sale strands no single seat, whichever of its customer's holds are paid for in the end.

    The sale is paid for at once, and is not judged again. Only the two neighbours of a seat matter, so it is enough to
    judge it without the holds, and with each of them.

    Raises:
        SingleSeatGap.
    """
    holds = [each.booking_id for each in showtime.unpaid_holds.of(seats.user_id) if not each.lapsed(now)]
    for paid in ("", *holds):
        showtime.check_gaps(positions, _with_hold(seats, paid))


def _with_hold(seats: CustomerView, paid: str) -> CustomerView:
    """Return a view in which the seats of a customer's holds are free, but for one hold."""

    def owner(position: int) -> Owner | None:
        booking = seats.mine(position)
        is_free = booking is not None and booking.status is BookingStatus.RESERVED and booking.booking_id != paid
        return None if is_free else seats.owner(position)

    return CustomerView(seats.user_id, owner)


def _check_house_seats(showtime: Showtime, unavailable: Sequence[str], now: datetime) -> None:
    """Check that none of the unavailable seats is kept by a HOUSE block alone: `use_house_seats` would free it.

    Raises:
        HouseSeatsUnavailable: Some are.
    """
    owner = showtime.owner_at(now, house_is_free=True)
    positions = showtime.terms.seat_plan.positions(unavailable)
    if house := [seat for seat, position in zip(unavailable, positions, strict=True) if owner(position) is None]:
        raise HouseSeatsUnavailable(unavailable, house) from None
