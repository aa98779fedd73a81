"""Every reason of the contract, provoked over a real channel and read as a client reads it."""

import json
import re
from pathlib import Path

import pytest
from cinema.v1 import booking_service_pb2, catalog_service_pb2, error_reason_pb2, money_pb2, showtime_service_pb2

from tests.builders import NOW
from tests.rpc.conftest import PASSWORD, App, moment, refusal, running
from tests.rpc.provoked import GATEWAY
from tests.rpc.provoked_door import ALL_CASES

PROTO = Path(__file__).parents[2] / "protos/cinema/v1/error_reason.proto"


def test_every_reason_has_a_case() -> None:
    names = {name.removeprefix("ERROR_REASON_") for name in error_reason_pb2.ErrorReason.keys()}  # noqa: SIM118 (an enum)
    assert set(ALL_CASES) == names - {"UNSPECIFIED"}


def documented_metadata(name: str) -> list[set[str]]:
    """Return the keys of each example of metadata that the protos give for a reason."""
    before, found, _ = PROTO.read_text().partition(f"  ERROR_REASON_{name} = ")
    assert found
    comment = re.split(r" = \d+;", before)[-1].replace("\n  //", "")
    return [set(json.loads(example)) for example in re.findall(r"\{[^{}]*\}", comment)]


@pytest.mark.parametrize("name", ALL_CASES)
async def test_reason(name: str, database_url: str) -> None:
    """It has the code, details and metadata of the contract, and its message leaks nothing internal."""
    code, details, provoke = ALL_CASES[name]
    async with running(database_url, gateway=GATEWAY, shutdown_seconds=0) as app:
        refused = await provoke(app)
    assert (refused.code, refused.reason) == (code, name)
    assert set(refused.details) == details
    assert set(refused.metadata) in documented_metadata(name)
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
