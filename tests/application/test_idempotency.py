"""A call with a request_id is carried out once: a repeat gets the stored response, and has no effect."""

from datetime import timedelta

import pytest

from cinema_grpc.application.errors import RequestIdReused
from cinema_grpc.domain.booking import Booking, BookingStatus
from cinema_grpc.domain.booking_errors import SeatsUnavailable
from tests.application.commands import cancel_command, expire_command, idempotent_call
from tests.application.conftest import App
from tests.application.sales import outcomes


async def test_a_repeat_gets_the_same_response(app: App) -> None:
    first = await app.hold("A1", call=idempotent_call("r1"))
    assert await app.hold("A1", call=idempotent_call("r1")) == first
    assert len(await app.rows("booking")) == 1


async def test_twenty_at_once_have_one_effect(app: App) -> None:
    results = await outcomes(*(app.hold("A1", call=idempotent_call("r1")) for _ in range(20)))
    assert len({result.booking_id for result in results}) == 1
    assert len(await app.rows("booking")) == 1


async def test_the_response_is_that_of_the_first_call(app: App) -> None:
    """Even if the booking has changed since."""
    first = await app.hold("A1", call=idempotent_call("r1"))
    app.clock.advance(timedelta(hours=1))
    await app.box_office.execute(expire_command())
    again = await app.hold("A1", call=idempotent_call("r1"))
    assert again == first
    assert again.status is BookingStatus.RESERVED


@pytest.mark.parametrize("at_once", [True, False])
async def test_another_request_with_the_same_id_is_refused(app: App, at_once: bool) -> None:
    calls = [app.hold("A1", call=idempotent_call("r1")), app.hold("A2", call=idempotent_call("r1", b"other"))]
    results = await outcomes(*calls) if at_once else [(await outcomes(call))[0] for call in calls]
    assert isinstance(results[0], Booking)
    assert isinstance(results[1], RequestIdReused)


async def test_users_do_not_share_ids(app: App) -> None:
    await app.hold("A1", call=idempotent_call("r1"))
    booking = await app.hold("A2", by="bob", call=idempotent_call("r1", caller="bob"))
    assert booking.labels == ("A2",)


async def test_a_refusal_is_not_stored(app: App) -> None:
    """The same id may be tried again, and then succeed."""
    taken = await app.hold("A1", by="bob")
    with pytest.raises(SeatsUnavailable):
        await app.hold("A1", call=idempotent_call("r1"))
    await app.box_office.execute(cancel_command(taken))
    assert (await app.hold("A1", call=idempotent_call("r1"))).labels == ("A1",)


async def test_two_replicas_with_one_request(app: App) -> None:
    """The second one finds the stored response."""
    async with app.other_process() as other:
        calls = app.hold("A1", call=idempotent_call("r1")), other.hold("A1", call=idempotent_call("r1"))
        first, second = await outcomes(*calls)
    assert first == second
    assert isinstance(first, Booking)
