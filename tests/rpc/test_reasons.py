"""Every reason of the contract, provoked over a real channel and read as a client reads it."""

import pytest
from cinema.v1 import booking_service_pb2, catalog_service_pb2, error_reason_pb2, money_pb2, showtime_service_pb2

from tests.builders import NOW
from tests.rpc.conftest import PASSWORD, App, moment, refusal, running
from tests.rpc.provoked import CASES, GATEWAY


def test_every_reason_has_a_case() -> None:
    names = {name.removeprefix("ERROR_REASON_") for name in error_reason_pb2.ErrorReason.keys()}  # noqa: SIM118 (an enum)
    assert set(CASES) == names - {"UNSPECIFIED"}


@pytest.mark.parametrize("name", CASES)
async def test_reason(name: str, database_url: str) -> None:
    """It has the code and details of the contract, and its message leaks nothing internal."""
    code, details, provoke = CASES[name]
    async with running(database_url, gateway=GATEWAY, shutdown_seconds=0) as app:
        refused = await provoke(app)
    assert (refused.code, refused.reason) == (code, name)
    assert set(refused.details) == details
    assert "x-request-id" in refused.trailers
    assert all(value in refused.message for value in refused.metadata.values() if "," not in value)
    shown = f"{refused.message} {refused.details}"
    assert not any(word in shown for word in ("SELECT", "INSERT", "sqlite", "Traceback", "/", PASSWORD, "Bearer ey"))


async def test_checks_come_in_the_order_token_role_request(app: App) -> None:
    """The order is token, role, request: a malformed request without a token is TOKEN_MISSING."""
    refused = await refusal(app.bookings.CreateBooking(booking_service_pb2.CreateBookingRequest()))
    assert refused.reason == "TOKEN_MISSING"
    movie = catalog_service_pb2.CreateMovieRequest()
    refused = await refusal(app.catalog.CreateMovie(movie, metadata=await app.customer()))
    assert refused.reason == "ROLE_REQUIRED"
    refused = await refusal(app.catalog.CreateMovie(movie, metadata=await app.staff()))
    assert refused.reason == "INVALID_REQUEST"
    showtime = showtime_service_pb2.CreateShowtimeRequest(
        movie_id="none", auditorium_id="none", start_time=moment(NOW), price=money_pb2.Money(currency_code="EUR")
    )
    refused = await refusal(app.showtimes.CreateShowtime(showtime, metadata=await app.staff()))
    assert refused.details["BadRequest"].field_violations[0].field == "start_time"
