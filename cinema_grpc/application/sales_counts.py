"""What the commits of this process did to bookings, for metrics."""

from collections import Counter
from collections.abc import Sequence

from cinema_grpc.application.box_office.store import ShowtimeUpdate
from cinema_grpc.domain.events import EventType
from cinema_grpc.domain.payment import AttemptStatus, PaymentAttempt


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
            for event in update.events:
                self.events[event.type] += 1
                self.seats[event.type] += len(event.seats)
            for change in update.changes:
                self._note_payment(None if change.before is None else change.before.payment, change.after.payment)

    def _note_payment(self, before: PaymentAttempt | None, after: PaymentAttempt | None) -> None:
        if after is None:
            return
        if before is None or before.attempt_id != after.attempt_id:
            if before is not None and before.unsettled:
                self.payments[before.end_before_another] += 1
            self.payments[after.status] += 1
        elif before.status is not after.status:
            self.payments[after.status] += 1
