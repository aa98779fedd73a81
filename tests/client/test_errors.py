"""Errors have types: one class a reason, with the metadata as attributes."""

import datetime as dt
import json
import pickle
import re
from collections.abc import Callable
from copy import copy, deepcopy
from pathlib import Path
from typing import Any

import grpc
import pytest
from cinema_client import CinemaError, FieldViolation, errors
from cinema_client.cinema.v1 import catalog_service_pb2, error_reason_pb2
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from tests.client.conftest import Either
from tests.client.proxy import Proxy
from tests.rpc.conftest import App

PROTO = (Path(__file__).parents[2] / "protos/cinema/v1/error_reason.proto").read_text()
TIME = dt.datetime(2026, 5, 1, 19, tzinfo=dt.UTC)


def documented() -> list[tuple[str, dict[str, str]]]:
    """Return each example of metadata in the proto."""
    found: list[tuple[str, dict[str, str]]] = []
    for comment, name in re.findall(r"((?:  //.*\n)+)  ERROR_REASON_(\w+) = ", PROTO):
        found += [(name, json.loads(each)) for each in re.findall(r"\{[^{}]*\}", comment.replace("\n  //", ""))]
    return found


async def failure(
    proxy: Proxy, either: Either, reason: str, metadata: dict[str, str], domain: str = "cinema.v1"
) -> Any:
    """Return what a call raises that ends with this reason."""
    status = Status(code=grpc.StatusCode.FAILED_PRECONDITION.value[0], message="it is so")
    status.details.add().Pack(ErrorInfo(reason=reason, domain=domain, metadata=metadata))
    proxy.faults = [status]
    with pytest.raises(grpc.RpcError) as raised:  # which each of them is
        await either.call(either.client.catalog.ListMovies, catalog_service_pb2.ListMoviesRequest())
    return raised.value


@pytest.mark.parametrize("copied", [lambda error: pickle.loads(pickle.dumps(error)), deepcopy, copy])  # noqa: S301
async def test_an_error_can_be_copied_and_pickled(
    app: App, either: Either, copied: Callable[[CinemaError], CinemaError]
) -> None:
    """As a pool of processes does, and libraries that run tasks."""
    showtime = await app.showtime()
    await either.sign_in(app)
    await either.book(showtime.showtime_id, "A1", "A2")
    with pytest.raises(errors.SeatsUnavailable) as raised:
        await either.book(showtime.showtime_id, "A1", "A2")
    other = copied(raised.value)
    assert type(other) is errors.SeatsUnavailable
    assert other.seats == raised.value.seats == ("A1", "A2")
    assert other.code() is raised.value.code()
    assert str(other) == str(raised.value)
    assert other.x_request_id == raised.value.x_request_id != ""
    assert other.request_id == raised.value.request_id != ""


async def test_each_reason_has_a_class(proxy: Proxy, either: Either) -> None:
    """All metadata that the proto shows is an attribute of it, and can be read."""
    names = {name.removeprefix("ERROR_REASON_") for name in error_reason_pb2.ErrorReason.keys()}  # noqa: SIM118 (an enum)
    assert set(errors.REASONS) == {name for name, _ in documented()} == names - {"UNSPECIFIED"}
    for reason, metadata in documented():
        if reason == "TOKEN_EXPIRED":
            continue  # which the client deals with
        error = await failure(proxy, either, reason, metadata)
        assert type(error) is errors.REASONS[reason]
        assert (error.reason, error.metadata) == (reason, metadata)
        for key, value in metadata.items():
            read = getattr(error, key) if key != "request_id" else value
            if isinstance(read, dt.datetime):
                assert read.utcoffset() == dt.timedelta()
            else:
                assert read == value or (",".join(read) if isinstance(read, tuple) else str(read).lower()) == value


async def test_the_types_of_attributes(proxy: Proxy, either: Either) -> None:
    """Labels are tuples, numbers are numbers, times have a zone; what was not sent is None, false or empty."""
    gap = await failure(proxy, either, "SINGLE_SEAT_GAP", {"stranded_seats": "A2,B7"})
    assert (gap.stranded_seats, gap.booking_id) == (("A2", "B7"), None)
    late = await failure(
        proxy,
        either,
        "HOLD_EXPIRED",
        {"booking_id": "b", "hold_expire_time": "2026-05-01T19:00:00Z", "charged": "true"},
    )
    assert (late.hold_expire_time, late.charged) == (TIME, True)
    late = await failure(proxy, either, "HOLD_EXPIRED", {"booking_id": "b", "hold_expire_time": "2026-05-01T19:00:00Z"})
    assert late.charged is False
    limit = await failure(proxy, either, "HOLD_LIMIT", {"limit": "10", "held": "8", "requested": "4"})
    assert (limit.limit, limit.held, limit.requested, limit.scope) == (10, 8, 4, None)
    types = await failure(proxy, either, "TICKET_TYPE_NOT_OFFERED", {"ticket_types": "child,student"})
    assert (types.seats, types.ticket_types) == ((), ("child", "student"))
    busy = await failure(proxy, either, "OVERLOADED", {"calls_at_once": "9", "retry_after_seconds": "1"})
    assert (busy.calls_at_once, busy.longest_wait_seconds, busy.unsent_bytes) == (9, None, None)


async def test_an_unknown_reason(proxy: Proxy, either: Either) -> None:
    """One of a later server, and one of another service."""
    error = await failure(proxy, either, "OF_NEXT_YEAR", {"key": "value"})
    assert type(error) is CinemaError
    assert (error.reason, error.metadata, str(error)) == (
        "OF_NEXT_YEAR", {"key": "value"}, "FAILED_PRECONDITION OF_NEXT_YEAR: it is so",
    )  # fmt: skip
    error = await failure(proxy, either, "HOLD_LIMIT", {}, domain="another.v1")
    assert (type(error), error.reason, str(error)) == (CinemaError, "", "FAILED_PRECONDITION: it is so")


async def test_a_malformed_request(app: App, either: Either) -> None:
    """The bad fields, with what is allowed; and the identifier of the call in the server's log."""
    await either.sign_in(app, "staff")
    request = catalog_service_pb2.CreateCinemaRequest(name="Rex", time_zone="Europe/Nowhere")
    with pytest.raises(errors.InvalidRequest) as raised:
        await either.call(either.client.catalog.CreateCinema, request)
    error = raised.value
    assert error.fields == ("time_zone",)
    (violation,) = error.violations
    assert isinstance(violation, FieldViolation)
    assert violation.field == "time_zone"
    assert violation.description in error.message == error.details()
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert ("x-request-id", error.x_request_id) in error.trailing_metadata()
    assert len(error.x_request_id) == 36
    assert error.retry_delay is None


async def test_a_server_that_is_not_there(either: Either) -> None:
    gone = Either(type(either.client)("127.0.0.1:9", timeout=20), [])
    with pytest.raises(CinemaError) as raised:
        await gone.call(gone.client.catalog.ListMovies, catalog_service_pb2.ListMoviesRequest())
    assert (raised.value.code(), raised.value.reason, raised.value.x_request_id) == (
        grpc.StatusCode.UNAVAILABLE, "", "",
    )  # fmt: skip
    await gone.close()
