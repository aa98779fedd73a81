"""`cinema cancel-showtime` and `move-showtime`: what the staff do when a showtime can't take place as planned."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import click

from cinema_grpc.cli.client.arguments import Start, timestamp
from cinema_grpc.cli.client.exit_codes import OF_STATUS, ExitCode
from cinema_grpc.cli.client.session import ClientCommand, Session, fail, unknown_outcome
from cinema_grpc.cli.printing import plain

if TYPE_CHECKING:
    from cinema_client.cinema.v1 import showtime_pb2
    from cinema_client.cinema.v1 import showtime_service_pb2 as pb
    from google.protobuf.timestamp_pb2 import Timestamp

# ruff: noqa: PLC0415 (see session.py)

yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask first.")


@click.command("cancel-showtime", cls=ClientCommand)
@click.argument("showtime")
@click.option("--reason", required=True, help="Why. Customers see it.")
@yes_option
def cancel_showtime(session: Session, showtime: str, reason: str, yes: bool) -> None:  # noqa: FBT001 (click calls it)
    """Cancel a showtime with all of its bookings, and refund everything. For staff.

    Says what that affects, and asks first. If bookings change before the answer, nothing is cancelled: run it again.
    """
    from cinema_client.cinema.v1.showtime_service_pb2 import CancelShowtimeRequest

    request = CancelShowtimeRequest(showtime_id=showtime, reason=reason)
    with session.client() as client:
        _preview_and_do(session, client.showtimes.CancelShowtime, request, ("Cancel", "Cancelled"), yes=yes)


@click.command("move-showtime", cls=ClientCommand)
@click.argument("showtime")
@click.argument("start", type=Start())
@click.option("--reason", default="", help="Why, for the log.")
@yes_option
def move_showtime(session: Session, showtime: str, start: datetime, reason: str, yes: bool) -> None:  # noqa: FBT001 (click calls it)
    """Move a showtime to another START in its auditorium; bookings keep their seats. For staff.

    Says what that affects, and asks first. If bookings change before the answer, nothing is moved: run it again.
    """
    from cinema_client.cinema.v1.showtime_service_pb2 import UpdateShowtimeRequest

    request = UpdateShowtimeRequest(showtime_id=showtime, start_time=timestamp(start), reason=reason)
    request.update_mask.paths.append("start_time")
    with session.client() as client:
        _preview_and_do(
            session, client.showtimes.UpdateShowtime, request, ("Move", "Moved"), request.start_time, yes=yes
        )


def _preview_and_do(
    session: Session,
    call: "Callable[..., pb.CancelShowtimeResponse | pb.UpdateShowtimeResponse]",
    request: "pb.CancelShowtimeRequest | pb.UpdateShowtimeRequest",
    verbs: tuple[str, str],
    new_start: "Timestamp | None" = None,
    *,
    yes: bool,
) -> None:
    """Show what a change affects, ask, make just that change, and show the outcome.

    With `yes` no preview is shown, so the change is made whatever has happened since.
    """
    from cinema_client import CinemaError

    verb, done = verbs
    is_under_way = False
    request.validate_only = True
    try:
        preview = call(request)
        shown = _described(preview.showtime, new_start)
        request.validate_only = False
        if not yes:
            click.confirm(f"{verb} {shown}? {_affected(preview.impact)}.", abort=True, err=True)
            request.expected_revision = preview.showtime.revision
        is_under_way = True
        response = session.carry_out(call, request, by_id=False)
    except CinemaError as error:
        if is_under_way and OF_STATUS.get(error.code().name) is ExitCode.UNAVAILABLE:
            message, reason = f"{error.message} ({unknown_outcome('')})", error.reason or error.code().name
            fail(session.output, ExitCode.UNAVAILABLE, message, reason, error.metadata)
        error.request_id = ""  # the command takes none
        raise
    session.show(response, lambda: f"{done}: {shown}\n{_affected(response.impact)}")


def _described(showtime: "showtime_pb2.Showtime", new_start: "Timestamp | None") -> str:
    """Return what is shown where and when, with times of the cinema's time zone."""
    from cinema_grpc.cli.client.output import moment, zone_of

    zone = showtime.cinema.time_zone
    starts = " to ".join(moment(each, zone_of(zone)) for each in (showtime.start_time, new_start) if each is not None)
    return plain(f"{showtime.movie.title} ({showtime.cinema.name}, {showtime.auditorium_name}), {starts} ({zone})")


def _affected(impact: "showtime_pb2.Impact") -> str:
    """Return what a change affects, in words."""
    from cinema_grpc.cli.client.output import money

    numbers = {
        "Paid bookings": impact.confirmed_bookings,
        "unpaid": impact.reserved_bookings,
        "being paid": impact.payments_in_progress,
        "seats": impact.seats,
        "redeemed tickets": impact.redeemed_tickets,
    }
    parts = [f"{name}: {number}" for name, number in numbers.items() if number or name in {"Paid bookings", "seats"}]
    return ", ".join([*parts, f"to refund: {money(impact.refund_total)}"] if impact.refund_total.minor_units else parts)
