"""The catalog and the programme: entering movies, cinemas, auditoriums and showtimes, each once, and reading them."""

import zoneinfo
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import TypeVar

from iso4217 import Currency
from uuid_utils import uuid7

from cinema_grpc.application.once import Once, Recorded
from cinema_grpc.application.ports import CatalogStore, RequestAlreadyRecorded
from cinema_grpc.domain.catalog import (
    Auditorium,
    Cinema,
    ListedShowtime,
    Movie,
    price_violations,
    start_time_violations,
)
from cinema_grpc.domain.errors import (
    AuditoriumNotFound,
    CinemaNotFound,
    FieldViolation,
    InvalidRequest,
    MovieNotFound,
)
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.seating import SeatPlan, SeatRow
from cinema_grpc.domain.showtime import SeatGapPolicy
from cinema_grpc.domain.text import clean

A = TypeVar("A")

CURRENCIES = frozenset(currency.code for currency in Currency if currency.exponent is not None)
"""The currencies that a price can be in.

A price is counted in minor units. The codes of ISO 4217 that have none name no money that a seat is paid with: precious
metals such as XAU, units of account such as XDR, XTS for tests and XXX for no currency at all.
"""

NO_TIME_ZONES = frozenset({"Factory", "localtime"})
"""Names that some machines have among their zones: for a zone that was never set, and for that of the machine."""


class Catalog:
    """What is shown, where and when.

    Every method may raise StorageUnavailable. Those that create something take the identity of the request, `once`, or
    None where the caller gave none. With it, a call that was carried out before gets its answer again before anything
    is checked: a retry is never refused for what has changed since. With other content it raises RequestIdReused; what
    counts is the content as it was sent. Names and other texts are kept as `domain.text.clean` returns them.

    Lists run in the order of creation, from the entry after `after` on ("" for the first), `limit` entries at most.
    """

    def __init__(self, store: CatalogStore) -> None:
        self._store = store
        self._time_zones = _time_zones()

    async def create_movie(
        self, title: str, runtime: timedelta, rating: str, synopsis: str, once: Once[Movie] | None
    ) -> Movie:
        """Enter a movie."""

        async def build() -> Movie:
            return Movie(str(uuid7()), clean(title), runtime, clean(rating), clean(synopsis), await self._store.now())

        return await self._enter(once, build, self._store.add_movie)

    async def create_cinema(self, name: str, time_zone: str, once: Once[Cinema] | None) -> Cinema:
        """Enter a cinema.

        Raises:
            InvalidRequest: IANA knows no such time zone.
        """

        async def build() -> Cinema:
            if violations := self.time_zone_violations(time_zone):
                raise InvalidRequest(*violations)
            return Cinema(str(uuid7()), clean(name), time_zone, await self._store.now())

        return await self._enter(once, build, self._store.add_cinema)

    async def create_auditorium(
        self, cinema_id: str, name: str, rows: Sequence[SeatRow], once: Once[Auditorium] | None
    ) -> Auditorium:
        """Enter an auditorium of a cinema; its rows never change.

        Raises:
            InvalidRequest: The rows are no layout.
            CinemaNotFound: There is no such cinema.
            NameTaken: The cinema has an auditorium of that name.
        """

        async def build() -> Auditorium:
            plan = SeatPlan(rows)
            cinema = await self.get_cinema(cinema_id)
            return Auditorium(str(uuid7()), cinema.cinema_id, clean(name), plan.rows, await self._store.now())

        return await self._enter(once, build, self._store.add_auditorium)

    async def create_showtime(
        self,
        movie_id: str,
        auditorium_id: str,
        start_time: datetime,
        seat_price: Money,
        seat_gap_policy: SeatGapPolicy,
        once: Once[ListedShowtime] | None,
    ) -> ListedShowtime:
        """Put a showtime on the programme; it ends when the movie has run.

        Raises:
            InvalidRequest: The start is not in the future or too far ahead, or nothing can be sold at that price.
            MovieNotFound, AuditoriumNotFound: There is no such thing.
            ShowtimeOverlap: The auditorium is not free then.
        """

        async def build() -> ListedShowtime:
            now = await self._store.now()
            if violations := _entry_violations(start_time, seat_price, now):
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

        return await self._enter(once, build, self._store.add_showtime)

    def time_zone_violations(self, time_zone: str) -> list[FieldViolation]:
        """Return what is wrong with a time zone: IANA has to know it."""
        if time_zone in self._time_zones:
            return []
        return [FieldViolation("time_zone", 'must be an IANA time zone, such as "Europe/Berlin"')]

    async def showtime_violations(self, start_time: datetime | None, seat_price: Money) -> list[FieldViolation]:
        """Return what is wrong with the start of a new showtime, unless it is None, and with its price."""
        return _entry_violations(start_time, seat_price, await self._store.now())

    async def get_movie(self, movie_id: str) -> Movie:
        """Read a movie.

        Raises:
            MovieNotFound.
        """
        movie = await self._store.movie(movie_id)
        if movie is None:
            raise MovieNotFound(movie_id)
        return movie

    async def get_cinema(self, cinema_id: str) -> Cinema:
        """Read a cinema.

        Raises:
            CinemaNotFound.
        """
        cinema = await self._store.cinema(cinema_id)
        if cinema is None:
            raise CinemaNotFound(cinema_id)
        return cinema

    async def get_auditorium(self, auditorium_id: str) -> Auditorium:
        """Read an auditorium.

        Raises:
            AuditoriumNotFound.
        """
        auditorium = await self._store.auditorium(auditorium_id)
        if auditorium is None:
            raise AuditoriumNotFound(auditorium_id)
        return auditorium

    async def list_movies(self, after: str, limit: int) -> list[Movie]:
        """List movies."""
        return await self._store.movies(after, limit)

    async def list_cinemas(self, after: str, limit: int) -> list[Cinema]:
        """List cinemas."""
        return await self._store.cinemas(after, limit)

    async def list_auditoriums(self, cinema_id: str, after: str, limit: int) -> list[Auditorium]:
        """List the auditoriums of a cinema.

        Raises:
            CinemaNotFound.
        """
        await self.get_cinema(cinema_id)
        return await self._store.auditoriums(cinema_id, after, limit)

    async def now(self) -> datetime:
        """Tell the time by the clock that decides."""
        return await self._store.now()

    async def _enter(
        self,
        once: Once[A] | None,
        build: Callable[[], Awaitable[A]],
        add: Callable[[A, Recorded | None], Awaitable[None]],
    ) -> A:
        """Check and `build` an entry and `add` it, or give the answer that an earlier call with the same key got."""
        if once is not None:
            recorded = await self._store.recorded(once.key)
            if recorded is not None:
                return once.replay(recorded)
        entry = await build()
        try:
            await add(entry, once.record(entry) if once else None)
        except RequestAlreadyRecorded:
            # A call with the same key went through meanwhile: its answer is there now.
            return await self._enter(once, build, add)
        return entry


def _entry_violations(start_time: datetime | None, seat_price: Money, now: datetime) -> list[FieldViolation]:
    violations = [] if start_time is None else start_time_violations(start_time, now)
    if seat_price.currency_code not in CURRENCIES:
        known = 'must be the ISO 4217 code of a currency with a minor unit, such as "EUR"'
        violations.append(FieldViolation("price.currency_code", known))
    return violations + price_violations(seat_price)


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones() - NO_TIME_ZONES)
