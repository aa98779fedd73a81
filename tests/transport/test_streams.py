"""Streams through the call pipeline: their errors, their end, and what they are interrupted for."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from cinema.v1 import booking_service_pb2 as pb
from structlog.testing import capture_logs

from cinema_grpc.domain.booking_errors import SeatsUnavailable
from cinema_grpc.transport.call import Call, CallState
from cinema_grpc.transport.handlers import Context, MethodTraits
from cinema_grpc.transport.limits import Limits
from cinema_grpc.transport.open_calls import OpenCalls
from cinema_grpc.transport.pipeline import CallPipeline
from tests.transport.conftest import Serve
from tests.transport.wire import reason_of

METHOD = "/test.Service/Method"


async def echo_each(
    requests: AsyncIterator[pb.GetBookingRequest], _context: object
) -> AsyncIterator[pb.GetBookingRequest]:
    async for request in requests:
        yield request


async def write_each(requests: AsyncIterator[pb.GetBookingRequest], context: Context) -> None:
    async for request in requests:
        await context.write(request)


async def join(_requests: AsyncIterator[pb.GetBookingRequest], _context: object) -> pb.GetBookingRequest:
    return pb.GetBookingRequest()


async def spell(request: pb.GetBookingRequest, _context: object) -> AsyncIterator[pb.GetBookingRequest]:
    for letter in request.booking_id:
        yield pb.GetBookingRequest(booking_id=letter)


REQUEST = pb.GetBookingRequest
CODEC: dict[str, Any] = {
    "request_deserializer": REQUEST.FromString,
    "response_serializer": REQUEST.SerializeToString,
}
CLIENT_CODEC: dict[str, Any] = {
    "request_serializer": REQUEST.SerializeToString,
    "response_deserializer": REQUEST.FromString,
}


class TestStreams:
    @pytest.mark.parametrize("behaviour", [echo_each, write_each])
    async def test_both_ways(self, serve: Serve, behaviour: Any) -> None:
        channel = await serve(CallPipeline({METHOD: grpc.stream_stream_rpc_method_handler(behaviour, **CODEC)}))
        call = channel.stream_stream(METHOD, **CLIENT_CODEC)(iter([REQUEST(booking_id="a"), REQUEST(booking_id="b")]))
        assert [answer.booking_id async for answer in call] == ["a", "b"]
        assert "x-request-id" in await call.trailing_metadata()

    @pytest.mark.parametrize("behaviour", [echo_each, write_each])
    async def test_bytes_in_the_stream_that_are_no_message_are_a_malformed_request(
        self, serve: Serve, behaviour: Any
    ) -> None:
        channel = await serve(CallPipeline({METHOD: grpc.stream_stream_rpc_method_handler(behaviour, **CODEC)}))
        call = channel.stream_stream(METHOD)(iter([b"", b"\xff"]))
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            assert [answer async for answer in call] == [b""]
        assert reason_of(raised.value) == "INVALID_REQUEST"

    async def test_requests_alone_are_not_supported(self) -> None:
        """The contract has no such method, and the pipeline would neither validate nor bound its requests."""
        with pytest.raises(ValueError, match=METHOD):
            CallPipeline({METHOD: grpc.stream_unary_rpc_method_handler(join, **CODEC)})

    async def test_answers_alone(self, serve: Serve) -> None:
        channel = await serve(CallPipeline({METHOD: grpc.unary_stream_rpc_method_handler(spell, **CODEC)}))
        call = channel.unary_stream(METHOD, **CLIENT_CODEC)(REQUEST(booking_id="abc"))
        assert [answer.booking_id async for answer in call] == ["a", "b", "c"]
        assert "x-request-id" in await call.trailing_metadata()

    async def test_an_error_after_some_answers(self, serve: Serve) -> None:
        async def break_down(_request: object, _context: object) -> AsyncIterator[pb.GetBookingRequest]:
            yield REQUEST(booking_id="a")
            raise SeatsUnavailable(["A1"])

        channel = await serve(CallPipeline({METHOD: grpc.unary_stream_rpc_method_handler(break_down, **CODEC)}))
        call = channel.unary_stream(METHOD, **CLIENT_CODEC)(REQUEST())
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            assert [answer.booking_id async for answer in call] == ["a"]
        assert reason_of(raised.value) == "SEATS_UNAVAILABLE"

    async def test_a_client_that_hangs_up_closes_the_stream(self, serve: Serve) -> None:
        closed = asyncio.Event()

        async def endless(_request: object, _context: object) -> AsyncIterator[pb.GetBookingRequest]:
            try:
                while True:
                    yield REQUEST(booking_id="a")
                    await asyncio.sleep(0)
            finally:
                closed.set()

        pipeline = CallPipeline({METHOD: grpc.unary_stream_rpc_method_handler(endless, **CODEC)})
        channel = await serve(pipeline)
        with capture_logs() as logs:
            call = channel.unary_stream(METHOD, **CLIENT_CODEC)(REQUEST())
            await call.read()
            call.cancel()
            async with asyncio.timeout(5):
                await closed.wait()
                pipeline.begin_shutdown()
                await pipeline.idle()
        assert [line["code"] for line in logs] == ["CANCELLED"]

    @pytest.mark.parametrize("state", CallState)
    async def test_a_stream_that_is_ending_is_not_evicted(self, state: CallState) -> None:
        """Its client would wait for the status until its deadline."""
        call = Call(METHOD, ())
        call.is_stream = True
        call.enter(state)
        ending = {CallState.STARTING, CallState.ENDING, CallState.ABANDONED}
        assert OpenCalls(Limits())._evict_stream(call) == (state not in ending)


class TestWatches:
    async def test_they_have_places_of_their_own(self, serve: Serve) -> None:
        """Those of a client that takes them all are not taken from others' streams, calls and health checks."""

        async def watch(request: pb.GetBookingRequest, _context: object) -> AsyncIterator[pb.GetBookingRequest]:
            yield request
            await asyncio.Event().wait()

        pipeline = CallPipeline(
            {
                METHOD: grpc.unary_stream_rpc_method_handler(watch, **CODEC),
                "/test.Service/Spell": grpc.unary_stream_rpc_method_handler(spell, **CODEC),
            },
            Limits(watches_at_once=3, streams_at_once=1),
            traits={METHOD: MethodTraits(watch=True)},
        )
        channel = await serve(pipeline)
        watches = []
        for _ in range(2):
            watches.append(channel.unary_stream(METHOD, **CLIENT_CODEC)(REQUEST(booking_id="a")))
            assert (await watches[-1].read()).booking_id == "a"
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await channel.unary_stream(METHOD, **CLIENT_CODEC)(REQUEST()).read()
        assert (raised.value.code(), reason_of(raised.value)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "STREAM_LIMIT")
        other = channel.unary_stream("/test.Service/Spell", **CLIENT_CODEC)(REQUEST(booking_id="bc"))
        assert [answer.booking_id async for answer in other] == ["b", "c"]
        pipeline.begin_shutdown()
        for call in watches:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await call.read()
            assert reason_of(raised.value) == "SHUTTING_DOWN"
