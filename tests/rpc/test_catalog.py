"""The CatalogService over a real channel: what is entered is read and listed, by staff, each once."""

import asyncio
import unicodedata
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import grpc
import pytest
from cinema.v1 import catalog_pb2
from google.protobuf.duration_pb2 import Duration

from tests.builders import NOW, FakeClock
from tests.rpc.catalog_calls import CINEMA, MOVIE, ROW, SYNOPSIS, TITLE, enter, page, read, rows
from tests.rpc.conftest import App, moment, new_id, refusal, running

Code = grpc.StatusCode


class TestEntering:
    async def test_a_movie(self, app: App) -> None:
        """Every field comes back as it was sent, whatever its script."""
        sent: dict[str, Any] = {
            "title": TITLE,
            "runtime": Duration(seconds=7200, nanos=7_000),
            "rating": "Ab 12, déconseillé 🔞",
            "synopsis": SYNOPSIS * 100,
        }
        movie = await enter(app, "Movie", **sent)
        assert 1 <= len(movie.movie_id) <= 64
        assert movie == catalog_pb2.Movie(movie_id=movie.movie_id, create_time=moment(NOW), **sent)
        assert await read(app, "Movie", movie.movie_id) == movie
        assert await page(app, "Movie") == ([movie], "")

    async def test_the_bounds_of_a_movie(self, app: App) -> None:
        """Lengths are counted in code points; rating and synopsis may be left out."""
        for seconds in (60, 43_200):
            movie = await enter(app, "Movie", title="🎬" * 200, runtime=Duration(seconds=seconds))
            assert (movie.runtime.seconds, movie.rating, movie.synopsis) == (seconds, "", "")
        full = await enter(app, "Movie", **(MOVIE | {"rating": "é" * 200, "synopsis": "é" * 5_000}))
        assert (len(full.rating), len(full.synopsis)) == (200, 5_000)

    async def test_a_cinema(self, app: App) -> None:
        sent: dict[str, Any] = {"name": "Kino «Åsgård» 🎦", "time_zone": "America/Argentina/Buenos_Aires"}
        cinema = await enter(app, "Cinema", **sent)
        assert cinema == catalog_pb2.Cinema(cinema_id=cinema.cinema_id, create_time=moment(NOW), **sent)
        assert await read(app, "Cinema", cinema.cinema_id) == cinema
        assert await page(app, "Cinema") == ([cinema], "")
        assert (await enter(app, "Cinema", **sent)).cinema_id != cinema.cinema_id

    async def test_a_time_zone_that_iana_does_not_know(self, app: App) -> None:
        for time_zone in ("Mars/Olympus", "europe/berlin", "+02:00", "../UTC", "Factory", "UTC\0", ""):
            refused = await refusal(enter(app, "Cinema", name="A House", time_zone=time_zone))
            assert refused.fields == ["time_zone"], time_zone

    async def test_an_auditorium(self, app: App) -> None:
        """Its rows stay in the order in which they were sent."""
        app.clock.advance(timedelta(microseconds=1))
        layout = rows(("B", (4, 6, 4)), ("AA", (1,)), ("A", (200,)))
        cinema = await app.cinema()
        sent: dict[str, Any] = {"cinema_id": cinema.cinema_id, "name": "Saal Ä", "rows": layout}
        auditorium = await enter(app, "Auditorium", **sent)
        assert auditorium == catalog_pb2.Auditorium(
            auditorium_id=auditorium.auditorium_id,
            total_seats=215,
            create_time=moment(NOW + timedelta(microseconds=1)),
            **sent,
        )
        assert await read(app, "Auditorium", auditorium.auditorium_id) == auditorium
        assert await page(app, "Auditorium", cinema_id=cinema.cinema_id) == ([auditorium], "")

    async def test_control_characters(self, app: App) -> None:
        """All 65 are refused in every text, NUL first among them; what is only unusual is fine."""
        controls = [chr(code) for code in (*range(32), *range(127, 160))]
        for control in controls:
            for field in ("title", "rating", "synopsis"):
                refused = await refusal(enter(app, "Movie", **(MOVIE | {field: f"ab{control}cd"})))
                assert refused.fields == [field], control
        for text in ("\ue000", "'; DROP TABLE movie; --"):
            assert (await enter(app, "Movie", **(MOVIE | {"title": text}))).title == text

    async def test_texts_that_look_the_same_are_the_same(self, app: App) -> None:
        """They are kept in NFC, trimmed, and with single spaces: also where a name has to be unique."""
        decomposed = unicodedata.normalize("NFD", "Café")
        odd = f"\u3000{decomposed}\u00a0 1\u2028"
        fields = MOVIE | {"title": odd, "rating": odd, "synopsis": odd}
        movie = await enter(app, "Movie", **fields)
        assert (movie.title, movie.rating, movie.synopsis) == ("Café 1",) * 3
        cinema = await enter(app, "Cinema", **(CINEMA | {"name": odd}))
        assert cinema.name == "Café 1"
        fields = {"cinema_id": cinema.cinema_id, "rows": [ROW]}
        assert (await enter(app, "Auditorium", name=odd, **fields)).name == "Café 1"
        for name in ("Café 1", " Café 1 ", f"{decomposed} 1", "Café\u20091", "Café  1"):
            refused = await refusal(enter(app, "Auditorium", name=name, **fields))
            assert (refused.reason, refused.metadata) == ("NAME_TAKEN", {"name": "Café 1"}), name
        assert (await enter(app, "Auditorium", name="Cafe 1", **fields)).name == "Cafe 1"

    @pytest.mark.parametrize("text", ["\u200b", "\u3164", "\u2800", "a\u200db", "a\ufeffb", "a\u00adb", "a\u202eb"])
    async def test_what_shows_nothing_is_refused(self, app: App, text: str) -> None:
        """In every text, with the other malformed fields, and by the character's number."""
        fields = {"title": text, "rating": text, "synopsis": text, "runtime": Duration()}
        refused = await refusal(enter(app, "Movie", **fields))
        assert sorted(refused.fields) == ["rating", "runtime", "synopsis", "title"]
        assert f"U+{ord(text.strip('ab')):04X}" in refused.message
        assert (await refusal(enter(app, "Cinema", **(CINEMA | {"name": text})))).fields == ["name"]
        fields = {"cinema_id": "none", "name": text, "rows": [ROW]}
        assert (await refusal(enter(app, "Auditorium", **fields))).fields == ["name"]

    async def test_a_repeat_is_known_by_what_was_sent(self, app: App) -> None:
        """Text that is kept in the same form is other content all the same."""
        again = MOVIE | {"title": " A Film ", "request_id": "0190b6f0-7a3c-7d3e-9f27-2f1c1a4b5c6d"}
        first = await enter(app, "Movie", **again)
        assert first.title == "A Film"
        assert await enter(app, "Movie", **again) == first
        refused = await refusal(enter(app, "Movie", **(again | {"title": "A Film"})))
        assert refused.reason == "REQUEST_ID_REUSED"

    async def test_what_is_not_known(self, app: App) -> None:
        """NOT_FOUND names it, whatever it is; an auditorium needs its cinema to exist."""
        for identifier in ("none", "x" * 64, "🎬", "0190b6f0-7a3c-7d3e-9f27-2f1c1a4b5c6d", "'; --"):
            for kind in ("Movie", "Cinema", "Auditorium"):
                refused = await refusal(read(app, kind, identifier))
                assert (refused.code, refused.reason) == (Code.NOT_FOUND, f"{kind.upper()}_NOT_FOUND")
                assert refused.metadata == {f"{kind.lower()}_id": identifier}
                found = refused.details["ResourceInfo"]
                assert (found.resource_type, found.resource_name) == (f"cinema.v1.{kind}", identifier)
        refused = await refusal(page(app, "Auditorium", cinema_id="none"))
        assert (refused.reason, refused.metadata) == ("CINEMA_NOT_FOUND", {"cinema_id": "none"})
        refused = await refusal(enter(app, "Auditorium", cinema_id="none", name="One", rows=[ROW]))
        assert (refused.reason, refused.metadata) == ("CINEMA_NOT_FOUND", {"cinema_id": "none"})


class TestLayouts:
    @pytest.fixture
    async def build(self, app: App) -> Callable[..., Awaitable[catalog_pb2.Auditorium]]:
        """Return a function that creates an auditorium with the given rows in one cinema."""
        cinema_id = (await app.cinema()).cinema_id

        async def build(layout: Sequence[catalog_pb2.SeatRow], name: str = "One") -> catalog_pb2.Auditorium:
            auditorium: catalog_pb2.Auditorium = await enter(
                app, "Auditorium", cinema_id=cinema_id, name=name, rows=layout
            )
            return auditorium

        return build

    async def test_the_largest(self, build: Callable[..., Awaitable[catalog_pb2.Auditorium]]) -> None:
        """60 rows; 2,000 seats; 200 seats a row, even each in a stretch of its own."""
        labels = [f"{first}{second}" for first in "ABC" for second in "ABCDEFGHIJKLMNOPQRST"]
        sixty = rows(*((label, (33,)) for label in labels))
        assert (await build(sixty, "60 rows")).total_seats == 1_980
        ten = rows(*((label, (1,) * 200) for label in labels[:10]))
        assert (await build(ten, "2,000 seats")).total_seats == 2_000

    async def test_what_is_no_layout(self, build: Callable[..., Awaitable[catalog_pb2.Auditorium]]) -> None:
        """Each fault is named by its path."""
        labels = [f"{first}{second}" for first in "ABCD" for second in "ABCDEFGHIJKLMNOPQRST"]
        cases: list[tuple[list[catalog_pb2.SeatRow], list[str]]] = [
            ([], ["rows"]),
            (rows(*((label, (1,)) for label in labels[:61])), ["rows"]),
            (rows(*((label, (200,)) for label in labels[:10]), ("ZZ", (1,))), ["rows"]),
            (rows(("A", ())), ["rows[0].sections"]),
            (rows(("A", (1,)), ("B", (1,) * 201)), ["rows[1].sections"]),
            (rows(("A", (100, 101))), ["rows[0].sections"]),
            (rows(("A", (201,))), ["rows[0].sections[0]"]),
            (rows(("A", (1,)), ("B", (1,)), ("C", (0, 5))), ["rows[2].sections[0]"]),
            (rows(("A", (5, -1)), ("B", (2**31 - 1,))), ["rows[0].sections[1]", "rows[1].sections[0]"]),
            (rows(("A", (1,)), ("B", (1,)), ("A", (1,)), ("A", (1,))), ["rows[2].label", "rows[3].label"]),
            *(
                (rows(("A", (1,)), (label, (1,))), ["rows[1].label"])
                for label in ("", "a", "ABC", "1", "Ä", "A1", "A ", "A\n", "\0", "🎬")
            ),
        ]
        for layout, expected in cases:
            assert (await refusal(build(layout))).fields == expected, layout

    async def test_a_name_is_taken_in_its_own_cinema(self, app: App) -> None:
        one, other = await app.cinema(), await app.cinema()
        await app.auditorium(one.cinema_id, name="Große 🎬")
        refused = await refusal(app.auditorium(one.cinema_id, name="Große 🎬"))
        assert (refused.code, refused.reason) == (Code.ALREADY_EXISTS, "NAME_TAKEN")
        assert refused.metadata == {"name": "Große 🎬"}
        assert refused.details["ResourceInfo"].resource_name == "Große 🎬"
        await app.auditorium(other.cinema_id, name="Große 🎬")
        calls = (app.auditorium(one.cinema_id, name="Kleine") for _ in range(10))
        results = await asyncio.gather(*calls, return_exceptions=True)
        losers = [each.code() for each in results if isinstance(each, grpc.aio.AioRpcError)]
        assert losers == [Code.ALREADY_EXISTS] * 9
        entered, _ = await page(app, "Auditorium", cinema_id=one.cinema_id)
        assert [each.name for each in entered] == ["Große 🎬", "Kleine"]


class TestOnce:
    async def contents(self, app: App) -> list[tuple[str, dict[str, Any], str]]:
        """Return one call of each kind, with a field in which a repeat could differ."""
        cinema_id = (await app.cinema()).cinema_id
        return [
            ("Movie", MOVIE, "title"),
            ("Cinema", CINEMA, "name"),
            ("Auditorium", {"cinema_id": cinema_id, "name": "One", "rows": [ROW]}, "name"),
        ]

    async def test_twenty_at_once_have_one_effect_and_one_answer(self, database_url: str) -> None:
        """So has a repeat after a restart and later, in any case; the id counts for each RPC and caller apart."""
        clock, request_id = FakeClock(), new_id()
        answers = {}
        async with running(database_url, clock) as app:
            contents = await self.contents(app)
            for kind, content, _ in contents:
                calls = (enter(app, kind, **content, request_id=request_id) for _ in range(20))
                given = await asyncio.gather(*calls)
                assert all(each == given[0] for each in given)
                answers[kind] = given[0]
        async with running(database_url, clock) as app:
            clock.advance(timedelta(minutes=30))
            await app.sign_in("staff")
            for kind, content, _ in contents:
                for repeated in (request_id, request_id.upper()):
                    assert await enter(app, kind, **content, request_id=repeated) == answers[kind]
            assert (await page(app, "Movie"))[0] == [answers["Movie"]]
            assert len((await page(app, "Cinema"))[0]) == 2
            cinema_id = answers["Auditorium"].cinema_id
            assert (await page(app, "Auditorium", cinema_id=cinema_id))[0] == [answers["Auditorium"]]
            await app.server.accounts.create_staff("another", "correct horse battery staple", "Another")
            await app.sign_in("another")
            other = await enter(app, "Movie", metadata=app.tokens["another"], **MOVIE, request_id=request_id)
            assert other.movie_id != answers["Movie"].movie_id

    async def test_other_content(self, app: App) -> None:
        """Refused, whatever the field, and it has no effect."""
        for kind, content, name in await self.contents(app):
            request_id = new_id()
            await enter(app, kind, **content, request_id=request_id)
            refused = await refusal(enter(app, kind, **(content | {name: "Else"}), request_id=request_id))
            assert (refused.code, refused.reason) == (Code.FAILED_PRECONDITION, "REQUEST_ID_REUSED")
            assert refused.metadata == {"request_id": request_id}
            assert refused.details["PreconditionFailure"].violations[0].type == "REQUEST_ID_REUSED"
        assert [movie.title for movie in (await page(app, "Movie"))[0]] == ["A Film"]

    async def test_a_refusal_is_not_kept(self, app: App) -> None:
        """After one, the same id may be tried again, with other content too."""
        cinema_id, request_id = (await app.cinema()).cinema_id, new_id()
        await app.auditorium(cinema_id, name="One")
        content = {"cinema_id": cinema_id, "rows": [ROW], "request_id": request_id}
        assert (await refusal(enter(app, "Auditorium", name="One", **content))).reason == "NAME_TAKEN"
        assert (await refusal(enter(app, "Auditorium", name="", **content))).reason == "INVALID_REQUEST"
        assert (await enter(app, "Auditorium", name="Two", **content)).name == "Two"

    async def test_without_an_id_every_call_is_a_new_one(self, app: App) -> None:
        first, second = [await enter(app, "Movie", **MOVIE) for _ in range(2)]
        assert first.movie_id < second.movie_id


async def test_only_staff_enter_anything(app: App) -> None:
    """Others are refused before a look at the request, and nothing is entered."""
    cinema_id = (await app.cinema()).cinema_id
    customer = await app.customer()
    for kind, content in (
        ("Movie", MOVIE),
        ("Cinema", CINEMA),
        ("Auditorium", {"cinema_id": cinema_id, "name": "One", "rows": [ROW]}),
    ):
        for sent in (content, {}):
            refused = await refusal(enter(app, kind, metadata=customer, **sent))
            assert (refused.code, refused.reason) == (Code.PERMISSION_DENIED, "ROLE_REQUIRED")
            assert refused.metadata == {"role": "STAFF"}
            assert (await refusal(enter(app, kind, metadata=(), **sent))).reason == "TOKEN_MISSING"
    assert await page(app, "Movie") == ([], "")
    assert len((await page(app, "Cinema"))[0]) == 1
    assert await page(app, "Auditorium", cinema_id=cinema_id) == ([], "")
