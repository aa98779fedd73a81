"""Responses of servicers: messages, or their serializations."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from cinema.v1 import booking_pb2
from cinema.v1 import booking_service_pb2 as pb

from cinema_grpc.transport.handlers import Handler, Response, handlers_of
from cinema_grpc.transport.pipeline import CallPipeline
from tests.transport.conftest import Serve

METHOD, STREAM = "/test.Service/Method", "/test.Service/Stream"
ENCODED = pb.GetBookingResponse(booking=booking_pb2.Booking(booking_id="b")).SerializeToString()


@pytest.mark.parametrize("response", [pb.GetBookingResponse.FromString(ENCODED), ENCODED])
async def test_a_message_and_its_serialization_are_the_same_response(serve: Serve, response: Response) -> None:
    """Both count towards the bytes that wait to be sent, and neither does once it is sent."""

    async def respond(_request: object, _context: object) -> Response:
        return response

    async def respond_twice(_request: object, _context: object) -> AsyncIterator[Response]:
        yield response
        yield response

    unary: Handler = grpc.unary_unary_rpc_method_handler(
        respond, pb.GetBookingRequest.FromString, pb.GetBookingResponse.SerializeToString
    )
    stream: Handler = grpc.unary_stream_rpc_method_handler(
        respond_twice, pb.GetBookingRequest.FromString, pb.GetBookingResponse.SerializeToString
    )
    pipeline = CallPipeline({METHOD: unary, STREAM: stream})
    taken: list[int] = []
    memory = pipeline._open_calls.memory
    add = memory.add

    def counted(connection: str, size: int) -> None:
        taken.append(size)
        add(connection, size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "add", counted)
        channel = await serve(pipeline)
        assert await channel.unary_unary(METHOD)(b"") == ENCODED
        assert [each async for each in channel.unary_stream(STREAM)(b"")] == [ENCODED] * 2
    assert taken == [len(ENCODED)] * 3
    pipeline.begin_shutdown()
    async with asyncio.timeout(5):
        await pipeline.idle()
    assert memory._used == 0


def test_a_servicer_has_every_method_of_its_service() -> None:
    service = pb.DESCRIPTOR.services_by_name["BookingService"]
    with pytest.raises(AttributeError, match="CreateBooking"):
        handlers_of(service, object())
