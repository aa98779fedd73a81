"""Reads the files of `cinema import`: rows of CSV or JSON, all in the JSON form of the protos."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

from iso4217 import Currency

from cinema_grpc.application.catalog_import import Problem
from cinema_grpc.config import BadSettings

Fields = dict[str, Any]
NEEDED: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "movies": frozenset({"title", "runtime_minutes"}),
        "cinemas": frozenset({"name", "time_zone"}),
        "auditoriums": frozenset({"cinema", "name", "rows"}),
        "showtimes": frozenset({"movie", "cinema", "auditorium", "start_time"}),
    }
)
OPTIONAL: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "movies": frozenset({"rating", "synopsis"}),
        "cinemas": frozenset(),
        "auditoriums": frozenset({"areas", "wheelchair_spaces"}),
        "showtimes": frozenset({"price", "prices", "seat_gap_policy"}),
    }
)
"""The columns of a CSV file, which say what its rows are."""
ROW_LABEL = re.compile(r"[A-Z]+")


@dataclass(frozen=True, slots=True)
class FileRow:
    """A row of a file.

    Attributes:
        kind: "movies", "cinemas", "auditoriums" or "showtimes".
        place: Where it is, such as "movies.csv row 2", counted as a spreadsheet counts.
        fields: Its fields, in the JSON form of the protos.
    """

    kind: str
    place: str
    fields: Fields


class BadCell(Exception):
    """A cell of a CSV file can't be read; the message says what would be right."""


def read_rows(file: Path, problems: list[Problem]) -> Iterator[FileRow]:
    """Yield the rows of a file that can be read, and add a problem for each that can't.

    Raises:
        BadSettings: The file is neither CSV nor JSON of the right form.
        OSError: It can't be read.
    """
    read = {".csv": _csv_rows, ".json": _json_rows}.get(file.suffix.lower())
    if read is None:
        raise BadSettings(f"{file}: must be a .csv or a .json file")
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadSettings(f"{file}: must be UTF-8") from error
    yield from read(file, text, problems)


def _json_rows(file: Path, text: str, problems: list[Problem]) -> Iterator[FileRow]:
    try:
        content = json.loads(text, object_pairs_hook=_to_fields)
    except (ValueError, RecursionError) as error:
        raise BadSettings(f"{file}: is no JSON: {error}") from error
    if not isinstance(content, dict) or not content.keys() <= NEEDED.keys():
        raise BadSettings(f"{file}: must be an object with the lists {', '.join(NEEDED)}, or some of them")
    for kind, rows in content.items():
        if not isinstance(rows, list):
            raise BadSettings(f"{file}: {kind} must be a list")
        for number, fields in enumerate(rows, 1):
            place = f"{file.name} {kind} row {number}"
            if isinstance(fields, dict):
                yield FileRow(kind, place, fields)
            else:
                problems.append(Problem(place, "", "must be an object"))


def _to_fields(pairs: list[tuple[str, Any]]) -> Fields:
    """Return an object of JSON. Python would keep the last of several fields with one name, and drop the others."""
    fields: Fields = {}
    for name, value in pairs:
        if name in fields:
            raise ValueError(f"an object has {name!r} more than once")
        fields[name] = value
    return fields


def _csv_rows(file: Path, text: str, problems: list[Problem]) -> Iterator[FileRow]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        kind = _kind_of(file, header)
        for number, cells in enumerate(reader, 2):
            place = f"{file.name} row {number}"
            if not any(cells):
                continue
            if len(cells) != len(header):
                problems.append(Problem(place, "", f"must have {len(header)} cells, as the header, not {len(cells)}"))
                continue
            fields, unread = _read_cells(place, dict(zip(header, cells, strict=True)))
            problems += unread
            if not unread:
                yield FileRow(kind, place, fields)
    except csv.Error as error:
        raise BadSettings(f"{file}: line {reader.line_num}: is no CSV: {error}") from error


def _kind_of(file: Path, header: list[str]) -> str:
    columns = set(header)
    for kind, needed in NEEDED.items():
        if needed <= columns <= needed | OPTIONAL[kind] and len(columns) == len(header):
            return kind
    known = "; or ".join(
        f"for {kind} {', '.join(sorted(needed))}"
        + (f", if wanted {', '.join(sorted(OPTIONAL[kind]))}" if OPTIONAL[kind] else "")
        for kind, needed in NEEDED.items()
    )
    raise BadSettings(f"{file}: the first line must name the columns, separated by commas: {known}")


def _read_cells(place: str, cells: Mapping[str, str]) -> tuple[Fields, list[Problem]]:
    """Return the fields of the cells that are not empty, and the problems with others."""
    fields: Fields = {}
    problems = []
    for column, cell in cells.items():
        if cell.strip():
            try:
                name, value = CELLS[column](cell.strip()) if column in CELLS else (column, cell)
                fields[name] = value
            except BadCell as error:
                problems.append(Problem(place, column, str(error)))
    return fields, problems


def _read_minutes(cell: str) -> tuple[str, str]:
    if not re.fullmatch(r"[0-9]{1,6}", cell):
        raise BadCell("must be a whole number of minutes, such as 118")
    return "runtime", f"{int(cell) * 60}s"


def _read_seat_rows(cell: str) -> tuple[str, list[Fields]]:
    example = "must be rows with the seats between aisles, such as A: 5+10+5; B: 5+10+5"
    rows = []
    for label, sections in _entries(cell, example):
        numbers = [each.strip() for each in sections.split("+")]
        if not all(re.fullmatch(r"[0-9]{1,4}", each) for each in numbers):
            raise BadCell(example)
        rows.append({"label": label, "sections": [int(each) for each in numbers]})
    return "rows", rows


def _read_areas(cell: str) -> tuple[str, list[Fields]]:
    areas = []
    for category, labels in _entries(cell, "must be categories with rows and seats, such as front: A B; sofa: H1 H2"):
        rows = [each for each in labels.split() if ROW_LABEL.fullmatch(each)]
        seats = [each for each in labels.split() if not ROW_LABEL.fullmatch(each)]
        areas.append({"category": category, "rows": rows, "seats": seats})
    return "areas", areas


def _read_spaces(cell: str) -> tuple[str, list[Fields]]:
    example = "must be spaces with their companion seats, such as H1: H2; H20: H19"
    return "wheelchair_spaces", [
        {"seat": seat, "companion_seats": companions.split()} for seat, companions in _entries(cell, example)
    ]


def _read_price(cell: str) -> tuple[str, Fields]:
    price, proof = _money(cell, "must be an amount and its currency, such as 12.50 EUR")
    if proof:
        raise BadCell("must be an amount and its currency alone, such as 12.50 EUR")
    return "price", price


def _read_prices(cell: str) -> tuple[str, list[Fields]]:
    example = "must be prices by category and ticket type, such as standard adult: 12.50 EUR; standard child: 8.50 EUR"
    lines = []
    for key, amount in _entries(cell, example):
        category, _, ticket_type = key.partition(" ")
        price, proof = _money(amount, example)
        lines.append({"category": category, "ticket_type": ticket_type.strip(), "price": price, "proof": proof})
    return "prices", lines


def _read_policy(cell: str) -> tuple[str, str]:
    if cell not in {"REFUSE", "ALLOW"}:
        raise BadCell("must be REFUSE or ALLOW")
    return "seat_gap_policy", f"SEAT_GAP_POLICY_{cell}"


CELLS: Mapping[str, Callable[[str], tuple[str, Any]]] = MappingProxyType(
    {
        "runtime_minutes": _read_minutes,
        "rows": _read_seat_rows,
        "areas": _read_areas,
        "wheelchair_spaces": _read_spaces,
        "price": _read_price,
        "prices": _read_prices,
        "seat_gap_policy": _read_policy,
    }
)
"""How the cells of some columns are read: each returns the name of a field, and its value."""


def _entries(cell: str, example: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the value of each entry of a cell such as "A: 5+10; B: 4"."""
    for entry in filter(None, (each.strip() for each in cell.split(";"))):
        name, colon, value = entry.partition(":")
        if not colon:
            raise BadCell(example)
        yield name.strip(), value.strip()


def _money(text: str, example: str) -> tuple[Fields, str]:
    """Return the price of a text such as "12.50 EUR student card", and what follows it."""
    amount, currency_code, proof = [*text.split(None, 2), "", "", ""][:3]
    if not re.fullmatch(r"[0-9]{1,13}(\.[0-9]{1,9})?", amount):
        raise BadCell(example)
    try:
        minor_units = Decimal(amount).scaleb(Currency(currency_code).exponent or 0)
    except ValueError as error:
        raise BadCell(example) from error
    if minor_units != int(minor_units):
        raise BadCell(example)
    return {"currency_code": currency_code, "minor_units": int(minor_units)}, proof
