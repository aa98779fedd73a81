"""The catalog: creates, changes and reads movies, cinemas and auditoriums, and schedules showtimes."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar, cast

from uuid_utils import uuid7

from cinema_grpc.application.catalog_rules import (
    PriceRule,
    any_price,
    showtime_violations,
    time_zone_violations,
    time_zones,
)
from cinema_grpc.application.idempotency import IdempotentCall, ResponseSlot
from cinema_grpc.application.ports import CatalogStore, ResponseAlreadyStored
from cinema_grpc.domain.catalog import Auditorium, Cinema, E, ListedShowtime, Movie, check_not_archived, new_showtime
from cinema_grpc.domain.errors import FieldViolation, InvalidRequest
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.pricing import PriceLine, PriceList, single_price
from cinema_grpc.domain.seating import SeatArea, SeatPlan, SeatRow, WheelchairSpace
from cinema_grpc.domain.terms import SeatGapPolicy
from cinema_grpc.domain.text import clean

A = TypeVar("A")
R = TypeVar("R")
Changes = Mapping[str, Any]
"""Fields of an entry, by name, with their new values."""


def unencoded(entry: A) -> A:
    """Return an entry as it is, for callers of Catalog that need no response."""
    return entry


class Catalog:
    """What is shown, where and when.

    Every method may raise StorageUnavailable. Those that create or update something return the response that `encode`
    makes of it: in bytes, if there is a `call`. A call whose key has a stored response gets that before anything is
    checked, so a retry is never refused for what has changed since; with another request it raises RequestIdReused.
    Texts are stored as `domain.text.clean` returns them.

    Lists are in the order of creation, from the entry after `after` on ("" for the first), `limit` entries at most.
    They have the archived entries only if `archived`.
    """

    def __init__(
        self, store: CatalogStore, price_rule: PriceRule = any_price, note_showtime: Callable[[], None] = lambda: None
    ) -> None:
        """Keep the catalog in a store.

        `price_rule` is that of the payment provider; `note_showtime` is called when a showtime was created.
        """
        self._store = store
        self._price_rule = price_rule
        self._note_showtime = note_showtime
        time_zones()  # reads them now, not during a call

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

        return await self._create(call, encode, build)

    async def create_cinema(
        self, name: str, time_zone: str, call: IdempotentCall | None, encode: Callable[[Cinema], R]
    ) -> R:
        """Create a cinema.

        Raises:
            InvalidRequest: IANA knows no such time zone.
        """

        async def build() -> Cinema:
            if violations := time_zone_violations(time_zone):
                raise InvalidRequest(*violations)
            return Cinema(str(uuid7()), clean(name), time_zone, await self._store.now())

        return await self._create(call, encode, build)

    async def create_auditorium(
        self,
        cinema_id: str,
        name: str,
        rows: Sequence[SeatRow],
        call: IdempotentCall | None,
        encode: Callable[[Auditorium], R],
        areas: Sequence[SeatArea] = (),
        wheelchair_spaces: Sequence[WheelchairSpace] = (),
    ) -> R:
        """Create an auditorium of a cinema; its seats never change.

        Raises:
            InvalidRequest: The rows, areas and wheelchair spaces are no layout.
            CinemaNotFound: There is no such cinema.
            NameTaken: The cinema has an auditorium of that name.
        """

        async def build() -> Auditorium:
            plan = SeatPlan(rows, areas, wheelchair_spaces)
            await self.get(Cinema, cinema_id)
            now = await self._store.now()
            return Auditorium(str(uuid7()), cinema_id, clean(name), plan.rows, now, plan.areas, plan.wheelchair_spaces)

        return await self._create(call, encode, build)

    async def create_showtime(
        self,
        movie_id: str,
        auditorium_id: str,
        start_time: datetime,
        price: Money | None,
        seat_gap_policy: SeatGapPolicy,
        call: IdempotentCall | None,
        encode: Callable[[ListedShowtime], R],
        prices: Sequence[PriceLine] = (),
    ) -> R:
        """Schedule a showtime; it ends after the runtime of the movie.

        Args:
            movie_id: The movie.
            auditorium_id: The auditorium.
            start_time: The start.
            price: The price of every seat; None if there are `prices`.
            seat_gap_policy: Whether a booking may strand a single seat.
            call: The idempotent call, if it is one.
            encode: Makes the response.
            prices: The lines of the price list; none if there is a `price`.

        Raises:
            InvalidRequest: The start is not in the future or too far ahead, or the seats can't be sold at these prices.
            MovieNotFound, AuditoriumNotFound: There is no such thing.
            Archived: The movie, the auditorium or its cinema is archived.
            ShowtimeOverlap: The auditorium is not free then.
        """

        def schedule(movie: Movie, cinema: Cinema, auditorium: Auditorium) -> ListedShowtime:
            check_not_archived(movie, cinema, auditorium)
            categories = auditorium.categories
            made = PriceList(lines, categories) if price is None else single_price(price, categories)
            return new_showtime(str(uuid7()), movie, cinema, auditorium, start_time, made, seat_gap_policy)

        async def carry_out(slot: ResponseSlot[ListedShowtime] | None) -> ListedShowtime:
            if violations := await self.showtime_violations(start_time, price, prices):
                raise InvalidRequest(*violations)
            created = await self._store.add_showtime(movie_id, auditorium_id, schedule, slot)
            self._note_showtime()
            return created

        lines = [replace(line, proof=clean(line.proof)) for line in prices]
        return await self._change(call, encode, carry_out)

    async def update(
        self, kind: type[E], entry_id: str, changes: Changes, call: IdempotentCall | None, encode: Callable[[E], R]
    ) -> R:
        """Change a movie, a cinema, or name and `archived` of an auditorium.

        Raises:
            MovieNotFound, CinemaNotFound, AuditoriumNotFound: There is no such entry.
            NameTaken: The cinema has another auditorium of that name.
            InvalidRequest: The runtime would change, and the movie has showtimes that are still to start.
        """
        change = partial(_changed, changes)
        return await self._change(call, encode, lambda slot: self._store.update(kind, entry_id, change, slot))

    async def showtime_violations(
        self, start_time: datetime | None, price: Money | None, prices: Sequence[PriceLine]
    ) -> list[FieldViolation]:
        """Return what is wrong with the start of a new showtime, unless it is None, and with its prices."""
        return showtime_violations(start_time, price, prices, await self._store.now(), self._price_rule)

    async def get(self, kind: type[E], entry_id: str) -> E:
        """Return a movie, a cinema or an auditorium.

        Raises:
            MovieNotFound, CinemaNotFound, AuditoriumNotFound: There is no such entry.
        """
        return await self._store.get(kind, entry_id)

    async def page(self, kind: type[E], after: str, limit: int, *, archived: bool = False) -> list[E]:
        """Return movies or cinemas."""
        return await self._store.page(kind, after, limit, archived=archived)

    async def auditoriums(self, cinema_id: str, after: str, limit: int, *, archived: bool = False) -> list[Auditorium]:
        """Return the auditoriums of a cinema.

        Raises:
            CinemaNotFound.
        """
        await self.get(Cinema, cinema_id)
        return await self._store.page(Auditorium, after, limit, archived=archived, cinema_id=cinema_id)

    async def now(self) -> datetime:
        """Return the time by the clock that decides."""
        return await self._store.now()

    async def _create(
        self, call: IdempotentCall | None, encode: Callable[[E], R], build: Callable[[], Awaitable[E]]
    ) -> R:
        """Return the stored response of a repeated call, or `build` and add an entry and return its response."""

        async def carry_out(slot: ResponseSlot[E] | None) -> E:
            entry = await build()
            await self._store.add(entry, slot)
            return entry

        return await self._change(call, encode, carry_out)

    async def _change(
        self,
        call: IdempotentCall | None,
        encode: Callable[[A], R],
        carry_out: Callable[[ResponseSlot[A] | None], Awaitable[A]],
    ) -> R:
        """Return the stored response of a repeated call, or carry out a change and return its response."""
        if call is not None:
            stored = await self._store.stored_response(call.key)
            if stored is not None:
                return cast("R", call.replay(stored))
        try:
            return encode(await carry_out(call.reserve(cast("Callable[[A], bytes]", encode)) if call else None))
        except ResponseAlreadyStored:
            # A call with the same key was carried out meanwhile, and its response is stored now.
            return await self._change(call, encode, carry_out)


def _changed(changes: Changes, entry: E) -> E:
    stored: dict[str, Any] = {
        name: clean(value) if isinstance(value, str) else value for name, value in changes.items()
    }
    return replace(entry, **stored)
