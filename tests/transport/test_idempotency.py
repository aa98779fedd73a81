"""Which calls are repeats of one another: by user, method, request_id and request."""

from collections.abc import Iterator

import pytest
from cinema.v1 import booking_service_pb2 as pb
from cinema.v1 import catalog_pb2
from cinema.v1.catalog_service_pb2 import CreateAuditoriumRequest

from cinema_grpc.application.account_ports import Principal
from cinema_grpc.application.errors import RequestIdReused
from cinema_grpc.application.idempotency import IdempotentCall
from cinema_grpc.domain.account import Role
from cinema_grpc.transport.call import Call, current_call
from cinema_grpc.transport.idempotency import idempotent_call

RPC = "cinema.v1.BookingService/CreateBooking"
ID = "0190b6f0-7a3c-7d3e-9f27-2f1c1a4b5c6d"


@pytest.fixture(autouse=True)
def _signed_in() -> Iterator[None]:
    call = Call(f"/{RPC}", ())
    call.principal = Principal("ada", Role.CUSTOMER)
    token = current_call.set(call)
    yield
    current_call.reset(token)


def call_of(request: pb.CreateBookingRequest | CreateAuditoriumRequest) -> IdempotentCall:
    call = idempotent_call(request)
    assert call is not None
    return call


def request(*seats: str, showtime_id: str = "s", request_id: str = ID) -> pb.CreateBookingRequest:
    return pb.CreateBookingRequest(showtime_id=showtime_id, seats=seats, request_id=request_id)


def test_a_call_without_a_request_id_is_always_a_new_one() -> None:
    assert idempotent_call(request("A1", request_id="")) is None


def test_a_call_is_known_by_its_caller_its_method_and_its_request_id() -> None:
    key = call_of(request("A1")).key
    assert (key.caller, key.rpc, key.request_id) == ("ada", RPC, ID)


def test_the_case_of_a_request_id_does_not_matter() -> None:
    shouted, said = call_of(request("A1", request_id=ID.upper())), call_of(request("A1"))
    assert (shouted.key, shouted.digest()) == (said.key, said.digest())


def test_a_repeat_gets_the_stored_response() -> None:
    stored = call_of(request("A1", "A2")).store(b"response")
    assert call_of(request("A1", "A2")).replay(stored) == b"response"


@pytest.mark.parametrize(
    "other",
    [request("A1"), request("A2", "A1"), request("A1", "A2", showtime_id="t"), request("A1", "A2", "A3")],
    ids=["fewer seats", "another order", "another showtime", "more seats"],
)
def test_a_request_id_with_any_other_request_is_refused(other: pb.CreateBookingRequest) -> None:
    stored = call_of(request("A1", "A2")).store(b"response")
    with pytest.raises(RequestIdReused):
        call_of(other).replay(stored)


def test_the_request_is_left_as_it_was() -> None:
    asked = request("A1")
    call_of(asked).digest()
    assert asked == request("A1")


def test_the_order_of_a_list_counts() -> None:
    def digest(*sections: int) -> str:
        rows = [catalog_pb2.SeatRow(label="A", sections=sections)]
        return call_of(CreateAuditoriumRequest(name="One", rows=rows, request_id=ID)).digest()

    assert digest(4, 6) == digest(4, 6)
    assert digest(4, 6) != digest(6, 4)
