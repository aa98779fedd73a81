"""cinema.v1.CatalogService: entering and reading movies, cinemas and auditoriums."""
# ruff: noqa: N802 (the names are those of the protos)

from functools import partial

from cinema.v1 import catalog_service_pb2 as pb
from cinema.v1 import catalog_service_pb2_grpc

from cinema_grpc.application.catalog import Catalog
from cinema_grpc.domain.catalog import Auditorium, Cinema, Movie
from cinema_grpc.transport.once import once
from cinema_grpc.transport.page_tokens import query_of
from cinema_grpc.transport.pages import read_page, whole
from cinema_grpc.transport.parsing import parse_seat_rows, parse_span
from cinema_grpc.transport.rendering import render_auditorium, render_cinema, render_movie


class CatalogServicer(catalog_service_pb2_grpc.CatalogServiceServicer):
    """Answers the calls of the CatalogService."""

    def __init__(self, catalog: Catalog, largest_page: int) -> None:
        self._catalog = catalog
        self._largest_page = largest_page

    async def CreateMovie(self, request: pb.CreateMovieRequest, _context: object) -> pb.CreateMovieResponse:
        """Enter a movie."""
        movie = await self._catalog.create_movie(
            request.title,
            parse_span(request.runtime, "runtime"),
            request.rating,
            request.synopsis,
            once(request, "cinema.v1.CatalogService/CreateMovie", Movie),
        )
        return pb.CreateMovieResponse(movie=render_movie(movie))

    async def CreateCinema(self, request: pb.CreateCinemaRequest, _context: object) -> pb.CreateCinemaResponse:
        """Enter a cinema."""
        repeat = once(request, "cinema.v1.CatalogService/CreateCinema", Cinema)
        cinema = await self._catalog.create_cinema(request.name, request.time_zone, repeat)
        return pb.CreateCinemaResponse(cinema=render_cinema(cinema))

    async def CreateAuditorium(
        self, request: pb.CreateAuditoriumRequest, _context: object
    ) -> pb.CreateAuditoriumResponse:
        """Enter an auditorium of a cinema."""
        auditorium = await self._catalog.create_auditorium(
            request.cinema_id,
            request.name,
            parse_seat_rows(request.rows),
            once(request, "cinema.v1.CatalogService/CreateAuditorium", Auditorium),
        )
        return pb.CreateAuditoriumResponse(auditorium=render_auditorium(auditorium))

    async def GetMovie(self, request: pb.GetMovieRequest, _context: object) -> pb.GetMovieResponse:
        """Read one movie."""
        return pb.GetMovieResponse(movie=render_movie(await self._catalog.get_movie(request.movie_id)))

    async def GetCinema(self, request: pb.GetCinemaRequest, _context: object) -> pb.GetCinemaResponse:
        """Read one cinema."""
        return pb.GetCinemaResponse(cinema=render_cinema(await self._catalog.get_cinema(request.cinema_id)))

    async def GetAuditorium(self, request: pb.GetAuditoriumRequest, _context: object) -> pb.GetAuditoriumResponse:
        """Read one auditorium."""
        auditorium = await self._catalog.get_auditorium(request.auditorium_id)
        return pb.GetAuditoriumResponse(auditorium=render_auditorium(auditorium))

    async def ListMovies(self, request: pb.ListMoviesRequest, _context: object) -> pb.ListMoviesResponse:
        """List all movies, a page at a time."""
        movies, next_page_token = await read_page(
            request,
            query_of(request),
            whole(self._catalog.list_movies),
            lambda movie: movie.movie_id,
            render_movie,
            self._largest_page,
        )
        return pb.ListMoviesResponse(movies=movies, next_page_token=next_page_token)

    async def ListCinemas(self, request: pb.ListCinemasRequest, _context: object) -> pb.ListCinemasResponse:
        """List all cinemas, a page at a time."""
        cinemas, next_page_token = await read_page(
            request,
            query_of(request),
            whole(self._catalog.list_cinemas),
            lambda cinema: cinema.cinema_id,
            render_cinema,
            self._largest_page,
        )
        return pb.ListCinemasResponse(cinemas=cinemas, next_page_token=next_page_token)

    async def ListAuditoriums(self, request: pb.ListAuditoriumsRequest, _context: object) -> pb.ListAuditoriumsResponse:
        """List the auditoriums of one cinema, a page at a time."""
        auditoriums, next_page_token = await read_page(
            request,
            query_of(request),
            whole(partial(self._catalog.list_auditoriums, request.cinema_id)),
            lambda auditorium: auditorium.auditorium_id,
            render_auditorium,
            self._largest_page,
        )
        return pb.ListAuditoriumsResponse(auditoriums=auditoriums, next_page_token=next_page_token)
