"""What the commits of this process did to bookings, for metrics."""

from collections import Counter
from collections.abc import Sequence

from cinema_grpc.application.box_office.store import ShowtimeUpdate
from cinema_grpc.domain.booking import BookingStatus
from cinema_grpc.domain.events import EventType, events_of
from cinema_grpc.domain.payment import AttemptStatus
from cinema_grpc.domain.showtime import Change


class SalesCounts:
    """Counts of events and of payments.

    Attributes:
        events: Events by type, as the event feed has them.
        seats: Seats of these events, by type.
        payments: How often a payment attempt got a status.
    """

    def __init__(self) -> None:
        self.events: Counter[EventType] = Counter()
        self.seats: Counter[EventType] = Counter()
        self.payments: Counter[AttemptStatus] = Counter()

    def note_commit(self, updates: Sequence[ShowtimeUpdate]) -> None:
        """Count what a commit did."""
        for update in updates:
            others = []
            for change in update.changes:
                if change.before is None and change.after.status is BookingStatus.RESERVED:  # most are new holds
                    self.events[EventType.SEATS_HELD] += 1
                    self.seats[EventType.SEATS_HELD] += len(change.after.seats)
                else:
                    others.append(change)
            if others or update.terms is not None:
                self._note(others, update)

    def _note(self, changes: Sequence[Change], update: ShowtimeUpdate) -> None:
        for event in events_of(changes, update.terms):
            self.events[event.type] += 1
            self.seats[event.type] += len(event.seats)
        for change in changes:
            payment = change.after.payment
            before = None if change.before is None else change.before.payment
            if payment is not None and (before is None or before.status is not payment.status):
                self.payments[payment.status] += 1
