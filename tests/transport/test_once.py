"""Which calls are repeats of one another."""

from collections.abc import Iterator

import pytest
from cinema.v1 import booking_service_pb2 as pb
from cinema.v1 import catalog_pb2
from cinema.v1.catalog_service_pb2 import CreateAuditoriumRequest

from cinema_grpc.application.account_ports import Principal
from cinema_grpc.application.errors import RequestIdReused
from cinema_grpc.application.once import Once
from cinema_grpc.domain.account import Role
from cinema_grpc.domain.booking import Booking
from cinema_grpc.transport.call import Call, current_call
from cinema_grpc.transport.once import once
from tests.builders import a_booking

RPC = "cinema.v1.BookingService/CreateBooking"
ID = "0190b6f0-7a3c-7d3e-9f27-2f1c1a4b5c6d"


@pytest.fixture(autouse=True)
def _signed_in() -> Iterator[None]:
    call = Call("/test.Service/Method", ())
    call.principal = Principal("ada", Role.CUSTOMER)
    token = current_call.set(call)
    yield
    current_call.reset(token)


def made(request: pb.CreateBookingRequest, rpc: str = RPC) -> Once[Booking]:
    found = once(request, rpc, Booking)
    assert found is not None
    return found


def request(*seats: str, showtime_id: str = "s", request_id: str = ID) -> pb.CreateBookingRequest:
    return pb.CreateBookingRequest(showtime_id=showtime_id, seats=seats, request_id=request_id)


def test_a_call_without_a_request_id_is_always_a_new_one() -> None:
    assert once(request("A1", request_id=""), RPC, Booking) is None


def test_a_call_is_known_by_its_caller_its_method_and_its_request_id() -> None:
    key = made(request("A1")).key
    assert (key.caller, key.rpc, key.request_id) == ("ada", RPC, ID)


def test_the_case_of_a_request_id_does_not_matter() -> None:
    shouted, said = made(request("A1", request_id=ID.upper())), made(request("A1"))
    assert (shouted.key, shouted.digest()) == (said.key, said.digest())


def test_a_repeat_gets_the_answer_as_it_was_given() -> None:
    booking = a_booking()
    recorded = made(request("A1", "A2")).record(booking)
    assert made(request("A1", "A2")).replay(recorded) == booking


@pytest.mark.parametrize(
    "other",
    [request("A1"), request("A2", "A1"), request("A1", "A2", showtime_id="t"), request("A1", "A2", "A3")],
    ids=["fewer seats", "another order", "another showtime", "more seats"],
)
def test_any_other_content_is_another_call(other: pb.CreateBookingRequest) -> None:
    recorded = made(request("A1", "A2")).record(a_booking())
    with pytest.raises(RequestIdReused):
        made(other).replay(recorded)


def test_the_request_is_left_as_it_was() -> None:
    asked = request("A1")
    made(asked).digest()
    assert asked == request("A1")


def test_content_within_lists_counts() -> None:
    def digest(*sections: int) -> bytes:
        rows = [catalog_pb2.SeatRow(label="A", sections=sections)]
        found = once(CreateAuditoriumRequest(name="One", rows=rows, request_id=ID), RPC, Booking)
        assert found is not None
        return found.digest()

    assert digest(4, 6) == digest(4, 6)
    assert digest(4, 6) != digest(6, 4)
