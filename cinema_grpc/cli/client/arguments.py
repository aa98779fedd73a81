"""Arguments and options that several commands have."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from cinema_client.cinema.v1.booking_service_pb2 import SeatChoice
    from google.protobuf.timestamp_pb2 import Timestamp

F = TypeVar("F", bound=Callable[..., Any])

MOST_LISTED = 1_000_000
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
    """Add --limit to a command that lists something."""
    return click.option(
        "--limit",
        type=click.IntRange(1, MOST_LISTED),
        default=default,
        metavar="N",
        help=f"How many to list at most. By default {default}.",
    )
