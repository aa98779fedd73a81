"""Checks the rows of `cinema import` by the rules of the protos, and turns them into entries of an import."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import MAXYEAR, MINYEAR, datetime
from types import MappingProxyType
from typing import Any

from cinema.v1 import catalog_service_pb2, showtime_service_pb2
from google.protobuf.json_format import ParseDict, ParseError

from cinema_grpc.application.catalog_import import (
    Problem,
    Wanted,
    WantedAuditorium,
    WantedCinema,
    WantedMovie,
    WantedShowtime,
)
from cinema_grpc.application.catalog_rules import amount_violations, list_violations, time_zone_violations
from cinema_grpc.cli.import_files import NEEDED, OPTIONAL, FileRow
from cinema_grpc.domain.errors import FieldViolation, InvalidRequest, violations_of
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.pricing import PriceList
from cinema_grpc.domain.seating import SeatPlan
from cinema_grpc.domain.text import NAME, clean
from cinema_grpc.transport.parsing import (
    parse_duration,
    parse_price,
    parse_price_lines,
    parse_seat_areas,
    parse_seat_gap_policy,
    parse_seat_rows,
    parse_wheelchair_spaces,
)
from cinema_grpc.transport.validation import request_checks

METHODS: Mapping[str, str] = MappingProxyType(
    {
        "movies": "/cinema.v1.CatalogService/CreateMovie",
        "cinemas": "/cinema.v1.CatalogService/CreateCinema",
        "auditoriums": "/cinema.v1.CatalogService/CreateAuditorium",
        "showtimes": "/cinema.v1.ShowtimeService/CreateShowtime",
    }
)
"""The method whose request a row is like."""
REQUESTS: Mapping[str, Any] = MappingProxyType(
    {
        "movies": catalog_service_pb2.CreateMovieRequest,
        "cinemas": catalog_service_pb2.CreateCinemaRequest,
        "auditoriums": catalog_service_pb2.CreateAuditoriumRequest,
        "showtimes": showtime_service_pb2.CreateShowtimeRequest,
    }
)
NAMES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "movies": {},
        "cinemas": {},
        "auditoriums": {"cinema": "cinema_id"},
        "showtimes": {"movie": "movie_id", "auditorium": "auditorium_id", "cinema": ""},
    }
)
"""The fields that name another entry, and those of the request that have its identifier."""
UNKNOWN_FIELD = re.compile(r"Failed to parse (\w+) field: ")


class RowReader:
    """Turns rows into entries.

    Attributes:
        wanted: The entries so far.
        problems: What is wrong with other rows.
    """

    def __init__(self) -> None:
        self.wanted = Wanted()
        self.problems: list[Problem] = []
        services = (catalog_service_pb2, "CatalogService"), (showtime_service_pb2, "ShowtimeService")
        self._checks = request_checks(module.DESCRIPTOR.services_by_name[name] for module, name in services)

    def add(self, row: FileRow) -> None:
        """Add the entry of a row, or its problems."""
        violations = _field_violations(row) or violations_of(lambda: self._add(row))
        self.problems += [Problem(row.place, each.field, each.description) for each in violations]

    def _add(self, row: FileRow) -> None:
        request, start_time = self._request(row)
        _ADD[row.kind](self.wanted, row, request, start_time)

    def _request(self, row: FileRow) -> tuple[Any, datetime | None]:
        """Return the request of a row, whose rules it fulfils, and the start of a showtime.

        Raises:
            InvalidRequest: It breaks a rule.
        """
        names = NAMES[row.kind]
        fields = {name: value for name, value in row.fields.items() if name not in {*names, "start_time"}}
        fields |= {identifier: "named" for identifier in names.values() if identifier}
        violations, start_time = [], None
        if row.kind == "showtimes":
            start_time = _start_time(row.fields.get("start_time"))
            fields["start_time"] = "2000-01-01T00:00:00Z"  # the planner checks it, in the cinema's time zone
            if start_time is None:
                problem = "must be a date and a time, such as 2026-05-01 20:30, or 2026-05-01T20:30+02:00"
                violations.append(FieldViolation("start_time", problem))
        try:
            request = ParseDict(fields, REQUESTS[row.kind]())
        except ParseError as error:
            found = UNKNOWN_FIELD.match(str(error))
            raise InvalidRequest(*violations, FieldViolation(found[1] if found else "", str(error))) from error
        except (OverflowError, SystemError) as error:  # protobuf's, of what Python alone takes for JSON
            unfit = [name for name, value in fields.items() if not _is_json(value)] or [""]
            problem = "must not have an infinite number or half of a surrogate pair"
            raise InvalidRequest(*violations, *(FieldViolation(name, problem) for name in unfit)) from error
        _, broken = self._checks[METHODS[row.kind]].read(request.SerializeToString())
        if violations or broken:
            raise InvalidRequest(*violations, *broken)
        return request, start_time


def _field_violations(row: FileRow) -> list[FieldViolation]:
    """Return the fields of a row that are unknown, and the names of other entries that are missing."""
    known = {"runtime" if name == "runtime_minutes" else name for name in NEEDED[row.kind] | OPTIONAL[row.kind]}
    violations = [
        FieldViolation(name, f"is no field of {row.kind}, which have {', '.join(sorted(known))}")
        for name in row.fields
        if name not in known
    ]
    for name in NAMES[row.kind]:
        value = row.fields.get(name)
        if not isinstance(value, str) or not value.strip():
            violations.append(FieldViolation(name, f"must be the {'title' if name == 'movie' else 'name'} of a {name}"))
        elif (problem := NAME.problem(value)) is not None:  # the database could not be asked for it
            violations.append(FieldViolation(name, problem))
    return violations


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except ValueError:
        return False
    return True


def _start_time(value: object) -> datetime | None:
    if not isinstance(value, str) or len(value.strip()) < len("2026-05-01T20:30"):
        return None
    try:
        found = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    return found if MINYEAR < found.year < MAXYEAR else None  # days are added and taken away


def _add_movie(wanted: Wanted, row: FileRow, request: Any, _: datetime | None) -> None:
    runtime = parse_duration(request.runtime, "runtime")
    wanted.movies.append(WantedMovie(row.place, request.title, runtime, request.rating, request.synopsis))


def _add_cinema(wanted: Wanted, row: FileRow, request: Any, _: datetime | None) -> None:
    if violations := time_zone_violations(request.time_zone):
        raise InvalidRequest(*violations)
    wanted.cinemas.append(WantedCinema(row.place, request.name, request.time_zone))


def _add_auditorium(wanted: Wanted, row: FileRow, request: Any, _: datetime | None) -> None:
    areas, spaces = parse_seat_areas(request.areas), parse_wheelchair_spaces(request.wheelchair_spaces)
    plan = SeatPlan(parse_seat_rows(request.rows), areas, spaces)
    wanted.auditoriums.append(
        WantedAuditorium(row.place, row.fields["cinema"], request.name, plan.rows, plan.areas, plan.wheelchair_spaces)
    )


def _add_showtime(wanted: Wanted, row: FileRow, request: Any, start_time: datetime | None) -> None:
    assert start_time is not None  # noqa: S101 (for mypy: a showtime has one)
    wanted.showtimes.append(
        WantedShowtime(
            row.place,
            row.fields["movie"],
            row.fields["cinema"],
            row.fields["auditorium"],
            start_time,
            _prices(wanted, request),
            parse_seat_gap_policy(request.seat_gap_policy),
        )
    )


def _prices(wanted: Wanted, request: Any) -> Money | PriceList:
    """Return the price of every seat, or the price list, of which those with the same lines are checked once.

    Raises:
        InvalidRequest: The price, or the lines, break a rule.
    """
    price, lines = parse_price(request), parse_price_lines(request.prices)
    if price is not None:
        if violations := amount_violations(price):
            raise InvalidRequest(*violations)
        return price
    if lines not in wanted.price_lists:
        if violations := list_violations(lines):
            raise InvalidRequest(*violations)
        wanted.price_lists[lines] = PriceList([replace(line, proof=clean(line.proof)) for line in lines])
    return wanted.price_lists[lines]


_ADD: Mapping[str, Callable[[Wanted, FileRow, Any, datetime | None], None]] = MappingProxyType(
    {"movies": _add_movie, "cinemas": _add_cinema, "auditoriums": _add_auditorium, "showtimes": _add_showtime}
)
