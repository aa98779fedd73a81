"""Plans an import.

Entries go by their names: a movie by its title, a cinema by its name, an auditorium by its name in its cinema, and a
showtime by its auditorium and start. An entry that is there already stays as it is, so an import can be repeated. One
that is there and differs is a problem, since an import changes nothing.

Planning is part of the import's transaction, for which others wait. So a row costs the same however long its price list
is: the lists were checked before, and what their auditoriums and other showtimes require is checked once per list.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence, Set
from datetime import UTC, datetime, timedelta
from functools import cache
from operator import eq
from typing import TypeVar
from zoneinfo import ZoneInfo

from uuid_utils import uuid7

from cinema_grpc.application.catalog_import import Existing, ExistingShowtime, Plan, Problem, Wanted, WantedShowtime
from cinema_grpc.application.catalog_rules import PriceRule, provider_violations
from cinema_grpc.application.former_starts import FormerStarts
from cinema_grpc.domain.catalog import (
    TIME_BETWEEN_SHOWTIMES,
    Auditorium,
    Cinema,
    ListedShowtime,
    Movie,
    new_showtime,
    start_time_violations,
)
from cinema_grpc.domain.errors import FieldViolation, rfc3339
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.pricing import PriceList, missing_lines, single_price
from cinema_grpc.domain.terms import ShowtimeStatus
from cinema_grpc.domain.text import clean

E = TypeVar("E", Movie, Cinema, Auditorium)
Refusals = Mapping[Money | PriceList, Sequence[FieldViolation]]
"""Why the payment provider can't charge prices, by the price of every seat or the price list; [] if it can."""
_Slot = tuple[Movie, Cinema, Auditorium, datetime]
"""What a row asks for: a movie in an auditorium of a cinema, at a time."""
CHANGES_NOTHING = "an import only adds what is missing"


def refusals_of(wanted: Wanted, price_rule: PriceRule) -> Refusals:
    """Return why the payment provider can't charge the prices of an import, by its rule."""
    return {
        prices: price_rule("price", prices)
        if isinstance(prices, Money)
        else provider_violations(prices.lines, price_rule)
        for prices in {row.prices for row in wanted.showtimes}
    }


def plan_import(wanted: Wanted, refusals: Refusals, existing: Existing, now: datetime) -> Plan:
    """Return what an import comes to.

    Args:
        wanted: The entries of the files, each right by itself.
        refusals: What `refusals_of` returns for them.
        existing: What is there.
        now: The present.
    """
    planner = _Planner(existing, now, refusals)
    planner.name_entries(wanted)
    planner.schedule(wanted.showtimes)
    planner.check_overlaps()
    return planner.plan


class _Planner:
    """Makes a plan.

    Attributes:
        plan: The plan so far.
    """

    def __init__(self, existing: Existing, now: datetime, refusals: Refusals) -> None:
        self.plan = Plan()
        self._now = now
        self._refusals = refusals
        self._movies = _by_key(existing.movies, lambda movie: movie.title)
        self._cinemas = _by_key(existing.cinemas, lambda cinema: cinema.name)
        self._auditoriums = _by_key(existing.auditoriums, lambda room: (room.cinema_id, room.name))
        self._showtimes: dict[tuple[str, datetime], ExistingShowtime] = {}
        for each in existing.showtimes:
            if each.status is ShowtimeStatus.SCHEDULED:
                self._showtimes[each.auditorium_id, each.start_time] = each
        self._former_starts = FormerStarts(existing.showtimes)
        self._places: dict[tuple[str, Hashable], str] = {}
        self._places_of_showtimes: dict[str, str] = {}
        self._categories: dict[str, frozenset[str]] = {}
        self._price_list = cache(_price_list)
        self._equal = cache(eq)

    def name_entries(self, wanted: Wanted) -> None:
        """Plan movies, cinemas and auditoriums."""
        now, plan = self._now, self.plan
        for row in wanted.movies:
            title, rating, synopsis = clean(row.title), clean(row.rating), clean(row.synopsis)
            movie = Movie(str(uuid7()), title, row.runtime, rating, synopsis, now)
            self._name(row.place, self._movies, "title", title, movie, ("runtime", "rating", "synopsis"), plan.movies)
        for entry in wanted.cinemas:
            name = clean(entry.name)
            cinema = Cinema(str(uuid7()), name, entry.time_zone, now)
            self._name(entry.place, self._cinemas, "name", name, cinema, ("time_zone",), plan.cinemas)
        for room in wanted.auditoriums:
            owner = self._one(room.place, self._cinemas, "cinema", room.cinema, clean(room.cinema))
            if owner is not None:
                name = clean(room.name)
                auditorium = Auditorium(
                    str(uuid7()), owner.cinema_id, name, room.rows, now, room.areas, room.wheelchair_spaces
                )
                fixed, key = ("rows", "areas", "wheelchair_spaces"), (owner.cinema_id, name)
                self._name(room.place, self._auditoriums, "name", key, auditorium, fixed, plan.auditoriums)

    def schedule(self, rows: Sequence[WantedShowtime]) -> None:
        """Plan showtimes."""
        wanted = [(row, slot) for row in rows if (slot := self._slot(row)) is not None]
        named = {there.showtime_id for _, slot in wanted if (there := self._scheduled(slot)) is not None}
        for row, slot in wanted:
            self._schedule(row, slot, named)
        numbers = {row.place: number for number, row in enumerate(rows)}
        self.plan.problems.sort(key=lambda problem: numbers.get(problem.place, -1))

    def _slot(self, row: WantedShowtime) -> _Slot | None:
        """Return what a row asks for, or name the problems and return None."""
        movie = self._one(row.place, self._movies, "movie", row.movie, clean(row.movie))
        cinema = self._one(row.place, self._cinemas, "cinema", row.cinema, clean(row.cinema))
        if cinema is None:
            return None
        key = (cinema.cinema_id, clean(row.auditorium))
        auditorium = self._one(row.place, self._auditoriums, "auditorium", row.auditorium, key)
        start_time = self._moment(row, cinema)
        if movie is None or auditorium is None or start_time is None:
            return None
        return movie, cinema, auditorium, start_time

    def _scheduled(self, slot: _Slot) -> ExistingShowtime | None:
        """Return the showtime that a row asks for, if it is there and was not changed."""
        movie, _, auditorium, start_time = slot
        there = self._showtimes.get((auditorium.auditorium_id, start_time))
        return there if there is not None and there.movie_id == movie.movie_id else None

    def _schedule(self, row: WantedShowtime, slot: _Slot, named: Set[str]) -> None:
        """Plan a showtime; `named` are those that rows name at their present starts."""
        movie, cinema, auditorium, start_time = slot
        if (there := self._scheduled(slot)) is not None:
            self._compare(row, there, self._prices(row, auditorium))
        elif changed := self._former_starts.find(auditorium.auditorium_id, movie.movie_id, start_time, named):
            self.plan.unchanged += 1
            self.plan.notes.append(f"{row.place}: {_change(changed)}")
        elif violations := [
            *_archived(movie, cinema, auditorium),
            *start_time_violations(start_time, self._now),
            *self._refusals[row.prices],
        ]:
            self._refuse(row.place, violations)
        elif (prices := self._prices(row, auditorium)) is not None:
            showtime = new_showtime(str(uuid7()), movie, cinema, auditorium, start_time, prices, row.seat_gap_policy)
            self.plan.showtimes.append(showtime)
            self._places_of_showtimes[showtime.showtime_id] = row.place

    def check_overlaps(self) -> None:
        """Check that 15 minutes lie between two showtimes of an auditorium, those that are there included."""
        slots: defaultdict[str, list[ListedShowtime | ExistingShowtime]] = defaultdict(list)
        for planned in self.plan.showtimes:
            slots[planned.auditorium_id].append(planned)
        for there in self._showtimes.values():
            slots[there.auditorium_id].append(there)
        places = self._places_of_showtimes
        for showtimes in slots.values():
            showtimes.sort(key=lambda each: (each.start_time, each.end_time))
            latest = showtimes[0]
            for each in showtimes[1:]:
                if each.start_time < latest.end_time + TIME_BETWEEN_SHOWTIMES:
                    new, other = (each, latest) if each.showtime_id in places else (latest, each)
                    if place := places.get(new.showtime_id):  # two that are there may be too near since long ago
                        self._refuse(place, [FieldViolation("start_time", _overlap(new, other, places))])
                if each.end_time > latest.end_time:
                    latest = each

    def _name(
        self,
        place: str,
        known: dict[Hashable, list[E]],
        field: str,
        key: Hashable,
        entry: E,
        fields: Sequence[str],
        created: list[E],
    ) -> None:
        """Plan an entry that goes by a name, unless it is there."""
        earlier = self._places.setdefault((type(entry).__name__, key), place)
        if earlier != place:
            self._refuse(place, [FieldViolation(field, f"must differ from that of {earlier}")])
        elif key not in known:
            known[key] = [entry]
            created.append(entry)
        elif len(known[key]) > 1 or not (differing := _differing(known[key][0], entry, fields)):
            self.plan.unchanged += 1
        else:
            problem = f"differs from what is there, and {CHANGES_NOTHING}"
            self._refuse(place, [FieldViolation(each, problem) for each in differing])

    def _one(self, place: str, known: dict[Hashable, list[E]], field: str, name: str, key: Hashable) -> E | None:
        """Return the entry of a name, or name the problem and return None."""
        found = known.get(key, [])
        if len(found) == 1:
            return found[0]
        problem = f"{len(found)} of them are called {name!r}; rename or archive the others"
        if found and found[0].archived:
            problem = f"{len(found)} archived ones are called {name!r}; set archived to false for one, or rename them"
        if not found:
            problem = f"there is no {field} {name!r}, neither in the files nor in the database"
        self._refuse(place, [FieldViolation(field, problem)])
        return None

    def _moment(self, row: WantedShowtime, cinema: Cinema) -> datetime | None:
        """Return the start of a showtime, or name the problem and return None."""
        if row.start_time.tzinfo is not None:
            return row.start_time
        local = row.start_time.replace(tzinfo=ZoneInfo(cinema.time_zone))
        if local.utcoffset() == local.replace(fold=1).utcoffset():
            return local.astimezone(UTC)
        problem = f"is no single moment in {cinema.time_zone}, whose clocks change then; add the offset from UTC"
        self._refuse(row.place, [FieldViolation("start_time", problem)])
        return None

    def _prices(self, row: WantedShowtime, auditorium: Auditorium) -> PriceList | None:
        """Return the prices of a showtime, or name the problems and return None."""
        categories = self._categories.get(auditorium.auditorium_id)
        if categories is None:
            categories = self._categories[auditorium.auditorium_id] = auditorium.categories
        prices, violations = self._price_list(row.prices, categories)
        self._refuse(row.place, violations)
        return None if violations else prices

    def _compare(self, row: WantedShowtime, there: ExistingShowtime, prices: PriceList | None) -> None:
        """Count a showtime that is there, or name what differs."""
        differing = []
        if prices is not None and not self._equal(prices, there.prices):
            differing = ["price" if isinstance(row.prices, Money) else "prices"]
        differing += [] if row.seat_gap_policy == there.seat_gap_policy else ["seat_gap_policy"]
        if prices is not None and not differing:
            self.plan.unchanged += 1
        problem = f"differs from that of showtime {there.showtime_id}, and {CHANGES_NOTHING}"
        self._refuse(row.place, [FieldViolation(each, problem) for each in differing])

    def _refuse(self, place: str, violations: Iterable[FieldViolation]) -> None:
        self.plan.problems += [Problem(place, each.field, each.description) for each in violations]


def _price_list(prices: Money | PriceList, categories: frozenset[str]) -> tuple[PriceList, Sequence[FieldViolation]]:
    """Return the price list of a showtime whose auditorium has some categories, and what is wrong with it."""
    if isinstance(prices, Money):
        return single_price(prices, categories), []
    return prices, missing_lines(prices.lines, categories)


def _by_key(entries: Iterable[E], key: Callable[[E], Hashable]) -> dict[Hashable, list[E]]:
    """Return entries by their keys: those that are not archived, or else the archived ones."""
    found: dict[Hashable, list[E]] = {}
    for entry in entries:
        found.setdefault(key(entry), []).append(entry)
    return {name: [each for each in some if not each.archived] or some for name, some in found.items()}


def _archived(movie: Movie, cinema: Cinema, auditorium: Auditorium) -> list[FieldViolation]:
    """Return why a showtime can't be created because of what is archived."""
    entries = ("movie", movie), ("cinema", cinema), ("auditorium", auditorium)
    problem = "is archived; choose another, or set archived to false"
    return [FieldViolation(field, problem) for field, entry in entries if entry.archived]


def _change(showtime: ExistingShowtime) -> str:
    """Return why a showtime that a file names is not created."""
    if showtime.status is ShowtimeStatus.CANCELLED:
        return f"showtime {showtime.showtime_id} was cancelled, and stays so"
    return f"showtime {showtime.showtime_id} was moved to {rfc3339(showtime.start_time)}, and stays there"


def _differing(there: E, entry: E, fields: Iterable[str]) -> list[str]:
    return [field for field in fields if getattr(there, field) != getattr(entry, field)]


def _overlap(
    new: ListedShowtime | ExistingShowtime, other: ListedShowtime | ExistingShowtime, places: dict[str, str]
) -> str:
    named = places.get(other.showtime_id) or f"showtime {other.showtime_id}"
    minutes = TIME_BETWEEN_SHOWTIMES // timedelta(minutes=1)
    return (
        f"the auditorium shows {named} from {rfc3339(other.start_time)} to {rfc3339(other.end_time)}, and {minutes} "
        f"minutes must lie between two showtimes; this one would end at {rfc3339(new.end_time)}"
    )
