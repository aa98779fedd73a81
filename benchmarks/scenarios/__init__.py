"""The scenarios, by name, in the order in which they run."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.bench import Bench
from benchmarks.figures import Result
from benchmarks.scenarios import changes, create_booking, reads


@dataclass(frozen=True, slots=True)
class Scenario:
    """Something to measure.

    Attributes:
        quick: Whether a quick run does it too.
    """

    title: str
    run: Callable[[Bench], Result]
    quick: bool = True


SCENARIOS = {
    "create-booking": Scenario("CreateBooking of 2 seats, 400 showtimes", create_booking.run),
    "changes": Scenario("CancelBooking and ConfirmPayment", changes.run),
    "get-showtime": Scenario("GetShowtime of 300 seats while bookings run", reads.get_showtime),
    "list-showtimes": Scenario("ListShowtimes, a page of 50 of 10,000", reads.list_showtimes),
}
