"""Every call ends with a status, an x-request-id and one line in the log, whatever becomes of it."""

import asyncio
from contextvars import ContextVar
from typing import Any

import grpc
import pytest
from cinema.v1 import booking_service_pb2 as pb
from grpc import StatusCode
from structlog.testing import capture_logs
from structlog.typing import EventDict

from cinema_grpc.domain.booking_errors import SeatsUnavailable
from cinema_grpc.domain.errors import CinemaError, ErrorKind, FieldViolation, InvalidRequest, NameTaken
from cinema_grpc.transport.call import add_request_id
from cinema_grpc.transport.handlers import Context, Handler
from cinema_grpc.transport.pipeline import CallPipeline
from tests.transport.conftest import Serve
from tests.transport.wire import failure, reason_of, status_of, trailing

METHOD = "/test.Service/Method"


def unary(behaviour: Any) -> dict[str, Handler]:
    handler: Handler = grpc.unary_unary_rpc_method_handler(
        behaviour, pb.GetBookingRequest.FromString, pb.GetBookingResponse.SerializeToString
    )
    return {METHOD: handler}


def raising(error: BaseException) -> dict[str, Handler]:
    async def fail(_request: object, _context: object) -> None:
        raise error

    return unary(fail)


async def answer(_request: object, _context: object) -> pb.GetBookingResponse:
    return pb.GetBookingResponse()


async def refused(channel: Any, request: bytes = b"", **options: Any) -> grpc.aio.AioRpcError:
    return await failure(channel.unary_unary(METHOD)(request, **options))


class TestRequestId:
    @pytest.mark.parametrize("own", ["a", "Trace_1.2-3", "x" * 128])
    async def test_a_well_formed_one_comes_back(self, serve: Serve, own: str) -> None:
        channel = await serve(CallPipeline(unary(answer)))
        call = channel.unary_unary(METHOD)(b"", metadata=(("x-request-id", own),))
        await call
        assert (await call.trailing_metadata()).get_all("x-request-id") == [own]

    @pytest.mark.parametrize("own", ["", "a b", "x" * 129, "a,b", "{}"])
    async def test_any_other_is_replaced(self, serve: Serve, own: str) -> None:
        channel = await serve(CallPipeline(unary(answer)))
        call = channel.unary_unary(METHOD)(b"", metadata=(("x-request-id", own),))
        await call
        (given,) = (await call.trailing_metadata()).get_all("x-request-id")
        assert len(given) == 36
        assert given != own

    async def test_of_several_the_first_counts(self, serve: Serve) -> None:
        channel = await serve(CallPipeline(unary(answer)))
        call = channel.unary_unary(METHOD)(b"", metadata=(("x-request-id", "one"), ("x-request-id", "two")))
        await call
        assert (await call.trailing_metadata()).get_all("x-request-id") == ["one"]

    async def test_calls_without_one_get_different_ones(self, serve: Serve) -> None:
        channel = await serve(CallPipeline(unary(answer)))
        given = set()
        for _ in range(3):
            call = channel.unary_unary(METHOD)(b"")
            await call
            given.add((await call.trailing_metadata())["x-request-id"])
        assert len(given) == 3

    async def test_a_failed_call_has_it_too(self, serve: Serve) -> None:
        channel = await serve(CallPipeline(raising(SeatsUnavailable(["A1"]))))
        assert trailing(await refused(channel, metadata=(("x-request-id", "mine"),)), "x-request-id") == "mine"

    async def test_log_lines_of_the_call_carry_it(self, serve: Serve) -> None:
        lines = []

        async def log(_request: object, _context: object) -> pb.GetBookingResponse:
            lines.append(add_request_id(None, "info", {"event": "within"}))
            return pb.GetBookingResponse()

        channel = await serve(CallPipeline(unary(log)))
        await channel.unary_unary(METHOD)(b"", metadata=(("x-request-id", "mine"),))
        assert lines == [{"event": "within", "request_id": "mine"}]
        assert add_request_id(None, "info", {"event": "without"}) == {"event": "without"}


class TestErrors:
    async def test_an_error_of_the_contract(self, serve: Serve) -> None:
        channel = await serve(CallPipeline(raising(SeatsUnavailable(["A1", "A2"]))))
        error = await refused(channel)
        assert error.code() is StatusCode.FAILED_PRECONDITION
        assert reason_of(error) == "SEATS_UNAVAILABLE"

    async def test_a_message_arrives_whatever_its_letters(self, serve: Serve) -> None:
        name = "Größter Saal 🎬 100% 名画座\n"
        channel = await serve(CallPipeline(raising(NameTaken(name))))
        error = await refused(channel)
        assert error.details() == NameTaken(name).message
        assert status_of(error).message == NameTaken(name).message

    @pytest.mark.parametrize(
        "error", [ValueError("SELECT secret"), KeyError("secret"), AssertionError(), TimeoutError()]
    )
    async def test_an_internal_error_is_described_in_the_log_only(self, serve: Serve, error: Exception) -> None:
        channel = await serve(CallPipeline(raising(error)))
        with capture_logs() as logs:
            error_sent = await refused(channel)
        assert error_sent.code() is StatusCode.INTERNAL
        assert error_sent.details() == "internal error"
        assert reason_of(error_sent) == "INTERNAL_ERROR"
        assert b"secret" not in status_of(error_sent).SerializeToString()
        (line,) = logs
        assert line["exc_info"] is error
        assert error.__traceback__ is not None

    async def test_a_reason_that_is_not_in_the_contract_is_an_internal_error(self, serve: Serve) -> None:
        class Unheard(CinemaError):
            kind = ErrorKind.INVALID
            reason = "UNHEARD_OF"
            template = "what?"

        channel = await serve(CallPipeline(raising(Unheard())))
        assert reason_of(await refused(channel)) == "INTERNAL_ERROR"

    async def test_bytes_that_are_no_message_are_a_malformed_request(self, serve: Serve) -> None:
        channel = await serve(CallPipeline(unary(answer)))
        error = await refused(channel, b"\xff\xff\xff")
        assert error.code() is StatusCode.INVALID_ARGUMENT
        assert reason_of(error) == "INVALID_REQUEST"

    async def test_a_response_that_is_no_message_is_an_internal_error(self, serve: Serve) -> None:
        async def nothing(_request: object, _context: object) -> None:
            return None

        channel = await serve(CallPipeline(unary(nothing)))
        assert reason_of(await refused(channel)) == "INTERNAL_ERROR"

    async def test_a_handler_that_is_no_coroutine_is_an_internal_error(self, serve: Serve) -> None:
        channel = await serve(CallPipeline(unary(lambda _request, _context: pb.GetBookingResponse())))
        assert reason_of(await refused(channel)) == "INTERNAL_ERROR"

    async def test_a_servicer_may_abort_by_itself(self, serve: Serve) -> None:
        async def abort(_request: object, context: Context) -> None:
            await context.abort(StatusCode.NOT_FOUND, "who?")

        pipeline = CallPipeline(unary(abort))
        channel = await serve(pipeline)
        with capture_logs() as logs:
            error = await refused(channel, metadata=(("x-request-id", "mine"),))
            pipeline.begin_shutdown()
            await asyncio.wait_for(pipeline.idle(), 20)
        assert (error.code(), error.details()) == (StatusCode.NOT_FOUND, "who?")
        assert trailing(error, "x-request-id") == "mine"
        assert [line["code"] for line in logs] == ["NOT_FOUND"]

    async def test_a_cancellation_within_the_call_is_an_internal_error(self, serve: Serve) -> None:
        async def wait(_request: object, _context: object) -> None:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            future.cancel()
            await future

        channel = await serve(CallPipeline(unary(wait)))
        assert reason_of(await refused(channel, timeout=20)) == "INTERNAL_ERROR"

    async def test_a_cancellation_within_the_call_during_shutdown_is_no_internal_error(self, serve: Serve) -> None:
        """As of a password hash, which is cancelled before the call that waits for it."""

        async def wait(_request: object, _context: object) -> None:
            pipeline.begin_shutdown()
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            future.cancel()
            await future

        pipeline = CallPipeline(unary(wait))
        channel = await serve(pipeline)
        assert reason_of(await refused(channel, timeout=20)) == "SHUTTING_DOWN"

    async def test_an_unknown_method_is_not_cached(self, serve: Serve) -> None:
        pipeline = CallPipeline({})
        channel = await serve(pipeline)
        assert (await refused(channel)).code() is StatusCode.UNIMPLEMENTED
        assert pipeline._handlers == {}


class TestLog:
    async def test_a_call_leaves_one_line(self, serve: Serve) -> None:
        channel = await serve(CallPipeline(unary(answer)))
        with capture_logs() as logs:
            await channel.unary_unary(METHOD)(b"", metadata=(("x-request-id", "mine"),))
        (line,) = logs
        assert 0 <= line.pop("milliseconds") < 5_000
        assert line.pop("user_agent").startswith("grpc-python-asyncio/")
        assert line.pop("client") == "127.0.0.1"
        assert line == {"event": "call", "log_level": "info", "method": METHOD, "code": "OK", "request_id": "mine"}

    async def test_a_line_does_not_wait_for_other_calls_to_end(self, serve: Serve) -> None:
        """Although lines of concurrent calls are written together."""
        began, may_end, written = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def wait(_request: object, _context: object) -> pb.GetBookingResponse:
            began.set()
            await may_end.wait()
            return pb.GetBookingResponse()

        def note(_logger: object, _level: str, line: EventDict) -> EventDict:
            written.set()
            return line

        other = "/test.Other/Method"
        channel = await serve(CallPipeline(unary(answer) | {other: unary(wait)[METHOD]}))
        with capture_logs(processors=[note]) as logs:
            async with asyncio.timeout(30):
                running = channel.unary_unary(other)(b"")
                await began.wait()
                await channel.unary_unary(METHOD)(b"")
                await written.wait()
                assert [line["method"] for line in logs] == [METHOD]
                may_end.set()
                await running

    @pytest.mark.parametrize("fails", [False, True])
    async def test_lines_of_other_calls_are_written_without_the_context_of_this_one(
        self, serve: Serve, *, fails: bool
    ) -> None:
        """Which may have a trace. A call that fails has the lines written that wait to be."""
        trace, began, may_end = ContextVar("trace", default="none"), asyncio.Event(), asyncio.Event()
        traces, written = dict[str, str](), asyncio.Semaphore(0)

        async def end(_request: object, _context: object) -> pb.GetBookingResponse:
            trace.set("its own")
            began.set()
            await may_end.wait()
            if fails:
                raise ValueError
            return pb.GetBookingResponse()

        def note(_logger: object, _level: str, line: EventDict) -> EventDict:
            traces[line["method"]] = trace.get()
            written.release()
            return line

        other = "/test.Other/Method"
        channel = await serve(CallPipeline(unary(answer) | {other: unary(end)[METHOD]}))
        with capture_logs(processors=[note]):
            running = channel.unary_unary(other)(b"")
            await began.wait()
            await channel.unary_unary(METHOD)(b"")
            async with asyncio.timeout(30):
                if not fails:
                    await written.acquire()
                may_end.set()
                await running.code()
                while len(traces) < 2:
                    await written.acquire()
        assert traces == {METHOD: "none", other: "its own" if fails else "none"}

    async def test_the_line_of_a_refusal_has_the_reason(self, serve: Serve) -> None:
        channel = await serve(CallPipeline(raising(SeatsUnavailable(["A1"]))))
        with capture_logs() as logs:
            await refused(channel)
        (line,) = logs
        assert (line["code"], line["reason"]) == ("FAILED_PRECONDITION", "SEATS_UNAVAILABLE")
        assert "exc_info" not in line

    async def test_the_line_of_a_malformed_request_names_the_fields_but_not_their_values(self, serve: Serve) -> None:
        violations = [FieldViolation(f"seats[{number}]", "a private value is wrong") for number in range(50)]
        channel = await serve(CallPipeline(raising(InvalidRequest(*violations))))
        with capture_logs() as logs:
            await refused(channel)
        (line,) = logs
        assert line["reason"] == "INVALID_REQUEST"
        assert line["fields"] == [f"seats[{number}]" for number in range(20)]
        assert "private" not in str(line)

    @pytest.mark.parametrize("service", ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"])
    @pytest.mark.parametrize(("fault", "level"), [(None, "debug"), (ValueError("a bug"), "error")])
    async def test_probes_are_logged_as_debug_unless_they_meet_a_fault(
        self, serve: Serve, service: str, fault: Exception | None, level: str
    ) -> None:
        handler = (unary(answer) if fault is None else raising(fault))[METHOD]
        channel = await serve(CallPipeline({f"/{service}/Check": handler}))
        with capture_logs() as logs:
            call = channel.unary_unary(f"/{service}/Check")(b"")
            await call.code()
        assert [line["log_level"] for line in logs] == [level]

    async def test_a_client_that_hangs_up_is_noted_and_its_call_cleans_up(self, serve: Serve) -> None:
        started, cleaned = asyncio.Event(), asyncio.Event()

        async def wait(_request: object, _context: object) -> None:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                cleaned.set()

        pipeline = CallPipeline(unary(wait))
        channel = await serve(pipeline)
        with capture_logs() as logs:
            call = channel.unary_unary(METHOD)(b"")
            async with asyncio.timeout(20):
                await started.wait()
                call.cancel()
                await cleaned.wait()
                pipeline.begin_shutdown()
                await pipeline.idle()
        assert [line["code"] for line in logs] == ["CANCELLED"]

    async def test_a_deadline_that_passes_is_noted(self, serve: Serve) -> None:
        started = asyncio.Event()

        async def wait(_request: object, _context: object) -> None:
            started.set()
            await asyncio.Event().wait()

        pipeline = CallPipeline(unary(wait))
        channel = await serve(pipeline)
        with capture_logs() as logs:
            for timeout in (0.05, 0.5, 5):  # on a busy machine the first may pass before the call has arrived
                error = await refused(channel, timeout=timeout)
                if started.is_set():
                    break
            pipeline.begin_shutdown()
            async with asyncio.timeout(20):
                await pipeline.idle()
        assert error.code() is StatusCode.DEADLINE_EXCEEDED
        assert [line["code"] for line in logs] == ["DEADLINE_EXCEEDED"]
