"""The scenarios, by name, in the order in which they run."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.bench import Bench
from benchmarks.databases import KEEPERS
from benchmarks.figures import Result
from benchmarks.scenarios import (
    big,
    cancel_showtime,
    changes,
    create_booking,
    event_feed,
    go,
    logins,
    memory,
    mixed,
    on_sale,
    once,
    overload,
    reads,
    redeem,
    replicas,
    suggest,
    sweep,
    watch_seats,
)


@dataclass(frozen=True, slots=True)
class Scenario:
    """Something to measure.

    Attributes:
        quick: Whether a quick run does it too.
        databases: Which kinds of databases it is for.
        tools: Programs that it needs besides, which not every machine has.
    """

    title: str
    run: Callable[[Bench], Result]
    quick: bool = True
    databases: Sequence[str] = tuple(KEEPERS)
    tools: Sequence[str] = ()

    def missing_tools(self) -> list[str]:
        """List the programs that it needs and this machine does not have."""
        return [tool for tool in self.tools if not shutil.which(tool)]


SCENARIOS = {
    "create-booking": Scenario("CreateBooking of 2 seats, 400 showtimes", create_booking.run),
    "on-sale": Scenario("On-sale of one showtime", on_sale.run),
    "watch-seats": Scenario("On-sale of one showtime that 1,000 watch", watch_seats.run),
    "changes": Scenario("CancelBooking and ConfirmPayment", changes.run),
    "cancel-showtime": Scenario("CancelShowtime of 2,000 sold seats", cancel_showtime.run, databases=("sqlite",)),
    "redeem-ticket": Scenario("RedeemTicket, 20 showtimes at their gates", redeem.run),
    "event-feed": Scenario("The event feed at half the top rate, and read from the beginning", event_feed.run),
    "once": Scenario("CreateBooking with and without a request_id", once.run, quick=False),
    "get-showtime": Scenario("GetShowtime of 300 seats while bookings run", reads.get_showtime),
    "list-showtimes": Scenario("ListShowtimes, a page of 50 of 10,000", reads.list_showtimes),
    "suggest-seats": Scenario("SuggestSeats of 2,000 seats, and booking the best", suggest.run),
    "mixed": Scenario("A mix of reads and writes at half the top rate", mixed.run),
    "sweep": Scenario("Lapsed holds swept while selling", sweep.run, quick=False),
    "big-database": Scenario("2,000,000 bookings in the database", big.run, quick=False),
    "logins": Scenario("Logins beside GetShowtime", logins.run),
    "memory": Scenario("Memory over 200,000 bookings", memory.run, quick=False),
    "overload": Scenario("Offered more than the top rate", overload.run),
    "replicas": Scenario("Two replicas against one", replicas.run, databases=("postgresql",)),
    "go": Scenario(
        "CreateBooking, against the textbook in Go", go.run, quick=False, databases=("postgresql",), tools=("go",)
    ),
}
