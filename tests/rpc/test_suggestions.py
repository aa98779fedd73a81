"""SuggestSeats over a real channel: what it offers, in which order, and that all of it can be booked."""

from datetime import timedelta
from typing import Any

import pytest
from cinema.v1 import showtime_pb2
from cinema.v1.catalog_pb2 import SeatArea, WheelchairSpace
from cinema.v1.money_pb2 import Money
from cinema.v1.showtime_pb2 import PriceLine, SeatOption
from cinema.v1.showtime_service_pb2 import SuggestSeatsRequest, SuggestSeatsResponse

from cinema_grpc.application.seat_suggestions import _suggest
from tests.builders import NOW
from tests.rpc.app import UNLIMITED, App
from tests.rpc.conftest import running
from tests.rpc.refusals import refusal

ROWS = (("A", (4, 4)), ("B", (8,)), ("C", (8,)))
"""B is the row two thirds back."""
AREAS = (SeatArea(category="vip", rows=["C"]),)
SPACES = (WheelchairSpace(seat="A1", companion_seats=["A2"]), WheelchairSpace(seat="A8", companion_seats=["A7"]))
PRICES = [
    PriceLine(category=category, ticket_type=ticket_type, price=Money(currency_code="EUR", minor_units=price))
    for category, ticket_type, price in (("standard", "adult", 1_200), ("vip", "adult", 2_000), ("vip", "child", 1))
]


async def suggest(app: App, showtime_id: str, party_size: int, **fields: Any) -> SuggestSeatsResponse:
    """Call SuggestSeats without a token."""
    request = SuggestSeatsRequest(showtime_id=showtime_id, party_size=party_size, **fields)
    return await app.showtimes.SuggestSeats(request)


async def suggested(app: App, showtime_id: str, party_size: int, **fields: Any) -> list[str]:
    """Return the seats of the options, such as "A1 A2"."""
    return [" ".join(each.seats) for each in (await suggest(app, showtime_id, party_size, **fields)).options]


def reasons(option: SeatOption) -> list[str]:
    names = map(showtime_pb2.SeatOptionReason.Name, option.reasons)
    return [name.removeprefix("SEAT_OPTION_REASON_") for name in names]


class TestOptions:
    async def test_best_first(self, app: App) -> None:
        """In the middle of the best row, then a seat or a row away; five of them if the caller does not say."""
        showtime = await app.showtime(rows=ROWS)
        answer = await suggest(app, showtime.showtime_id, 2)
        assert answer.revision == showtime.revision == 1
        assert [list(each.seats) for each in answer.options] == [
            ["B4", "B5"],
            ["C4", "C5"],
            ["B3", "B4"],
            ["B5", "B6"],
            ["A3", "A4"],
        ]
        best, behind = answer.options[:2]
        assert reasons(best) == ["TOGETHER", "CENTRAL", "BEST_ROW"]
        assert (best.together, best.centre_offset, best.row_offset) == (True, 0, 0)
        assert best.total_price == Money(currency_code="EUR", minor_units=2_500)
        assert (reasons(behind), behind.centre_offset, behind.row_offset) == (["TOGETHER", "CENTRAL"], 0, 1)
        beside = answer.options[4]
        assert (reasons(beside), beside.centre_offset) == (["TOGETHER", "CENTRAL", "LEAVES_RUN_OF_TWO"], 1)
        assert len((await suggest(app, showtime.showtime_id, 2, max_options=10)).options) == 10
        assert await suggested(app, showtime.showtime_id, 2, max_options=1) == ["B4 B5"]

    async def test_split_options_come_after_those_side_by_side(self, app: App) -> None:
        showtime_id = (await app.showtime(rows=(("A", (5,)), ("B", (5,)), ("C", (3,))))).showtime_id
        answer = await suggest(app, showtime_id, 5)
        assert [list(each.seats) for each in answer.options[:2]] == [
            ["B1", "B2", "B3", "B4", "B5"],
            ["A1", "A2", "A3", "A4", "A5"],
        ]
        assert reasons(answer.options[0]) == ["TOGETHER", "CENTRAL", "BEST_ROW", "WHOLE_RUN"]
        assert [each.together for each in answer.options] == [True, True, False, False, False]
        assert {reasons(each)[0] for each in answer.options[2:]} == {"SPLIT_IN_TWO"}
        assert len(await suggested(app, showtime_id, 10)) == 1  # the whole of A and B

    async def test_three_groups(self, app: App) -> None:
        showtime_id = (await app.showtime(rows=(("A", (2,)), ("B", (2,)), ("C", (2,))))).showtime_id
        (option,) = (await suggest(app, showtime_id, 6)).options
        assert reasons(option) == ["SPLIT_IN_MORE", "CENTRAL", "WHOLE_RUN"]
        assert (option.together, option.row_offset, list(option.seats)) == (
            False,
            1,
            ["A1", "A2", "B1", "B2", "C1", "C2"],
        )

    async def test_categories_and_prices(self, app: App) -> None:
        """Prices are those of the default ticket type, and as they are now."""
        showtime_id = (await app.showtime(rows=ROWS, areas=AREAS, prices=PRICES)).showtime_id
        assert (await suggested(app, showtime_id, 2, categories=["vip"], max_options=2)) == ["C4 C5", "C3 C4"]
        (option,) = (await suggest(app, showtime_id, 3, categories=["vip"], max_options=1)).options
        assert option.total_price.minor_units == 6_000
        assert await suggested(app, showtime_id, 2, categories=["standard"], max_options=1) == ["B4 B5"]
        both = await suggested(app, showtime_id, 2, categories=["standard", "vip"])
        assert both == await suggested(app, showtime_id, 2)
        assert await suggested(app, showtime_id, 2, categories=["sofa"]) == []
        dearer = [PriceLine(category=each, ticket_type="adult", price=PRICES[1].price) for each in ("standard", "vip")]
        changed = await app.update_showtime(showtime_id, changes={"prices": dearer})
        answer = await suggest(app, showtime_id, 2)
        assert answer.revision == changed.showtime.revision
        assert answer.options[0].total_price.minor_units == 4_000

    async def test_unknown_categories_are_left_out(self, app: App) -> None:
        """They make no new question, so no caller can have the same options computed again and again."""
        showtime_id = (await app.showtime(rows=ROWS, areas=AREAS, prices=PRICES)).showtime_id
        computed = _suggest.cache_info().misses
        for number in range(5):
            found = await suggested(app, showtime_id, 3, categories=["vip", f"sofa-{number}"], max_options=1)
            assert found == ["C3 C4 C5"]
        assert await suggested(app, showtime_id, 3, categories=["sofa"]) == []
        assert _suggest.cache_info().misses == computed + 2

    async def test_wheelchair_spaces(self, app: App) -> None:
        """As many as are asked for, with companion seats of these spaces only; other parties are offered none."""
        showtime_id = (await app.showtime(rows=ROWS, wheelchair_spaces=SPACES)).showtime_id
        assert await suggested(app, showtime_id, 1, wheelchair_spaces=1) == ["A1", "A8"]
        assert await suggested(app, showtime_id, 3, wheelchair_spaces=1, max_options=2) == ["A1 A2 A3", "A6 A7 A8"]
        assert await suggested(app, showtime_id, 2, wheelchair_spaces=2) == []
        every = await suggested(app, showtime_id, 2, max_options=10)
        assert not {"A1", "A2", "A7", "A8"} & set(" ".join(every).split())

    async def test_without_the_gap_rule(self, app: App) -> None:
        allow = showtime_pb2.SEAT_GAP_POLICY_ALLOW
        rows = (("A", (4,)),)
        refusing, allowing = await app.showtime(rows=rows), await app.showtime(rows=rows, policy=allow)
        assert await suggested(app, refusing.showtime_id, 2) == ["A1 A2", "A3 A4"]
        assert await suggested(app, allowing.showtime_id, 2) == ["A2 A3", "A1 A2", "A3 A4"]


class TestState:
    async def test_taken_and_blocked_seats(self, app: App) -> None:
        """Each change shows at once, and with its revision."""
        showtime_id = (await app.showtime(rows=(("A", (6,)),))).showtime_id
        booking = await app.book(showtime_id, "A1", "A2")
        answer = await suggest(app, showtime_id, 2)
        assert (answer.revision, [list(each.seats) for each in answer.options]) == (2, [["A3", "A4"], ["A5", "A6"]])
        await app.block(showtime_id, "A3")
        assert await suggested(app, showtime_id, 2) == ["A4 A5", "A5 A6"]
        await app.cancel(booking.booking_id)
        answer = await suggest(app, showtime_id, 2)
        assert (answer.revision, list(answer.options[1].seats)) == (4, ["A1", "A2"])
        assert await suggested(app, showtime_id, 4) == []

    async def test_a_lapsed_hold_frees_its_seats_at_once(self, app: App) -> None:
        """At the same revision; so does a block that ends."""
        showtime_id = (await app.showtime(rows=(("A", (4,)),))).showtime_id
        await app.book(showtime_id, "A1", "A2")
        await app.block(showtime_id, "A3", until=NOW + timedelta(minutes=20))
        assert await suggested(app, showtime_id, 2) == []
        await app.server.tasks.expire_holds.stop()  # so that nothing is written down
        app.clock.advance(timedelta(minutes=10))
        answer = await suggest(app, showtime_id, 2)
        assert (answer.revision, [list(each.seats) for each in answer.options]) == (3, [["A1", "A2"]])
        app.clock.advance(timedelta(minutes=10))
        assert await suggested(app, showtime_id, 4) == ["A1 A2 A3 A4"]

    async def test_nothing_from_the_start_on(self, app: App) -> None:
        showtime_id = (await app.showtime(start=NOW + timedelta(minutes=30))).showtime_id
        app.clock.advance(timedelta(minutes=30) - timedelta(microseconds=1))
        assert len((await suggest(app, showtime_id, 2)).options) == 5
        app.clock.advance(timedelta(microseconds=1))
        assert list((await suggest(app, showtime_id, 2)).options) == []

    async def test_nothing_of_a_cancelled_showtime(self, app: App) -> None:
        showtime_id = (await app.showtime()).showtime_id
        cancelled = await app.cancel_showtime(showtime_id)
        answer = await suggest(app, showtime_id, 2)
        assert (answer.revision, list(answer.options)) == (cancelled.showtime.revision, [])

    async def test_an_unknown_showtime(self, app: App) -> None:
        refused = await refusal(suggest(app, "none", 2))
        assert (refused.reason, refused.metadata) == ("SHOWTIME_NOT_FOUND", {"showtime_id": "none"})


@pytest.mark.parametrize("policy", [showtime_pb2.SEAT_GAP_POLICY_REFUSE, showtime_pb2.SEAT_GAP_POLICY_ALLOW])
@pytest.mark.no_cover
async def test_every_option_is_accepted_at_its_revision(
    database_url: str, policy: showtime_pb2.SeatGapPolicy.ValueType
) -> None:
    """In a house with all that the rules know of: seats on hold, sold and blocked, aisles, and wheelchair spaces."""
    async with running(database_url, **UNLIMITED) as app:
        showtime = await app.showtime(rows=ROWS, wheelchair_spaces=SPACES, areas=AREAS, prices=PRICES, policy=policy)
        showtime_id = showtime.showtime_id
        await app.book(showtime_id, "B1", "B2", by="bob")
        await app.sell(showtime_id, "C6", "C7", "C8")
        await app.block(showtime_id, "B6")
        tried = 0
        for party_size in range(1, 11):
            for spaces in range(min(party_size, 2) + 1):
                fields = {"wheelchair_spaces": spaces, "max_options": 10}
                answer = await suggest(app, showtime_id, party_size, **fields)
                assert len({tuple(each.seats) for each in answer.options}) == len(answer.options)
                for option in answer.options:
                    assert len(option.seats) == party_size
                    booking = await app.book(showtime_id, *option.seats, wheelchair=spaces > 0)
                    assert [each.seat for each in booking.seats] == list(option.seats)
                    assert booking.total_price == option.total_price
                    await app.cancel(booking.booking_id)
                    tried += 1
                assert await suggested(app, showtime_id, party_size, **fields) == [
                    " ".join(each.seats) for each in answer.options
                ]
        assert tried > 80
