"""UpdateMovie, UpdateCinema and UpdateAuditorium over a real channel: what changes, what is refused, each once."""

import asyncio
from datetime import timedelta
from typing import Any

import grpc
import pytest
from cinema.v1 import catalog_service_pb2 as pb
from cinema.v1 import showtime_pb2, showtime_service_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from sqlalchemy import update

from cinema_grpc.adapters.database import schema
from tests.database import writing
from tests.rpc.conftest import App, new_id, refusal, running
from tests.rpc.programme import RUNTIME, TOMORROW, Programme, open_programme

Code = grpc.StatusCode


async def change(app: App, kind: str, identifier: str, *mask: str, metadata: Any = None, **fields: Any) -> Any:
    """Change the fields that `mask` names, or all that are given, as staff unless told otherwise."""
    request = getattr(pb, f"Update{kind}Request")(
        update_mask=FieldMask(paths=mask or [name for name in fields if name != "request_id"]),
        **{f"{kind.lower()}_id": identifier},
        **fields,
    )
    metadata = await app.staff() if metadata is None else metadata
    return getattr(await getattr(app.catalog, f"Update{kind}")(request, metadata=metadata), kind.lower())


async def read(app: App, kind: str, identifier: str) -> Any:
    request = getattr(pb, f"Get{kind}Request")(**{f"{kind.lower()}_id": identifier})
    return getattr(await getattr(app.catalog, f"Get{kind}")(request), kind.lower())


async def shown(app: App, showtime_id: str) -> list[showtime_pb2.Showtime]:
    """Return a showtime as it is listed, and as it is read, which comes first: a list reads the names for both."""
    got = await app.showtimes.GetShowtime(showtime_service_pb2.GetShowtimeRequest(showtime_id=showtime_id))
    listed = (await app.showtimes.ListShowtimes(showtime_service_pb2.ListShowtimesRequest())).showtimes
    return [*(each for each in listed if each.showtime_id == showtime_id), got.showtime]


@pytest.fixture
async def programme(app: App) -> Programme:
    return await open_programme(app)


class TestFields:
    async def test_those_that_the_mask_names_change(self, app: App) -> None:
        """Others keep their value, also if the request has another one."""
        movie = await app.movie()
        sent: dict[str, Any] = {"title": " Le\u0301on ", "rating": "16", "synopsis": "A  plant.", "archived": True}
        changed = await change(app, "Movie", movie.movie_id, "title", "rating", runtime=Duration(seconds=60), **sent)
        movie.title, movie.rating = "L\u00e9on", "16"
        assert changed == movie == await read(app, "Movie", movie.movie_id)
        changed = await change(
            app, "Movie", movie.movie_id, "runtime", "synopsis", runtime=Duration(seconds=60), **sent
        )
        movie.synopsis = "A plant."
        movie.runtime.CopyFrom(Duration(seconds=60))
        assert changed == movie == await read(app, "Movie", movie.movie_id)

    async def test_optional_texts_may_become_empty(self, app: App) -> None:
        movie = await app.movie()
        await change(app, "Movie", movie.movie_id, rating="16", synopsis="A plant.")
        assert await change(app, "Movie", movie.movie_id, "rating", "synopsis") == movie

    async def test_names_of_places(self, app: App) -> None:
        auditorium = await app.auditorium()
        cinema = await read(app, "Cinema", auditorium.cinema_id)
        cinema.name, auditorium.name = "Kino Ä", "Saal Ä"
        assert await change(app, "Cinema", cinema.cinema_id, name="  Kino  A\u0308") == cinema
        assert await change(app, "Auditorium", auditorium.auditorium_id, name="Saal A\u0308 ") == auditorium
        assert await read(app, "Cinema", cinema.cinema_id) == cinema
        assert await read(app, "Auditorium", auditorium.auditorium_id) == auditorium

    @pytest.mark.parametrize(
        "mask", [(), ("",), ("movie_id",), ("*",), ("create_time",), ("title", "name"), ("Title",)]
    )
    async def test_a_mask_that_names_nothing_or_what_can_not_change(self, app: App, mask: tuple[str, ...]) -> None:
        """The error says what can."""
        request = pb.UpdateMovieRequest(movie_id="none", update_mask=FieldMask(paths=mask), title="A")
        refused = await refusal(app.catalog.UpdateMovie(request, metadata=await app.staff()))
        assert refused.fields == ["update_mask"]
        assert "title, runtime, rating, synopsis, archived" in refused.message
        other = pb.UpdateCinemaRequest(cinema_id="none", update_mask=FieldMask(paths=["title"]) if mask else None)
        refused = await refusal(app.catalog.UpdateCinema(other, metadata=await app.staff()))
        assert (refused.fields, "name, archived" in refused.message) == (["update_mask"], True)

    async def test_what_is_required_must_be_set(self, app: App) -> None:
        """Each such field is named, with other malformed fields."""
        refused = await refusal(change(app, "Movie", "none", "title", "runtime"))
        assert refused.fields == ["title", "runtime"]
        refused = await refusal(change(app, "Movie", "", "title", request_id="x"))
        assert sorted(refused.fields) == ["movie_id", "request_id", "title"]
        for text in ("", " \u2003", "\u200b", "x" * 201, "a\nb"):
            assert (await refusal(change(app, "Movie", "none", "title", title=text))).fields == ["title"]
            assert (await refusal(change(app, "Cinema", "none", "name", name=text))).fields == ["name"]
            assert (await refusal(change(app, "Auditorium", "none", "name", name=text))).fields == ["name"]
        for runtime in (Duration(), Duration(seconds=59), Duration(seconds=43_201), Duration(seconds=60, nanos=1)):
            assert (await refusal(change(app, "Movie", "none", "runtime", runtime=runtime))).fields == ["runtime"]

    async def test_what_is_not_known(self, app: App) -> None:
        for kind in ("Movie", "Cinema", "Auditorium"):
            refused = await refusal(change(app, kind, "none", archived=True))
            assert (refused.code, refused.reason) == (Code.NOT_FOUND, f"{kind.upper()}_NOT_FOUND")
            assert refused.metadata == {f"{kind.lower()}_id": "none"}

    async def test_only_staff(self, app: App) -> None:
        movie = await app.movie()
        refused = await refusal(change(app, "Movie", movie.movie_id, metadata=await app.customer(), title="Else"))
        assert refused.reason == "ROLE_REQUIRED"
        assert await read(app, "Movie", movie.movie_id) == movie

    async def test_a_name_is_taken_in_its_own_cinema(self, app: App) -> None:
        one = await app.auditorium(name="One")
        two = await app.auditorium(one.cinema_id, name="Two")
        elsewhere = await app.auditorium(name="Three")
        refused = await refusal(change(app, "Auditorium", two.auditorium_id, name=" One "))
        assert (refused.code, refused.reason) == (Code.ALREADY_EXISTS, "NAME_TAKEN")
        assert refused.metadata == {"name": "One"}
        assert await read(app, "Auditorium", two.auditorium_id) == two
        assert await change(app, "Auditorium", two.auditorium_id, name="Two") == two
        assert (await change(app, "Auditorium", elsewhere.auditorium_id, name="One")).name == "One"


class TestRuntime:
    async def test_it_is_fixed_while_showtimes_are_to_come(self, programme: Programme) -> None:
        """They end when they were scheduled to; the error says when the next starts."""
        app, movie_id = programme.app, programme.movie_id
        showtime = await programme.create()
        await programme.create(TOMORROW + 2 * RUNTIME)
        refused = await refusal(change(app, "Movie", movie_id, runtime=Duration(seconds=60), title="Else"))
        assert refused.fields == ["runtime"]
        assert "2026-05-02T12:00:00Z" in refused.message
        assert (await read(app, "Movie", movie_id)).title == "A Film"
        same = await change(app, "Movie", movie_id, runtime=Duration(seconds=7_200), title="Else")
        assert same.title == "Else"
        await app.pass_time(timedelta(days=1) + 2 * RUNTIME)
        assert (await change(app, "Movie", movie_id, runtime=Duration(seconds=60))).runtime.seconds == 60
        got = await app.showtimes.GetShowtime(showtime_service_pb2.GetShowtimeRequest(showtime_id=showtime.showtime_id))
        assert got.showtime.end_time == showtime.end_time

    async def test_cancelled_showtimes_and_those_of_other_movies_do_not_count(self, programme: Programme) -> None:
        app = programme.app
        showtime = await programme.create()
        other = await app.movie()
        assert (await change(app, "Movie", other.movie_id, runtime=Duration(seconds=60))).runtime.seconds == 60
        async with writing(app.server.database) as connection:
            cancelled = update(schema.showtime).where(schema.showtime.c.showtime_id == showtime.showtime_id)
            await connection.execute(cancelled.values(status="CANCELLED"))
        changed = await change(app, "Movie", programme.movie_id, runtime=Duration(seconds=60))
        assert changed.runtime.seconds == 60


class TestListedNames:
    async def test_they_change_at_once(self, programme: Programme) -> None:
        """In the list and in the seat map, which were cached before."""
        app, showtime = programme.app, await programme.create()
        assert await shown(app, showtime.showtime_id) == [showtime] * 2
        for kind, identifier, name in (
            ("Movie", programme.movie_id, "title"),
            ("Cinema", programme.cinema_id, "name"),
            ("Auditorium", programme.auditorium_id, "name"),
        ):
            await change(app, kind, identifier, **{name: f"Another {kind}"})
        showtime.movie.title, showtime.cinema.name = "Another Movie", "Another Cinema"
        showtime.auditorium_name = "Another Auditorium"
        assert await shown(app, showtime.showtime_id) == [showtime] * 2

    async def test_they_change_at_once_on_another_replica(self, postgresql_url: str) -> None:
        """Which has them in its cache, too."""
        async with running(postgresql_url) as one, running(postgresql_url, clock=one.clock) as two:
            here = await open_programme(one)
            showtime = await here.create()
            two.tokens = one.tokens
            assert await shown(two, showtime.showtime_id) == [showtime] * 2
            await change(one, "Movie", here.movie_id, title="Another")
            showtime.movie.title = "Another"
            assert await shown(two, showtime.showtime_id) == [showtime] * 2
            await change(two, "Movie", here.movie_id, title="A third")
            showtime.movie.title = "A third"
            assert await shown(one, showtime.showtime_id) == [showtime] * 2


class TestOnce:
    async def test_a_repeat_gets_the_first_response(self, app: App) -> None:
        """And does not undo what was changed since."""
        auditorium = await app.auditorium()
        for kind, identifier, name in (
            ("Movie", (await app.movie()).movie_id, "title"),
            ("Cinema", auditorium.cinema_id, "name"),
            ("Auditorium", auditorium.auditorium_id, "name"),
        ):
            request_id = new_id()
            first = await change(app, kind, identifier, request_id=request_id, **{name: "First"})
            await change(app, kind, identifier, **{name: "Second"})
            assert await change(app, kind, identifier, request_id=request_id, **{name: "First"}) == first
            assert getattr(await read(app, kind, identifier), name) == "Second"
            refused = await refusal(change(app, kind, identifier, request_id=request_id, **{name: "Third"}))
            assert refused.reason == "REQUEST_ID_REUSED"

    async def test_of_ten_at_once_one_has_an_effect(self, app: App) -> None:
        movie_id, request_id = (await app.movie()).movie_id, new_id()
        ahead = 2**60  # of the clock, so that each change counts one
        async with writing(app.server.database) as connection:
            await connection.execute(update(schema.catalog_revision).values(revision=ahead))
        calls = (change(app, "Movie", movie_id, title="Else", request_id=request_id) for _ in range(10))
        answers = await asyncio.gather(*calls)
        assert all(each == answers[0] for each in answers)
        async with writing(app.server.database) as connection:
            revision = await connection.execute(schema.catalog_revision.select())
            assert revision.scalar_one() == ahead + 1

    async def test_a_refusal_is_not_kept(self, programme: Programme) -> None:
        app, request_id = programme.app, new_id()
        await programme.create()
        runtime = Duration(seconds=60)
        refused = await refusal(change(app, "Movie", programme.movie_id, runtime=runtime, request_id=request_id))
        assert refused.fields == ["runtime"]
        assert (await change(app, "Movie", programme.movie_id, title="Else", request_id=request_id)).title == "Else"
