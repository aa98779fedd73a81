"""Entering what is shown, where and when: what comes of it, and what is refused."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest
import pytest_asyncio

from cinema_grpc.application.catalog import unencoded
from cinema_grpc.application.catalog_rules import CURRENCIES
from cinema_grpc.domain.catalog import Auditorium, Cinema, ListedShowtime, Movie
from cinema_grpc.domain.errors import (
    AuditoriumNotFound,
    CinemaNotFound,
    InvalidRequest,
    MovieNotFound,
    NameTaken,
    ShowtimeNotFound,
    ShowtimeOverlap,
)
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.pricing import single_price
from cinema_grpc.domain.seating import SeatRow
from cinema_grpc.domain.showtime import SeatStatus
from cinema_grpc.domain.terms import SeatGapPolicy
from tests.application.catalog_app import MICROSECOND, PRICE, ROWS, RUNTIME, TOMORROW, CatalogApp, open_app
from tests.builders import NOW


@pytest_asyncio.fixture
async def app(database_url: str) -> AsyncIterator[CatalogApp]:
    async with open_app(database_url) as opened:
        yield opened


def fields(refusal: pytest.ExceptionInfo[InvalidRequest]) -> list[str]:
    return [violation.field for violation in refusal.value.violations]


# Entering and reading


async def test_what_was_entered_is_read_and_listed(app: CatalogApp) -> None:
    catalog, movie, cinema, auditorium = app.catalog, app.movie, app.cinema, app.auditorium
    assert movie == Movie(movie.movie_id, "Metropolis", RUNTIME, "PG-13", "A city and its machine.", NOW)
    assert cinema == Cinema(cinema.cinema_id, "Odeon", "Europe/Berlin", NOW)
    assert auditorium == Auditorium(auditorium.auditorium_id, cinema.cinema_id, "Screen 1", tuple(ROWS), NOW)
    assert await catalog.get(Movie, movie.movie_id) == movie
    assert await catalog.get(Cinema, cinema.cinema_id) == cinema
    assert await catalog.get(Auditorium, auditorium.auditorium_id) == auditorium
    assert await catalog.page(Movie, "", 10) == [movie]
    assert await catalog.page(Cinema, "", 10) == [cinema]
    assert await catalog.auditoriums(cinema.cinema_id, "", 10) == [auditorium]


async def test_a_showtime_tells_all_about_itself(app: CatalogApp) -> None:
    shown = await app.show()
    assert shown == ListedShowtime(
        showtime_id=shown.showtime_id,
        movie=app.movie,
        cinema=app.cinema,
        auditorium_id=app.auditorium.auditorium_id,
        auditorium_name="Screen 1",
        start_time=TOMORROW,
        end_time=TOMORROW + RUNTIME,
        prices=single_price(PRICE, ()),
        seat_gap_policy=SeatGapPolicy.ALLOW,
        total_seats=9,
        available_seats=9,
        revision=1,
    )
    seat_map = await app.listings.seat_map(shown.showtime_id)
    assert seat_map.listed == shown
    assert seat_map.seat_plan.labels == ("A1", "A2", "A3", "A4", "A5", "B1", "B2", "B3", "B4")
    assert seat_map.seats == [SeatStatus.AVAILABLE] * 9
    assert await app.shown() == [shown]


async def test_identifiers_sort_by_creation(app: CatalogApp) -> None:
    entered = [
        await app.catalog.create_movie(f"Film {number}", RUNTIME, "", "", None, unencoded) for number in range(20)
    ]
    assert all(UUID(movie.movie_id).version == 7 for movie in entered)
    assert await app.catalog.page(Movie, "", 100) == [app.movie, *entered]
    assert await app.catalog.page(Movie, entered[4].movie_id, 3) == entered[5:8]


async def test_the_time_is_that_of_the_store(app: CatalogApp) -> None:
    app.clock.advance(timedelta(minutes=5))
    assert await app.catalog.now() == NOW + timedelta(minutes=5)


async def test_what_is_not_known_is_not_found(app: CatalogApp) -> None:
    catalog = app.catalog
    with pytest.raises(MovieNotFound) as no_movie:
        await catalog.get(Movie, "nothing")
    assert no_movie.value.metadata == {"movie_id": "nothing"}
    with pytest.raises(CinemaNotFound):
        await catalog.get(Cinema, app.movie.movie_id)
    with pytest.raises(AuditoriumNotFound):
        await catalog.get(Auditorium, "nothing")
    with pytest.raises(ShowtimeNotFound):
        await app.listings.seat_map("nothing")
    with pytest.raises(CinemaNotFound):
        await catalog.auditoriums("nothing", "", 10)
    with pytest.raises(CinemaNotFound):
        await catalog.create_auditorium("nothing", "Screen 1", ROWS, None, unencoded)
    with pytest.raises(MovieNotFound):
        await app.show(movie_id="nothing", auditorium_id="nothing")
    with pytest.raises(AuditoriumNotFound):
        await app.show(auditorium_id="nothing")


# What is refused


@pytest.mark.parametrize("time_zone", ["Europe/Berlin", "America/Argentina/Buenos_Aires", "Asia/Kolkata", "UTC"])
async def test_a_time_zone_is_one_that_iana_knows(app: CatalogApp, time_zone: str) -> None:
    assert (await app.catalog.create_cinema("Odeon", time_zone, None, unencoded)).time_zone == time_zone


@pytest.mark.parametrize(
    "time_zone",
    [
        "",
        "Berlin",
        "europe/berlin",
        "Europe/Berlin ",
        "Mars/Olympus",
        "+02:00",
        "CEST",
        "../UTC",
        "Factory",
        "localtime",
    ],
)
async def test_any_other_time_zone_is_refused(app: CatalogApp, time_zone: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        await app.catalog.create_cinema("Odeon", time_zone, None, unencoded)
    assert fields(refusal) == ["time_zone"]


@pytest.mark.parametrize(
    ("rows", "field"),
    [
        ([], "rows"),
        ([SeatRow("A", (4,)), SeatRow("A", (4,))], "rows[1].label"),
        ([SeatRow("A", (4,)), SeatRow("B", (150, 51))], "rows[1].sections"),
        ([SeatRow("A", (4,)), SeatRow("B", ())], "rows[1].sections"),
        ([SeatRow(chr(65 + number), (200,)) for number in range(11)], "rows"),
    ],
)
async def test_rows_that_are_no_layout_are_refused(app: CatalogApp, rows: list[SeatRow], field: str) -> None:
    """Before it is looked up whether there is such a cinema."""
    with pytest.raises(InvalidRequest) as refusal:
        await app.catalog.create_auditorium("nothing", "Screen 2", rows, None, unencoded)
    assert fields(refusal) == [field]


async def test_a_name_is_taken_in_its_own_cinema_alone(app: CatalogApp) -> None:
    with pytest.raises(NameTaken):
        await app.catalog.create_auditorium(app.cinema.cinema_id, "Screen 1", ROWS, None, unencoded)
    other = await app.catalog.create_cinema("Odeon", "Europe/Paris", None, unencoded)
    assert (await app.catalog.create_auditorium(other.cinema_id, "Screen 1", ROWS, None, unencoded)).name == "Screen 1"


async def test_a_showtime_starts_in_the_future_at_most_five_years_ahead(app: CatalogApp) -> None:
    for start_time in (NOW, NOW.replace(year=2031) + MICROSECOND):
        with pytest.raises(InvalidRequest) as refusal:
            await app.show(start_time)
        assert fields(refusal) == ["start_time"]
    await app.show(NOW + MICROSECOND)
    await app.show(NOW.replace(year=2031))


@pytest.mark.parametrize("currency_code", ["EUR", "JPY", "KWD", "XOF", "XPF", "USD"])
async def test_a_price_is_in_a_currency_of_iso_4217(app: CatalogApp, currency_code: str) -> None:
    assert (await app.show(price=Money(currency_code, 0))).prices.lowest == Money(currency_code, 0)


@pytest.mark.parametrize("currency_code", ["", "ABC", "eur", "DEM", "XXX", "XTS", "XAU", "XDR"])
async def test_what_is_no_currency_or_has_no_minor_unit_is_refused(app: CatalogApp, currency_code: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        await app.show(price=Money(currency_code, 1250))
    assert fields(refusal) == ["price.currency_code"]


def test_the_currencies_of_the_world_are_there() -> None:
    assert len(CURRENCIES) > 150
    assert all(len(code) == 3 and code.isupper() and code.isascii() for code in CURRENCIES)


async def test_everything_that_is_malformed_is_named_at_once_before_anything_is_looked_up(app: CatalogApp) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        await app.show(NOW, Money("ABC", 10**12 + 1), movie_id="nothing", auditorium_id="nothing")
    assert fields(refusal) == ["start_time", "price.currency_code", "price.minor_units"]
    assert await app.shown() == []


async def test_an_auditorium_shows_one_movie_at_a_time(app: CatalogApp) -> None:
    first = await app.show()
    with pytest.raises(ShowtimeOverlap) as refusal:
        await app.show(first.end_time + timedelta(minutes=15) - MICROSECOND)
    assert refusal.value.metadata["showtime_id"] == first.showtime_id
    second = await app.show(first.end_time + timedelta(minutes=15))
    other = await app.catalog.create_auditorium(app.cinema.cinema_id, "Screen 2", ROWS, None, unencoded)
    third = await app.show(auditorium_id=other.auditorium_id)
    assert await app.shown() == [first, third, second]
