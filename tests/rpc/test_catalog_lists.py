"""The lists of movies, cinemas and auditoriums."""

from cinema.v1 import catalog_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from cinema_grpc.adapters.database import schema
from tests.builders import NOW
from tests.database import writing
from tests.rpc.catalog_calls import MOVIE, ROW, enter, page
from tests.rpc.conftest import App, refusal, running


class TestLists:
    async def test_a_page_that_would_be_too_large_ends_early(self, app: App) -> None:
        """No page is larger than CINEMA_LARGEST_PAGE_BYTES, and nothing is left out on the way."""
        metadata = await app.staff()
        for number in range(20):
            request = pb.CreateMovieRequest(
                title=f"{number:03}" + "🎬" * 197, runtime=Duration(seconds=60), synopsis="🎬" * 5_000
            )
            await app.catalog.CreateMovie(request, metadata=metadata)
        first = await app.catalog.ListMovies(pb.ListMoviesRequest(page_size=200))
        assert 10 < len(first.movies) < 20
        assert 200 * 1024 < first.ByteSize() <= 256 * 1024
        second = await app.catalog.ListMovies(pb.ListMoviesRequest(page_size=200, page_token=first.next_page_token))
        titles = [movie.title[:3] for page in (first, second) for movie in page.movies]
        assert titles == [f"{number:03}" for number in range(20)]
        assert second.next_page_token == ""

    async def test_in_the_order_of_creation_in_pages_of_any_size(self, app: App) -> None:
        """What is entered while paging repeats and skips nothing that was there; it comes last."""
        cinema = await app.cinema()
        for kind, entry, filters in (
            ("Movie", MOVIE, {}),
            ("Auditorium", {"cinema_id": cinema.cinema_id, "rows": [ROW]}, {"cinema_id": cinema.cinema_id}),
        ):
            name = "title" if kind == "Movie" else "name"
            made = [await enter(app, kind, **(entry | {name: f"Z{9 - number}"})) for number in range(7)]
            first, token = await page(app, kind, page_size=3, **filters)
            made.append(await enter(app, kind, **(entry | {name: "A0"})))
            second, token = await page(app, kind, page_size=1, page_token=token, **filters)
            last, token = await page(app, kind, page_token=token, **filters)
            assert (len(first), len(second), len(last), token) == (3, 1, 4, "")
            assert first + second + last == made

    async def test_the_size_of_a_page(self, app: App) -> None:
        """None asked for: 50. Over 200: 200. The last page has no token, even when it is full."""
        made = [f"cinema-{number:03}" for number in range(201)]
        async with writing(app.server.database) as connection:
            entry = {"name": "A House", "time_zone": "UTC", "create_time": NOW, "archived": False}
            await connection.execute(schema.cinema.insert(), [{"cinema_id": each, **entry} for each in made])
        for size, length in ((0, 50), (1, 1), (199, 199), (200, 200), (201, 200), (2**31 - 1, 200)):
            entries, token = await page(app, "Cinema", page_size=size)
            assert [each.cinema_id for each in entries] == made[:length]
            entries, end = await page(app, "Cinema", page_size=200, page_token=token)
            assert [each.cinema_id for each in entries] == made[length:]
            assert end == ""
        for size in (-1, -(2**31)):
            assert (await refusal(page(app, "Cinema", page_size=size))).fields == ["page_size"]

    async def test_a_token_is_good_for_its_list_alone(self, app: App) -> None:
        """Not for another list or cinema, and not when it was altered or cut; but after a restart."""
        one, other = await app.cinema(), await app.cinema()
        for name in ("One", "Two"):
            await app.auditorium(one.cinema_id, name=name)
            await app.auditorium(other.cinema_id, name=name)
        _, token = await page(app, "Auditorium", cinema_id=one.cinema_id, page_size=1)
        others: list[tuple[str, dict[str, str]]] = [
            ("Auditorium", {"cinema_id": other.cinema_id, "page_token": token}),
            ("Cinema", {"page_token": token}),
            ("Movie", {"page_token": token}),
        ]
        others += [
            ("Auditorium", {"cinema_id": one.cinema_id, "page_token": altered})
            for altered in (token[:-1], f"{token}A", token.swapcase(), f" {token}", "x", "\0", "x" * 1_025)
        ]
        for kind, fields in others:
            assert (await refusal(page(app, kind, **fields))).fields == ["page_token"], fields

    async def test_a_token_outlives_a_restart(self, database_url: str) -> None:
        async with running(database_url) as app:
            made = [await enter(app, "Movie", **MOVIE) for _ in range(2)]
            _, token = await page(app, "Movie", page_size=1)
        async with running(database_url) as app:
            assert await page(app, "Movie", page_token=token) == (made[1:], "")
