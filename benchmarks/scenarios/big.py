"""Booking, and listing one's bookings, in a database with two million of them."""

import time
from collections.abc import Sequence
from dataclasses import replace

from cinema.v1 import booking_service_pb2

from benchmarks import calls, sample, servers
from benchmarks.bench import Bench, interleaved
from benchmarks.figures import Measured, Result, at_least, costs, ratios, reported
from benchmarks.load import Call
from benchmarks.past import add_past
from benchmarks.sample import Customer, SampleData
from benchmarks.scenarios.create_booking import bookings
from benchmarks.servers import Server

MANY = 2_000_000
REGULARS, BOOKINGS_EACH, OTHERS, BUYERS = 4, 5_100, 20_000, 400
CREATE, FIRST_PAGE, PAGE_100 = "CreateBooking", "ListBookings, page 1", "ListBookings, page 100"
PAGES_BEFORE_PAGE_100 = (*[200] * 24, 150)
"""The sizes of pages that together hold 99 times 50."""
EMPTY, FULL = "empty", "2,000,000 bookings"
METHOD = (
    "One database has 2,000,000 bookings of past showtimes by 20,004 customers, a quarter of them paid for, with "
    "their tickets; 4 of the customers have 5,100 each. The other, called empty, has only those of the 4, or there "
    "would be no page 100. Both have 400 showtimes to sell. Bookings of two seats are made in these by 400 customers; "
    "the 4 list theirs, 50 a page. 128 calls in flight."
)


def run(bench: Bench) -> Result:
    """Measure."""
    rounds, count, seconds = 3, 4_000, 2.5
    start = time.monotonic()
    houses = {
        EMPTY: _house(bench, "empty", REGULARS * BOOKINGS_EACH),
        FULL: _house(bench, "large", MANY),
    }
    making = time.monotonic() - start
    measured = {what: {name: list[Measured]() for name in houses} for what in (CREATE, FIRST_PAGE, PAGE_100)}
    sold = dict.fromkeys(houses, 0)
    for name in interleaved(list(houses), rounds):
        buying = replace(houses[name], customers=houses[name].customers[-BUYERS:])
        with servers.ours(buying.database.url) as server:
            bench.closed_loop(server, bookings(buying, sold[name], count // 2))
            made = bookings(buying, sold[name] + count // 2, count)
            measured[CREATE][name].append(bench.closed_loop(server, made))
            sold[name] += 2 * count
            for page, made in _pages(bench, server, houses[name].customers[:REGULARS]).items():
                bench.closed_loop(server, made, seconds / 3)
                measured[page][name].append(bench.closed_loop(server, made, seconds))
    speed = {
        what: ratios(*([each.calls_a_second for each in by_name[name]] for name in (FULL, EMPTY)))
        for what, by_name in measured.items()
    }
    cost = {
        what: ratios(*([each.cpu_microseconds for each in by_name[name]] for name in (FULL, EMPTY)))
        for what, by_name in measured.items()
    }
    size = f"{houses[FULL].database.size() / 2**30:.1f} GiB"
    return Result(
        METHOD,
        [
            *(at_least(f"{what}, calls a second, times with the empty one", 0.9, speed[what]) for what in measured),
            *(reported(f"{what}, CPU a call, times with the empty one", cost[what].text(".2f")) for what in measured),
            reported("making the two databases", f"{making:.0f} s; the large one has {size}"),
        ],
        [costs({f"{what}, {name}": measured[what][name] for what in measured for name in houses}, "call")],
    )


def _house(bench: Bench, name: str, count: int) -> SampleData:
    data = sample.furnish(bench.databases.make(name), 400, REGULARS + OTHERS)
    add_past(data, count, data.customers[:REGULARS], data.customers[REGULARS:], BOOKINGS_EACH)
    return data


def _pages(bench: Bench, server: Server, customers: Sequence[Customer]) -> dict[str, list[Call]]:
    """Make the calls for each customer's first page of 50, and for the hundredth."""
    made: dict[str, list[Call]] = {FIRST_PAGE: [], PAGE_100: []}
    for customer in customers:
        page_token = ""
        for size in PAGES_BEFORE_PAGE_100:
            answer = bench.answer(server, calls.list_bookings(customer.token, page_token, size))
            page_token = booking_service_pb2.ListBookingsResponse.FromString(answer).next_page_token
        made[FIRST_PAGE].append(calls.list_bookings(customer.token))
        made[PAGE_100].append(calls.list_bookings(customer.token, page_token))
    return made
