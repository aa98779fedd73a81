"""The catalog: creates and reads movies, cinemas and auditoriums, and schedules showtimes."""

import zoneinfo
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import TypeVar, cast

from iso4217 import Currency
from uuid_utils import uuid7

from cinema_grpc.application.idempotency import IdempotentCall, StoredResponse
from cinema_grpc.application.ports import CatalogStore, ResponseAlreadyStored
from cinema_grpc.domain.catalog import (
    Auditorium,
    Cinema,
    ListedShowtime,
    Movie,
    price_violations,
    start_time_violations,
)
from cinema_grpc.domain.errors import AuditoriumNotFound, CinemaNotFound, FieldViolation, InvalidRequest, MovieNotFound
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.seating import SeatPlan, SeatRow
from cinema_grpc.domain.showtime import SeatGapPolicy
from cinema_grpc.domain.text import clean

A = TypeVar("A")
R = TypeVar("R")

CURRENCIES = frozenset(currency.code for currency in Currency if currency.exponent is not None)
"""The currencies that a price can be in.

A price is counted in minor units. The codes of ISO 4217 that have none name no money that a seat is paid with: precious
metals such as XAU, units of account such as XDR, XTS for tests and XXX for no currency at all.
"""

NO_TIME_ZONES = frozenset({"Factory", "localtime"})
"""Names that some machines have among their zones: for a zone that was never set, and for that of the machine."""


def unencoded(entry: A) -> A:
    """Return an entry as it is, for callers of Catalog that need no response."""
    return entry


class Catalog:
    """What is shown, where and when.

    Every method may raise StorageUnavailable. Those that create something return the response that `encode` makes of
    it: in bytes, if there is a `call`. A call whose key has a stored response gets that before anything is checked, so
    a retry is never refused for what has changed since; with another request it raises RequestIdReused.
    Texts are stored as `domain.text.clean` returns them.

    Lists are in the order of creation, from the entry after `after` on ("" for the first), `limit` entries at most.
    """

    def __init__(self, store: CatalogStore) -> None:
        self._store = store
        self._time_zones = _time_zones()

    async def create_movie(
        self,
        title: str,
        runtime: timedelta,
        rating: str,
        synopsis: str,
        call: IdempotentCall | None,
        encode: Callable[[Movie], R],
    ) -> R:
        """Create a movie."""

        async def build() -> Movie:
            return Movie(str(uuid7()), clean(title), runtime, clean(rating), clean(synopsis), await self._store.now())

        return await self._create(call, encode, build, self._store.add_movie)

    async def create_cinema(
        self, name: str, time_zone: str, call: IdempotentCall | None, encode: Callable[[Cinema], R]
    ) -> R:
        """Create a cinema.

        Raises:
            InvalidRequest: IANA knows no such time zone.
        """

        async def build() -> Cinema:
            if violations := self.time_zone_violations(time_zone):
                raise InvalidRequest(*violations)
            return Cinema(str(uuid7()), clean(name), time_zone, await self._store.now())

        return await self._create(call, encode, build, self._store.add_cinema)

    async def create_auditorium(
        self,
        cinema_id: str,
        name: str,
        rows: Sequence[SeatRow],
        call: IdempotentCall | None,
        encode: Callable[[Auditorium], R],
    ) -> R:
        """Create an auditorium of a cinema; its rows never change.

        Raises:
            InvalidRequest: The rows are no layout.
            CinemaNotFound: There is no such cinema.
            NameTaken: The cinema has an auditorium of that name.
        """

        async def build() -> Auditorium:
            plan = SeatPlan(rows)
            cinema = await self.get_cinema(cinema_id)
            return Auditorium(str(uuid7()), cinema.cinema_id, clean(name), plan.rows, await self._store.now())

        return await self._create(call, encode, build, self._store.add_auditorium)

    async def create_showtime(
        self,
        movie_id: str,
        auditorium_id: str,
        start_time: datetime,
        seat_price: Money,
        seat_gap_policy: SeatGapPolicy,
        call: IdempotentCall | None,
        encode: Callable[[ListedShowtime], R],
    ) -> R:
        """Schedule a showtime; it ends after the runtime of the movie.

        Raises:
            InvalidRequest: The start is not in the future or too far ahead, or nothing can be sold at that price.
            MovieNotFound, AuditoriumNotFound: There is no such thing.
            ShowtimeOverlap: The auditorium is not free then.
        """

        async def build() -> ListedShowtime:
            now = await self._store.now()
            if violations := _showtime_violations(start_time, seat_price, now):
                raise InvalidRequest(*violations)
            movie = await self.get_movie(movie_id)
            auditorium = await self.get_auditorium(auditorium_id)
            return ListedShowtime(
                showtime_id=str(uuid7()),
                movie=movie,
                cinema=await self.get_cinema(auditorium.cinema_id),
                auditorium_id=auditorium.auditorium_id,
                auditorium_name=auditorium.name,
                start_time=start_time,
                end_time=start_time + movie.runtime,
                seat_price=seat_price,
                seat_gap_policy=seat_gap_policy,
                total_seats=auditorium.total_seats,
                available_seats=auditorium.total_seats,
                revision=0,
            )

        return await self._create(call, encode, build, self._store.add_showtime)

    def time_zone_violations(self, time_zone: str) -> list[FieldViolation]:
        """Return what is wrong with a time zone: IANA has to know it."""
        if time_zone in self._time_zones:
            return []
        return [FieldViolation("time_zone", 'must be an IANA time zone, such as "Europe/Berlin"')]

    async def showtime_violations(self, start_time: datetime | None, seat_price: Money) -> list[FieldViolation]:
        """Return what is wrong with the start of a new showtime, unless it is None, and with its price."""
        return _showtime_violations(start_time, seat_price, await self._store.now())

    async def get_movie(self, movie_id: str) -> Movie:
        """Return a movie.

        Raises:
            MovieNotFound.
        """
        movie = await self._store.movie(movie_id)
        if movie is None:
            raise MovieNotFound(movie_id)
        return movie

    async def get_cinema(self, cinema_id: str) -> Cinema:
        """Return a cinema.

        Raises:
            CinemaNotFound.
        """
        cinema = await self._store.cinema(cinema_id)
        if cinema is None:
            raise CinemaNotFound(cinema_id)
        return cinema

    async def get_auditorium(self, auditorium_id: str) -> Auditorium:
        """Return an auditorium.

        Raises:
            AuditoriumNotFound.
        """
        auditorium = await self._store.auditorium(auditorium_id)
        if auditorium is None:
            raise AuditoriumNotFound(auditorium_id)
        return auditorium

    async def list_movies(self, after: str, limit: int) -> list[Movie]:
        """Return movies."""
        return await self._store.movies(after, limit)

    async def list_cinemas(self, after: str, limit: int) -> list[Cinema]:
        """Return cinemas."""
        return await self._store.cinemas(after, limit)

    async def list_auditoriums(self, cinema_id: str, after: str, limit: int) -> list[Auditorium]:
        """Return the auditoriums of a cinema.

        Raises:
            CinemaNotFound.
        """
        await self.get_cinema(cinema_id)
        return await self._store.auditoriums(cinema_id, after, limit)

    async def now(self) -> datetime:
        """Return the time by the clock that decides."""
        return await self._store.now()

    async def _create(
        self,
        call: IdempotentCall | None,
        encode: Callable[[A], R],
        build: Callable[[], Awaitable[A]],
        add: Callable[[A, StoredResponse | None], Awaitable[None]],
    ) -> R:
        """Return the stored response of a repeated call, or `build` and `add` an entry and return its response."""
        if call is not None:
            stored = await self._store.stored_response(call.key)
            if stored is not None:
                return cast("R", call.replay(stored))
        entry = await build()
        response = encode(entry)
        try:
            await add(entry, call.store(cast("bytes", response)) if call else None)
        except ResponseAlreadyStored:
            # A call with the same key was carried out meanwhile, and its response is stored now.
            return await self._create(call, encode, build, add)
        return response


def _showtime_violations(start_time: datetime | None, seat_price: Money, now: datetime) -> list[FieldViolation]:
    violations = [] if start_time is None else start_time_violations(start_time, now)
    if seat_price.currency_code not in CURRENCIES:
        known = 'must be the ISO 4217 code of a currency with a minor unit, such as "EUR"'
        violations.append(FieldViolation("price.currency_code", known))
    return violations + price_violations(seat_price)


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones() - NO_TIME_ZONES)
