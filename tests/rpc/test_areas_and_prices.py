"""Areas and wheelchair spaces of auditoriums, and price lists of showtimes, over a real channel."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from cinema.v1 import catalog_pb2
from cinema.v1.catalog_pb2 import SeatArea, WheelchairSpace
from cinema.v1.money_pb2 import Money
from cinema.v1.showtime_pb2 import PriceLine
from cinema.v1.showtime_service_pb2 import GetShowtimeRequest, ListShowtimesRequest

from tests.rpc.catalog_calls import enter, read, rows
from tests.rpc.conftest import App, new_id, refusal
from tests.rpc.programme import EUR, RUNTIME, TOMORROW, Programme, open_programme

Build = Callable[..., Awaitable[catalog_pb2.Auditorium]]
LAYOUT = rows(("A", (10,)), ("B", (4, 4)))
AREAS = [SeatArea(category="vip", rows=["B"], seats=["A1"]), SeatArea(category="balcony-2", seats=["B8", "A2"])]
SPACES = [WheelchairSpace(seat="A9", companion_seats=["A10", "A8"]), WheelchairSpace(seat="B1")]


def line(
    category: str = "standard",
    ticket_type: str = "adult",
    minor_units: int = 1_250,
    currency_code: str = "EUR",
    **fields: Any,
) -> PriceLine:
    price = Money(currency_code=currency_code, minor_units=minor_units)
    return PriceLine(category=category, ticket_type=ticket_type, price=price, **fields)


@pytest.fixture
async def build(app: App) -> Build:
    """Return what creates an auditorium of rows A and B in one cinema."""
    cinema_id = (await app.cinema()).cinema_id

    async def build(**fields: Any) -> catalog_pb2.Auditorium:
        content = {"cinema_id": cinema_id, "name": "One", "rows": LAYOUT} | fields
        auditorium: catalog_pb2.Auditorium = await enter(app, "Auditorium", **content)
        return auditorium

    return build


@pytest.fixture
async def programme(app: App, build: Build) -> Programme:
    """A programme whose auditorium has seats of the categories standard, vip and balcony-2."""
    auditorium = await build(areas=AREAS)
    movie = await app.movie(minutes=120)
    return Programme(app, movie.movie_id, auditorium.auditorium_id, auditorium.cinema_id)


class TestAreas:
    async def test_they_come_back_as_they_were_sent(self, app: App, build: Build) -> None:
        auditorium = await build(areas=AREAS, wheelchair_spaces=SPACES)
        assert (list(auditorium.areas), list(auditorium.wheelchair_spaces)) == (AREAS, SPACES)
        assert await read(app, "Auditorium", auditorium.auditorium_id) == auditorium
        assert auditorium.total_seats == 18

    @pytest.mark.parametrize(
        ("areas", "expected"),
        [
            ([SeatArea(rows=["A"])], ["areas[0].category"]),
            ([SeatArea(category="Vip", rows=["A"])], ["areas[0].category"]),
            ([SeatArea(category="x" * 33, rows=["A"])], ["areas[0].category"]),
            ([SeatArea(category="1st", rows=["A"])], ["areas[0].category"]),
            ([SeatArea(category="vip")], ["areas[0]"]),
            ([SeatArea(category="vip", rows=["A"]), SeatArea(category="box", rows=["C"])], ["areas[1].rows"]),
            ([SeatArea(category="vip", rows=["A"]), SeatArea(category="box", rows=["A"])], ["areas[1].rows"]),
            ([SeatArea(category="vip", rows=["A", "A"])], ["areas[0].rows"]),
            ([SeatArea(category="vip", rows=["A1"])], ["areas[0].rows[0]"]),
            ([SeatArea(category="vip", seats=["A11"])], ["areas[0].seats"]),
            ([SeatArea(category="vip", seats=["A1"]), SeatArea(category="box", seats=["A1"])], ["areas[1].seats"]),
            ([SeatArea(category="vip", seats=["A1", "A"])], ["areas[0].seats[1]"]),
            ([SeatArea(category=f"c{number}", seats=[f"A{number + 1}"]) for number in range(21)], ["areas"]),
        ],
    )
    async def test_malformed_areas(self, build: Build, areas: list[SeatArea], expected: list[str]) -> None:
        assert (await refusal(build(areas=areas))).fields == expected

    @pytest.mark.parametrize(
        ("spaces", "expected"),
        [
            ([WheelchairSpace()], ["wheelchair_spaces[0].seat"]),
            ([WheelchairSpace(seat="A")], ["wheelchair_spaces[0].seat"]),
            ([WheelchairSpace(seat="C1")], ["wheelchair_spaces[0].seat"]),
            ([WheelchairSpace(seat="C1", companion_seats=["A1"])], ["wheelchair_spaces[0].seat"]),
            ([WheelchairSpace(seat="A1"), WheelchairSpace(seat="A1")], ["wheelchair_spaces[1].seat"]),
            (
                [WheelchairSpace(seat="A1", companion_seats=["A2"]), WheelchairSpace(seat="A2")],
                ["wheelchair_spaces[1].seat"],
            ),
            ([WheelchairSpace(seat="A1", companion_seats=["A1"])], ["wheelchair_spaces[0].companion_seats"]),
            ([WheelchairSpace(seat="A1", companion_seats=["A2", "A2"])], ["wheelchair_spaces[0].companion_seats"]),
            ([WheelchairSpace(seat="A1", companion_seats=["B1"])], ["wheelchair_spaces[0].companion_seats"]),
            ([WheelchairSpace(seat="B4", companion_seats=["B5"])], ["wheelchair_spaces[0].companion_seats"]),
            ([WheelchairSpace(seat="A1", companion_seats=["Z9"])], ["wheelchair_spaces[0].companion_seats"]),
            (
                [WheelchairSpace(seat="A1", companion_seats=[f"A{number}" for number in range(2, 7)])],
                ["wheelchair_spaces[0].companion_seats"],
            ),
            (
                [WheelchairSpace(seat="A1", companion_seats=["A2", "a"])],
                ["wheelchair_spaces[0].companion_seats[1]"],
            ),
        ],
    )
    async def test_malformed_wheelchair_spaces(
        self, build: Build, spaces: list[WheelchairSpace], expected: list[str]
    ) -> None:
        assert (await refusal(build(wheelchair_spaces=spaces))).fields == expected

    async def test_all_bad_fields_are_named(self, build: Build) -> None:
        areas, spaces = [SeatArea(category="vip", seats=["Z1"])], [WheelchairSpace(seat="Z2")]
        refused = await refusal(build(cinema_id="", name="", areas=areas, wheelchair_spaces=spaces))
        assert sorted(refused.fields) == ["areas[0].seats", "cinema_id", "name", "wheelchair_spaces[0].seat"]


class TestPrices:
    async def test_they_come_back_as_they_were_sent(self, programme: Programme) -> None:
        """The price is the lowest of the default ticket type, which the first line has."""
        app = programme.app
        sent = [
            line(minor_units=1_500),
            line("vip", minor_units=2_500),
            line("balcony-2", minor_units=1_300),
            line(ticket_type="child", minor_units=0, proof="Ausweis für Schüler"),
        ]
        showtime = await programme.create(price=None, prices=sent)
        assert list(showtime.prices) == sent
        assert showtime.price == Money(currency_code="EUR", minor_units=1_300)
        listed = (await app.showtimes.ListShowtimes(ListShowtimesRequest())).showtimes
        got = await app.showtimes.GetShowtime(GetShowtimeRequest(showtime_id=showtime.showtime_id))
        assert [*listed, got.showtime] == [showtime] * 2

    async def test_one_price_is_that_of_every_category(self, programme: Programme) -> None:
        showtime = await programme.create()
        assert [(each.category, each.ticket_type, each.price, each.proof) for each in showtime.prices] == [
            (category, "standard", EUR, "") for category in ("standard", "balcony-2", "vip")
        ]
        assert showtime.price == EUR

    async def test_exactly_one_of_price_and_prices(self, programme: Programme) -> None:
        for fields in ({"price": None}, {"prices": [line()]}):
            refused = await refusal(programme.create(**fields))
            assert refused.fields == ["price", "prices"]
            assert "exactly one" in refused.message

    async def test_a_proof_is_kept_like_a_name(self, programme: Programme) -> None:
        every = [line(), line("vip"), line("balcony-2")]
        showtime = await programme.create(price=None, prices=[*every, line(ticket_type="child", proof=" a  card ")])
        assert showtime.prices[3].proof == "a card"
        for proof in ("x" * 101, "a\nb", "\u200b"):
            prices = [*every, line(ticket_type="child", proof=proof)]
            refused = await refusal(programme.create(TOMORROW + 2 * RUNTIME, price=None, prices=prices))
            assert refused.fields == ["prices[3].proof"]

    @pytest.mark.parametrize(
        ("changed", "expected"),
        [
            (line("Vip"), ["prices[3].category"]),
            (line(ticket_type=""), ["prices[3].ticket_type"]),
            (line("x" * 33, "y" * 33), ["prices[3].category", "prices[3].ticket_type"]),
            (line("vip"), ["prices[3]"]),
            (line(ticket_type="child", minor_units=-1), ["prices[3].price.minor_units"]),
            (line(ticket_type="child", minor_units=10**12 + 1), ["prices[3].price.minor_units"]),
            (line(ticket_type="child", currency_code="USD"), ["prices[3].price.currency_code"]),
            (line(ticket_type="child", currency_code="eur"), ["prices[3].price.currency_code"]),
            (PriceLine(category="vip", ticket_type="child"), ["prices[3].price"]),
        ],
    )
    async def test_a_malformed_line(self, programme: Programme, changed: PriceLine, expected: list[str]) -> None:
        prices = [line(), line("vip"), line("balcony-2"), changed]
        assert (await refusal(programme.create(price=None, prices=prices))).fields == expected

    @pytest.mark.parametrize("currency_code", ["ZZZ", "XAU", "DEM"])
    async def test_no_currency_to_pay_with(self, programme: Programme, currency_code: str) -> None:
        """Every line is named, with other malformed fields."""
        prices = [line(currency_code=currency_code), line("vip", currency_code=currency_code)]
        refused = await refusal(programme.create(price=None, prices=prices, movie_id=""))
        names = [f"prices[{number}].price.currency_code" for number in range(2)]
        assert sorted(refused.fields) == ["movie_id", *names]

    async def test_each_category_has_a_line_for_the_default_ticket_type(self, programme: Programme) -> None:
        prices = [line("vip"), line("standard", "child"), line("balcony-2", "child")]
        refused = await refusal(programme.create(price=None, prices=prices))
        assert refused.fields == ["prices"]
        assert "balcony-2, standard" in refused.message
        most = [line(ticket_type=f"type-{number}") for number in range(201)]
        assert (await refusal(programme.create(price=None, prices=most))).fields == ["prices"]

    async def test_a_repeat_has_the_same_prices(self, programme: Programme) -> None:
        every = [line(), line("vip"), line("balcony-2")]
        request_id = new_id()
        first = await programme.create(price=None, prices=every, request_id=request_id)
        assert await programme.create(price=None, prices=every, request_id=request_id) == first
        refused = await refusal(programme.create(price=None, prices=every[::-1], request_id=request_id))
        assert refused.reason == "REQUEST_ID_REUSED"


async def test_an_auditorium_without_standard_seats(app: App) -> None:
    """A line for the category standard is not needed."""
    programme = await open_programme(app)
    areas = [SeatArea(category="vip", rows=["A", "B"])]
    fields = {"cinema_id": programme.cinema_id, "name": "Two", "rows": LAYOUT, "areas": areas}
    auditorium = await enter(app, "Auditorium", **fields)
    showtime = await programme.create(auditorium_id=auditorium.auditorium_id, price=None, prices=[line("vip")])
    assert showtime.price == EUR
