"""Auditoriums to draw."""

from collections.abc import Iterable, Mapping, Sequence

from cinema_client.cinema.v1 import catalog_pb2, showtime_pb2

FREE = showtime_pb2.SEAT_STATUS_AVAILABLE


def auditorium(rows: Mapping[str, Sequence[int]], **more: object) -> catalog_pb2.Auditorium:
    """Return an auditorium of rows with the lengths of their sections."""
    made = catalog_pb2.Auditorium(**more)  # type: ignore[arg-type]
    for label, sections in rows.items():
        made.rows.add(label=label, sections=sections)
    return made


def labels(house: catalog_pb2.Auditorium) -> Iterable[str]:
    """Return the labels of all seats."""
    return (f"{row.label}{number}" for row in house.rows for number in range(1, sum(row.sections) + 1))


def all_free(house: catalog_pb2.Auditorium) -> dict[str, int]:
    """Return the status of each seat, if all are free."""
    return dict.fromkeys(labels(house), FREE)


def letters(count: int) -> list[str]:
    """Return so many row labels: A to Z, then AA to AZ, and so on."""
    single = [chr(ord("A") + number) for number in range(26)]
    return [*single, *(f"{first}{second}" for first in single for second in single)][:count]
