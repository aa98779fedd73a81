"""Arguments and options that several commands have."""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from cinema_client.cinema.v1.booking_service_pb2 import SeatChoice
    from google.protobuf.timestamp_pb2 import Timestamp

F = TypeVar("F", bound=Callable[..., Any])

MAX_LISTED = 1_000_000
DATE_AND_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
BOOKING_STATUSES = ("reserved", "confirmed", "cancelled", "expired")


class Moment(click.ParamType):  # type: ignore[type-arg] # generic since click 8.5 only
    """A date or a time, such as 2026-05-01 or 2026-05-01T19:00+02:00; without an offset, of this machine's zone."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the moment in UTC."""
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail("must be a date or a time, such as 2026-05-01 or 2026-05-01T19:00", param, ctx)


class Start(Moment):
    """A date and a time, such as 2026-05-01T19:00, that is a single moment: what it decides can't be undone."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the moment in UTC."""
        moments: list[str] = []
        with suppress(ValueError, OverflowError):
            moments = _moments(datetime.fromisoformat(value))
        if not moments or not DATE_AND_TIME.match(value):
            self.fail("must be a date and a time, such as 2026-05-01T19:00 or 2026-05-01T19:00+02:00", param, ctx)
        if len(moments) > 1:
            problem = "is no single moment in this machine's time zone, whose clocks change then"
            self.fail(f"{problem}: write {' or '.join(moments)}", param, ctx)
        return super().convert(value, param, ctx)


def _moments(local: datetime) -> list[str]:
    """Return the moments that a time may mean: two, with their offsets, if clocks skip or repeat it here."""
    if local.tzinfo is not None:
        return [local.isoformat()]
    zones = (local.replace(fold=fold).astimezone().tzinfo for fold in (0, 1))
    return sorted({local.replace(tzinfo=zone).isoformat() for zone in zones})


def timestamp(moment: datetime | None) -> "Timestamp | None":
    """Return a moment as messages have it."""
    from google.protobuf.timestamp_pb2 import Timestamp  # noqa: PLC0415 (see session.py)

    if moment is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def seat_choices(seats: Sequence[str]) -> "tuple[list[str], list[SeatChoice]]":
    """Return the seats or the choices of a request from arguments such as "A1" and "A2=child".

    Raises:
        click.UsageError: Some seats have a ticket type, and others have none.
    """
    from cinema_client.cinema.v1.booking_service_pb2 import SeatChoice  # noqa: PLC0415 (see session.py)

    pairs = [seat.partition("=") for seat in seats]
    if not any(typed for _, typed, _ in pairs):
        return [label.upper() for label in seats], []
    if not all(typed for _, typed, _ in pairs):
        raise click.UsageError("give a ticket type to each seat, such as A1=adult A2=child, or to none")
    return [], [SeatChoice(seat=label.upper(), ticket_type=ticket_type) for label, _, ticket_type in pairs]


def request_id(command: F) -> F:
    """Add --request-id to a command that changes something."""
    return click.option(
        "--request-id",
        default="",
        metavar="UUID",
        help="That of an earlier call with the same content, which is not carried out twice. By default a new one.",
    )(command)


def limit(default: int) -> Callable[[F], F]:
    """Add --limit to a command that lists something. ClientCommand lifts the default for JSON."""
    return click.option(
        "--limit",
        type=click.IntRange(1, MAX_LISTED),
        default=default,
        metavar="N",
        help=f"How many to list at most. By default {default}, and all with -o json.",
    )
