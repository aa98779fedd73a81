"""cinema.v1.CatalogService: creating, changing and reading movies, cinemas and auditoriums."""
# ruff: noqa: N802 (the names are those of the protos)

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

from cinema.v1 import catalog_service_pb2 as pb
from cinema.v1 import catalog_service_pb2_grpc

from cinema_grpc.application.catalog import Catalog
from cinema_grpc.domain.catalog import Auditorium, Cinema, Movie
from cinema_grpc.transport.idempotency import idempotent_call
from cinema_grpc.transport.page_tokens import query_of
from cinema_grpc.transport.pages import read_page, whole
from cinema_grpc.transport.parsing import (
    parse_changes,
    parse_duration,
    parse_seat_areas,
    parse_seat_rows,
    parse_wheelchair_spaces,
)
from cinema_grpc.transport.rendering import render_auditorium, render_cinema, render_movie, serialized

MOVIE_FIELDS: Mapping[str, bool] = MappingProxyType(
    {"title": True, "runtime": True, "rating": False, "synopsis": False, "archived": False}
)
NAMED_FIELDS: Mapping[str, bool] = MappingProxyType({"name": True, "archived": False})
"""The fields of a movie, and of a cinema or auditorium, that can change, and whether each must be set."""


class CatalogServicer(catalog_service_pb2_grpc.CatalogServiceServicer):
    """Answers the calls of the CatalogService."""

    def __init__(self, catalog: Catalog, largest_page: int) -> None:
        self._catalog = catalog
        self._largest_page = largest_page

    async def CreateMovie(self, request: pb.CreateMovieRequest, _context: object) -> pb.CreateMovieResponse:
        """Create a movie."""
        body = await self._catalog.create_movie(
            request.title,
            parse_duration(request.runtime, "runtime"),
            request.rating,
            request.synopsis,
            idempotent_call(request),
            lambda movie: pb.CreateMovieResponse(movie=render_movie(movie)).SerializeToString(),
        )
        return serialized(pb.CreateMovieResponse, body)

    async def CreateCinema(self, request: pb.CreateCinemaRequest, _context: object) -> pb.CreateCinemaResponse:
        """Create a cinema."""
        body = await self._catalog.create_cinema(
            request.name,
            request.time_zone,
            idempotent_call(request),
            lambda cinema: pb.CreateCinemaResponse(cinema=render_cinema(cinema)).SerializeToString(),
        )
        return serialized(pb.CreateCinemaResponse, body)

    async def CreateAuditorium(
        self, request: pb.CreateAuditoriumRequest, _context: object
    ) -> pb.CreateAuditoriumResponse:
        """Create an auditorium of a cinema."""
        body = await self._catalog.create_auditorium(
            request.cinema_id,
            request.name,
            parse_seat_rows(request.rows),
            idempotent_call(request),
            lambda room: pb.CreateAuditoriumResponse(auditorium=render_auditorium(room)).SerializeToString(),
            parse_seat_areas(request.areas),
            parse_wheelchair_spaces(request.wheelchair_spaces),
        )
        return serialized(pb.CreateAuditoriumResponse, body)

    async def UpdateMovie(self, request: pb.UpdateMovieRequest, _context: object) -> pb.UpdateMovieResponse:
        """Change a movie."""
        changes = parse_changes(request, MOVIE_FIELDS)
        if "runtime" in changes:
            changes["runtime"] = parse_duration(request.runtime, "runtime")
        body = await self._catalog.update(
            Movie,
            request.movie_id,
            changes,
            idempotent_call(request),
            lambda movie: pb.UpdateMovieResponse(movie=render_movie(movie)).SerializeToString(),
        )
        return serialized(pb.UpdateMovieResponse, body)

    async def UpdateCinema(self, request: pb.UpdateCinemaRequest, _context: object) -> pb.UpdateCinemaResponse:
        """Change a cinema."""
        body = await self._catalog.update(
            Cinema,
            request.cinema_id,
            parse_changes(request, NAMED_FIELDS),
            idempotent_call(request),
            lambda cinema: pb.UpdateCinemaResponse(cinema=render_cinema(cinema)).SerializeToString(),
        )
        return serialized(pb.UpdateCinemaResponse, body)

    async def UpdateAuditorium(
        self, request: pb.UpdateAuditoriumRequest, _context: object
    ) -> pb.UpdateAuditoriumResponse:
        """Change an auditorium."""
        body = await self._catalog.update(
            Auditorium,
            request.auditorium_id,
            parse_changes(request, NAMED_FIELDS),
            idempotent_call(request),
            lambda room: pb.UpdateAuditoriumResponse(auditorium=render_auditorium(room)).SerializeToString(),
        )
        return serialized(pb.UpdateAuditoriumResponse, body)

    async def GetMovie(self, request: pb.GetMovieRequest, _context: object) -> pb.GetMovieResponse:
        """Return a movie."""
        return pb.GetMovieResponse(movie=render_movie(await self._catalog.get(Movie, request.movie_id)))

    async def GetCinema(self, request: pb.GetCinemaRequest, _context: object) -> pb.GetCinemaResponse:
        """Return a cinema."""
        return pb.GetCinemaResponse(cinema=render_cinema(await self._catalog.get(Cinema, request.cinema_id)))

    async def GetAuditorium(self, request: pb.GetAuditoriumRequest, _context: object) -> pb.GetAuditoriumResponse:
        """Return an auditorium."""
        auditorium = await self._catalog.get(Auditorium, request.auditorium_id)
        return pb.GetAuditoriumResponse(auditorium=render_auditorium(auditorium))

    async def ListMovies(self, request: pb.ListMoviesRequest, _context: object) -> pb.ListMoviesResponse:
        """Return a page of movies."""
        movies, next_page_token = await read_page(
            request,
            query_of(request),
            whole(partial(self._catalog.page, Movie, archived=request.include_archived)),
            lambda movie: movie.movie_id,
            render_movie,
            self._largest_page,
        )
        return pb.ListMoviesResponse(movies=movies, next_page_token=next_page_token)

    async def ListCinemas(self, request: pb.ListCinemasRequest, _context: object) -> pb.ListCinemasResponse:
        """Return a page of cinemas."""
        cinemas, next_page_token = await read_page(
            request,
            query_of(request),
            whole(partial(self._catalog.page, Cinema, archived=request.include_archived)),
            lambda cinema: cinema.cinema_id,
            render_cinema,
            self._largest_page,
        )
        return pb.ListCinemasResponse(cinemas=cinemas, next_page_token=next_page_token)

    async def ListAuditoriums(self, request: pb.ListAuditoriumsRequest, _context: object) -> pb.ListAuditoriumsResponse:
        """Return a page of the auditoriums of a cinema."""
        auditoriums, next_page_token = await read_page(
            request,
            query_of(request),
            whole(partial(self._catalog.auditoriums, request.cinema_id, archived=request.include_archived)),
            lambda auditorium: auditorium.auditorium_id,
            render_auditorium,
            self._largest_page,
        )
        return pb.ListAuditoriumsResponse(auditoriums=auditoriums, next_page_token=next_page_token)
