"""Lines of a sales report: every group adds up to the same totals, to the minor unit."""

import random
from datetime import UTC, date, datetime, timedelta

import pytest

from cinema_grpc.domain.business_days import BusinessDays
from cinema_grpc.domain.sales import PricedSeat, SalesBook, SalesEvent, SalesGroup, SalesLine, distribute

DAYS = BusinessDays(date(2026, 5, 1), date(2026, 5, 4), "Europe/Berlin")
AMOUNTS = ("seats_sold", "seats_cancelled", "gross", "refunded", "kept", "complimentary_seats")


@pytest.mark.parametrize(
    ("amount", "weights", "shares"),
    [
        (100, [1, 1, 1], [33, 34, 33]),
        (625, [1_250], [625]),
        (1, [1, 1], [1, 0]),
        (1_000, [1_000, 0, 3_000], [250, 0, 750]),
        (10, [0, 0, 0], [3, 4, 3]),
        (0, [5, 7], [0, 0]),
        (7, [0, 5], [0, 7]),
        (2_500, [1_000, 1_000], [1_250, 1_250]),
        (0, [], []),
    ],
)
def test_shares_of_a_refund(amount: int, weights: list[int], shares: list[int]) -> None:
    """Shares are by price, rounded in turn so that they add up; equal ones if nothing had a price."""
    assert distribute(amount, weights) == shares


def test_shares_always_add_up() -> None:
    chance = random.Random(7)  # noqa: S311 (no secret)
    for _ in range(500):
        weights = [chance.choice([0, chance.randrange(10**12)]) for _ in range(chance.randint(1, 100))]
        amount = chance.randrange(10**13)
        shares = distribute(amount, weights)
        assert sum(shares) == amount
        assert all(share >= 0 for share in shares)


def some_events() -> list[SalesEvent]:
    """Make sales, cancellations and both at once, with odd prices, in two currencies."""
    chance = random.Random(11)  # noqa: S311 (no secret)
    events = []
    for _ in range(300):
        seats = tuple(
            PricedSeat(
                f"A{number}",
                chance.choice([0, 333, 1_250]),
                chance.choice(["standard", "vip"]),
                chance.choice(["adult", "child"]),
            )
            for number in range(1, chance.randint(2, 6))
        )
        kind = chance.choice(["sale", "cancellation", "late"])
        showtime = chance.randint(1, 4)
        events.append(
            SalesEvent(
                datetime(2026, 5, 1, 3, tzinfo=UTC) + timedelta(minutes=chance.randrange(3 * 24 * 60)),
                f"s{showtime}",
                f"m{showtime % 2}",
                100,
                chance.choice(["EUR", "JPY"]),
                chance.choice(["ONLINE", "CASH", "COMPLIMENTARY"]),
                seats,
                sold=kind != "cancellation",
                cancelled=kind != "sale",
                refunded=0 if kind == "sale" else chance.randrange(2_000),
            )
        )
    return events


@pytest.mark.parametrize("group", SalesGroup)
def test_the_lines_add_up_to_the_totals(group: SalesGroup) -> None:
    """And the totals are the same whatever the lines stand for."""
    book, by_day = SalesBook(group, DAYS), SalesBook(SalesGroup.DAY, DAYS)
    book.add(some_events())
    by_day.add(some_events())
    assert [(line.key, line.currency_code) for line in book.lines] == sorted(
        (line.key, line.currency_code) for line in book.lines
    )
    assert [line.currency_code for line in book.totals] == ["EUR", "JPY"]
    for total, expected in zip(book.totals, by_day.totals, strict=True):
        lines = [line for line in book.lines if line.currency_code == total.currency_code]
        assert len(lines) > 1
        for name in AMOUNTS:
            assert sum(getattr(line, name) for line in lines) == getattr(total, name) == getattr(expected, name), name


def test_what_counts_as_what() -> None:
    """A cancelled showtime may pay back more than the seats cost; only seats sold count as complimentary."""
    seats = (PricedSeat("A1", 1_000, "standard", "adult"), PricedSeat("A2", 500, "standard", "child"))
    start = DAYS.start

    def event(tender: str, refunded: int = 0, *, sold: bool = False, cancelled: bool = False) -> SalesEvent:
        return SalesEvent(
            start, "s1", "m1", 18, "EUR", tender, seats, sold=sold, cancelled=cancelled, refunded=refunded
        )

    book = SalesBook(SalesGroup.SHOWTIME, DAYS)
    book.add([event("ONLINE", sold=True), event("COMPLIMENTARY", sold=True), event("COMPLIMENTARY", 0, cancelled=True)])
    book.add([event("CASH", 1_800, cancelled=True), event("ONLINE", 1_500, sold=True, cancelled=True)])
    (line,) = book.lines
    assert line == SalesLine("s1", "EUR", 6, 6, 4_500, 3_300, 4_500 - 3_300, 2, 18)
    assert book.totals == [SalesLine("", "EUR", 6, 6, 4_500, 3_300, 1_200, 2, 18)]
