"""Holding seats for a customer, and changing a hold."""

from dataclasses import replace
from datetime import datetime, timedelta

from cinema_grpc.domain.booking import MAX_SEATS_A_BOOKING, Booking, BookingStatus
from cinema_grpc.domain.booking_errors import HoldExtensionLimit, SalesClosed, ShowtimeCancelled
from cinema_grpc.domain.claims import BestSeats, Owner, Selection, priced_seats
from cinema_grpc.domain.gap_rule import CustomerView
from cinema_grpc.domain.showtime import Showtime
from cinema_grpc.domain.suggestions import pick
from cinema_grpc.domain.terms import ShowtimeStatus, Terms
from cinema_grpc.domain.unpaid_holds import HoldLimits

NO_LIMITS = HoldLimits()


def hold(
    showtime: Showtime,
    booking_id: str,
    user_id: str,
    selection: Selection | BestSeats,
    hold_for: timedelta,
    now: datetime,
    limits: HoldLimits = NO_LIMITS,
    held_elsewhere: int = 0,
) -> Booking:
    """Hold all of the seats for a customer for `hold_for`, or until the showtime starts if that is sooner.

    A lapsed hold that keeps one of the seats becomes EXPIRED and loses all of its seats. `held_elsewhere` is the number
    of seats that the customer has on hold in other showtimes.

    Raises:
        ShowtimeCancelled; SalesClosed: The showtime has started.
        InvalidRequest, SeatNotFound, TicketTypeNotOffered, SeatsUnavailable, AccessibleOnly: See claims.priced_seats.
        NoCategoryOffers, NoSeatsTogether: See suggestions.pick; for BestSeats, in place of the line above.
        HoldLimit: The customer would have more than 10 seats on hold here, or too many over all showtimes.
        TooManyUnpaidHolds: The customer has to wait, after too many holds here that ended unpaid.
        SingleSeatGap: It would strand single seats; it names all of them.
    """
    terms = showtime.terms
    if terms.status is ShowtimeStatus.CANCELLED:
        raise ShowtimeCancelled(terms.showtime_id)
    if now >= terms.start_time:
        raise SalesClosed(terms.showtime_id, terms.start_time)
    owner = showtime.owner_at(now)
    if isinstance(selection, BestSeats):
        selection = pick(terms, lambda position: owner(position) is None, selection)
    positions, seats = priced_seats(terms, selection, MAX_SEATS_A_BOOKING, owner)
    showtime.unpaid_holds.check(user_id, len(seats), held_elsewhere, limits, now)
    relied_on = showtime.check_gaps(positions, CustomerView(user_id, owner))
    showtime.vacate(positions)
    return showtime.put(
        Booking(
            booking_id=booking_id,
            user_id=user_id,
            showtime_id=terms.showtime_id,
            seats=seats,
            status=BookingStatus.RESERVED,
            create_time=now,
            hold_expire_time=min(now + hold_for, terms.start_time),
            relied_on=relied_on,
            wheelchair=selection.wheelchair,
        )
    )


def change_seats(
    showtime: Showtime,
    booking_id: str,
    user_id: str,
    selection: Selection,
    now: datetime,
    limits: HoldLimits = NO_LIMITS,
    held_elsewhere: int = 0,
) -> Booking:
    """Replace the seats of a RESERVED booking, all or none, judged with its own seats as free.

    A seat that stays with its ticket type keeps its price, see claims.priced_seats. `selection.wheelchair` does not
    matter: the booking stays as it was made. `held_elsewhere` is as for `hold`.

    Raises:
        BookingNotFound, NotBookingOwner.
        ShowtimeCancelled, HoldExpired, BookingNotReserved, PaymentInProgress, SalesClosed: See Booking.check_payable.
        InvalidRequest, SeatNotFound, TicketTypeNotOffered, SeatsUnavailable, AccessibleOnly: See claims.priced_seats.
        HoldLimit, SingleSeatGap: As for `hold`.
    """
    booking = showtime.booking(booking_id, user_id)
    booking.check_payable(showtime.terms, now)
    owned = showtime.owner_at(now)

    def owner(position: int) -> Owner | None:
        found = owned(position)
        return None if found is booking else found

    selection = replace(selection, wheelchair=booking.wheelchair)
    positions, seats = priced_seats(showtime.terms, selection, MAX_SEATS_A_BOOKING, owner, claimed=booking.seats)
    more = len(seats) - len(booking.seats)
    if more > 0:
        showtime.unpaid_holds.check(user_id, more, held_elsewhere, replace(limits, unpaid_holds=0), now)
    relied_on = booking.relied_on
    if {seat.label for seat in seats} != set(booking.labels):
        relied_on = showtime.check_gaps(positions, CustomerView(user_id, owner))
    showtime.vacate(positions, keep=booking)
    changed = replace(booking, seats=seats, relied_on=relied_on)
    # Else it would be written, and previews that others have seen would be of an old revision.
    return booking if changed == booking else showtime.put(changed)


def renewed(booking: Booking, terms: Terms, hold_for: timedelta, now: datetime) -> Booking:
    """Return a RESERVED booking with its hold extended, once.

    It then ends `hold_for` from now, at most twice that after the booking was made, and never past the start. An
    extension that would not move the end does not count.

    Raises:
        ShowtimeCancelled, HoldExpired, BookingNotReserved, PaymentInProgress, SalesClosed: See Booking.check_payable.
        HoldExtensionLimit: It was extended before.
    """
    booking.check_payable(terms, now)
    if booking.hold_renewed:
        raise HoldExtensionLimit(booking.booking_id, booking.hold_expire_time)
    end = min(now + hold_for, booking.create_time + 2 * hold_for, terms.start_time)
    if end <= booking.hold_expire_time:
        return booking
    return replace(booking, hold_expire_time=end, hold_renewed=True)
