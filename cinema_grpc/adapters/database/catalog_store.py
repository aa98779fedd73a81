"""The catalog in the database: movies, cinemas and auditoriums, and the showtimes that are entered."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from cinema_grpc.adapters.database import catalog_queries as queries
from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.database import Database, uninterrupted
from cinema_grpc.adapters.database.seat_plans import to_text
from cinema_grpc.application.box_office_ports import draw_stamp
from cinema_grpc.application.once import Recorded, RequestKey
from cinema_grpc.application.ports import RequestAlreadyRecorded, StorageConflict
from cinema_grpc.domain.catalog import (
    LONGEST_RUNTIME,
    TIME_BETWEEN_SHOWTIMES,
    Auditorium,
    Cinema,
    ListedShowtime,
    Movie,
    check_overlap,
)
from cinema_grpc.domain.errors import NameTaken


class SqlCatalogStore:
    """Keeps the catalog and the programme; fulfils ports.CatalogStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def now(self) -> datetime:
        """Tell the time by the clock that decides."""
        now, _ = await self._database.peek([])
        return now

    @uninterrupted
    async def recorded(self, key: RequestKey) -> Recorded | None:
        """Read the outcome of an earlier call."""
        request = schema.request.c
        row = await self._first(
            select(request.content, request.outcome).where(
                request.caller == key.caller, request.rpc == key.rpc, request.request_id == key.request_id
            )
        )
        return None if row is None else Recorded(key, row[request.content], row[request.outcome])

    @uninterrupted
    async def add_movie(self, movie: Movie, recorded: Recorded | None) -> None:
        """Add a movie.

        Raises:
            RequestAlreadyRecorded.
        """
        async with self._adding(recorded) as connection:
            await connection.execute(insert(schema.movie).values(asdict(movie)))

    @uninterrupted
    async def add_cinema(self, cinema: Cinema, recorded: Recorded | None) -> None:
        """Add a cinema.

        Raises:
            RequestAlreadyRecorded.
        """
        async with self._adding(recorded) as connection:
            await connection.execute(insert(schema.cinema).values(asdict(cinema)))

    @uninterrupted
    async def add_auditorium(self, auditorium: Auditorium, recorded: Recorded | None) -> None:
        """Add an auditorium to an existing cinema.

        Raises:
            NameTaken: The cinema has one of that name.
            RequestAlreadyRecorded.
        """
        try:
            async with self._adding(recorded) as connection:
                await connection.execute(
                    insert(schema.auditorium).values(
                        auditorium_id=auditorium.auditorium_id,
                        cinema_id=auditorium.cinema_id,
                        name=auditorium.name,
                        rows=to_text(auditorium.rows),
                        total_seats=auditorium.total_seats,
                        create_time=auditorium.create_time,
                    )
                )
        except StorageConflict:
            column = schema.auditorium.c
            same_name = select(column.auditorium_id).where(
                column.cinema_id == auditorium.cinema_id, column.name == auditorium.name
            )
            if await self._first(same_name) is None:
                raise
            raise NameTaken(auditorium.name) from None

    @uninterrupted
    async def add_showtime(self, showtime: ListedShowtime, recorded: Recorded | None) -> None:
        """Put a showtime on the programme, if its auditorium is free then.

        Raises:
            ShowtimeOverlap: It is not; the error names the earliest showtime in the way.
            RequestAlreadyRecorded.
        """
        async with self._adding(recorded) as connection:
            await _check_free(connection, showtime)
            await connection.execute(
                insert(schema.showtime).values(
                    showtime_id=showtime.showtime_id,
                    movie_id=showtime.movie.movie_id,
                    auditorium_id=showtime.auditorium_id,
                    cinema_id=showtime.cinema.cinema_id,
                    start_time=showtime.start_time,
                    end_time=showtime.end_time,
                    currency_code=showtime.seat_price.currency_code,
                    seat_price=showtime.seat_price.minor_units,
                    seat_gap_policy=showtime.seat_gap_policy.value,
                    taken_seats=0,
                    revision=showtime.revision,
                    stamp=draw_stamp(),
                    latest_time=await self._database.now(connection),
                )
            )

    @uninterrupted
    async def movie(self, movie_id: str) -> Movie | None:
        """Read a movie, or None."""
        row = await self._first(select(schema.movie).where(schema.movie.c.movie_id == movie_id))
        return None if row is None else queries.to_movie(row)

    @uninterrupted
    async def cinema(self, cinema_id: str) -> Cinema | None:
        """Read a cinema, or None."""
        row = await self._first(select(schema.cinema).where(schema.cinema.c.cinema_id == cinema_id))
        return None if row is None else queries.to_cinema(row)

    @uninterrupted
    async def auditorium(self, auditorium_id: str) -> Auditorium | None:
        """Read an auditorium, or None."""
        row = await self._first(select(schema.auditorium).where(schema.auditorium.c.auditorium_id == auditorium_id))
        return None if row is None else queries.to_auditorium(row)

    @uninterrupted
    async def movies(self, after: str, limit: int) -> list[Movie]:
        """List movies."""
        page = select(schema.movie).where(schema.movie.c.movie_id > after).order_by(schema.movie.c.movie_id)
        return [queries.to_movie(row) for row in await self._all(page.limit(limit))]

    @uninterrupted
    async def cinemas(self, after: str, limit: int) -> list[Cinema]:
        """List cinemas."""
        page = select(schema.cinema).where(schema.cinema.c.cinema_id > after).order_by(schema.cinema.c.cinema_id)
        return [queries.to_cinema(row) for row in await self._all(page.limit(limit))]

    @uninterrupted
    async def auditoriums(self, cinema_id: str, after: str, limit: int) -> list[Auditorium]:
        """List the auditoriums of a cinema."""
        auditorium = schema.auditorium.c
        of_cinema = select(schema.auditorium).where(auditorium.cinema_id == cinema_id, auditorium.auditorium_id > after)
        return [
            queries.to_auditorium(row)
            for row in await self._all(of_cinema.order_by(auditorium.auditorium_id).limit(limit))
        ]

    async def _first(self, statement: queries.Rows) -> RowMapping | None:
        async with self._database.reading() as connection:
            return (await connection.execute(statement)).mappings().first()

    async def _all(self, statement: queries.Rows) -> Sequence[RowMapping]:
        async with self._database.reading() as connection:
            return (await connection.execute(statement)).mappings().all()

    @asynccontextmanager
    async def _adding(self, recorded: Recorded | None) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that begins with the record of its request: of two calls with one key, only one goes on.

        Raises:
            RequestAlreadyRecorded: The key is taken.
        """
        try:
            async with self._database.writing() as connection:
                if recorded is not None:
                    await connection.execute(
                        insert(schema.request).values(
                            **recorded.key._asdict(),
                            content=recorded.content,
                            outcome=recorded.outcome,
                            create_time=await self._database.now(connection),
                        )
                    )
                yield connection
        except StorageConflict:
            # Which constraint it was is looked up: the drivers tell it in words of their own.
            if recorded is not None and await self.recorded(recorded.key) is not None:
                raise RequestAlreadyRecorded from None
            raise


async def _check_free(connection: AsyncConnection, showtime: ListedShowtime) -> None:
    """Check a new showtime against the others in its auditorium, soonest first."""
    # Whoever adds a showtime to this auditorium has to wait until this transaction ends. SQLite has one writer anyway.
    await connection.execute(
        select(schema.auditorium.c.auditorium_id)
        .where(schema.auditorium.c.auditorium_id == showtime.auditorium_id)
        .with_for_update(key_share=True)
    )
    other = schema.showtime.c
    nearby = await connection.execute(
        select(other.showtime_id, other.start_time, other.end_time)
        .where(
            other.auditorium_id == showtime.auditorium_id,
            other.start_time > showtime.start_time - TIME_BETWEEN_SHOWTIMES - LONGEST_RUNTIME,
            other.start_time < showtime.end_time + TIME_BETWEEN_SHOWTIMES,
        )
        .order_by(other.start_time)
    )
    for showtime_id, start_time, end_time in nearby:
        check_overlap(showtime.start_time, showtime.end_time, showtime_id, start_time, end_time)
