"""The security log: a line for each refusal and for each use of staff rights."""

from typing import Any

import grpc
import pytest
from cinema.v1 import booking_service_pb2, showtime_service_pb2
from structlog.testing import capture_logs

from tests.conftest import Lend
from tests.rpc.conftest import Metadata, refusal, running

NOBODY: Metadata = ()
MADE_UP: Metadata = (("authorization", "Bearer made.up.token"),)


def security_lines(logs: Any) -> list[dict[str, Any]]:
    return [line for line in logs if line.get("logger") == "cinema.security"]


@pytest.fixture
def url(lend: Lend, tmp_path: Any) -> Any:
    with lend("sqlite", tmp_path) as url:
        yield url


async def test_refusals(url: str) -> None:
    """Reason, client, call, and the user if authenticated; never the token."""
    async with running(url) as app:
        showtime = await app.showtime()
        booking = await app.book(showtime.showtime_id, "A1", "A2")
        ada, bob = await app.customer(), await app.customer("bob")
        ask = booking_service_pb2.GetBookingRequest(booking_id=booking.booking_id)
        create = showtime_service_pb2.CreateShowtimeRequest()
        get: Any = app.bookings.GetBooking
        make: Any = app.showtimes.CreateShowtime
        cases = ((get, ask, NOBODY), (get, ask, MADE_UP), (get, ask, bob), (make, create, ada))
        with capture_logs() as logs:
            reasons = [(await refusal(call(request, metadata=who))).reason for call, request, who in cases]
            await get(ask, metadata=ada)
        lines = security_lines(logs)
    assert reasons == ["TOKEN_MISSING", "TOKEN_INVALID", "NOT_BOOKING_OWNER", "ROLE_REQUIRED"]
    assert [line["reason"] for line in lines] == reasons
    assert {(line["event"], line["log_level"]) for line in lines} == {("refused", "warning")}
    assert [line["method"].rpartition("/")[2] for line in lines] == [*["GetBooking"] * 3, "CreateShowtime"]
    assert [("user_id" in line) for line in lines] == [False, False, True, True]
    assert lines[3]["user_id"] == booking.user_id
    calls = {line["request_id"] for line in logs if line["event"] == "call"}
    for line in lines:
        assert line["peer"].startswith("ipv4:127.0.0.1:")
        assert line["request_id"] in calls
    assert "made.up.token" not in str(logs)


async def test_uses_of_staff_rights(url: str) -> None:
    """Also of a call that fails; not of a call that anyone may make."""
    async with running(url) as app:
        staff = await app.staff()
        with capture_logs() as logs:
            await app.movie()
            with pytest.raises(grpc.aio.AioRpcError):
                await app.showtimes.CreateShowtime(showtime_service_pb2.CreateShowtimeRequest(), metadata=staff)
            await app.showtimes.ListShowtimes(showtime_service_pb2.ListShowtimesRequest(), metadata=staff)
        lines = security_lines(logs)
    assert [(line["event"], line["method"]) for line in lines] == [
        ("rights of staff used", "/cinema.v1.CatalogService/CreateMovie"),
        ("rights of staff used", "/cinema.v1.ShowtimeService/CreateShowtime"),
    ]
    assert len({line["user_id"] for line in lines}) == 1
