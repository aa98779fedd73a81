"""The server: health, reflection, ports and shutdown."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf import descriptor_pb2
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from cinema_grpc.listening import limits_of
from cinema_grpc.transport.contract import SERVICES
from cinema_grpc.transport.health import Health
from cinema_grpc.transport.pipeline import CallPipeline
from cinema_grpc.transport.server import Listener, Server, build
from tests.rpc.conftest import App, running
from tests.transport.test_shutdown import UNARY, Work
from tests.transport.wire import failure, reason_of, trailing

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
NAMES = {service.full_name for service in SERVICES}
SYMBOLS = (
    "grpc.health.v1.Health",
    "cinema.v1.BookingService.CreateBooking",
    "cinema.v1.CreateBookingRequest.seats",
    "cinema.v1.ErrorReason",
    "google.rpc.ErrorInfo",
    "google.rpc.BadRequest",
)
NO_QUESTIONS: tuple[dict[str, Any], ...] = (
    {"file_containing_symbol": "no.such.Thing"},
    {"file_containing_symbol": "cinema.v1.BookingService.NoMethod"},
    {"file_containing_symbol": "cinema.v1.NoMessage.field"},
    {"file_by_filename": "no_such.proto"},
    {"all_extension_numbers_of_type": "no.such.Thing"},
    {"file_containing_extension": {"containing_type": "google.rpc.ErrorInfo", "extension_number": 1}},
    {},
)
REFLECTIONS = ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"]


def make(app: App, address: str = "127.0.0.1:0", *, reflection: bool = True) -> Server:
    return build(app.server._application, limits_of(app.server._settings), address, reflection=reflection)


class Running:
    """A server, and a channel to it."""

    def __init__(self, server: Server, channel: Any, app: App) -> None:
        self.server, self.channel, self.app = server, channel, app
        self.health: Any = health_pb2_grpc.HealthStub(channel)

    async def check(self, service: str = "") -> Any:
        return (await self.health.Check(health_pb2.HealthCheckRequest(service=service))).status

    def watch(self, service: str = "") -> Any:
        return self.health.Watch(health_pb2.HealthCheckRequest(service=service))

    async def reflect(self, reflection: str, **question: Any) -> Any:
        call = self.channel.stream_stream(
            f"/{reflection}/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )(iter([reflection_pb2.ServerReflectionRequest(**question)]))
        (answer,) = [answer async for answer in call]
        assert trailing_of(await call.trailing_metadata(), "x-request-id")
        return answer


def trailing_of(metadata: Any, name: str) -> Any:
    return dict(metadata).get(name)


@pytest_asyncio.fixture
async def running_server(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(f"sqlite+aiosqlite:///{tmp_path}/cinema.db") as app:
        server = make(app)
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            yield Running(server, channel, app)
        await server.stop(0)


async def serve(work: Work) -> tuple[Server, Any]:
    """Serve a call that lasts."""
    pipeline = CallPipeline({UNARY: grpc.unary_unary_rpc_method_handler(work.unary)})
    server = grpc.aio.server(handlers=[pipeline])
    whole = Server(Listener(server, pipeline, server.add_insecure_port("127.0.0.1:0")), Health(()))
    await whole.start()
    return whole, grpc.aio.insecure_channel(f"127.0.0.1:{whole.port}")


class TestHealth:
    async def test_the_server_and_each_service_are_reported_on(self, running_server: Running) -> None:
        for service in {"", *NAMES}:
            assert await running_server.check(service) == SERVING

    async def test_an_unknown_service(self, running_server: Running) -> None:
        error = await failure(running_server.check("cinema.v1.NoService"))
        assert error.code() is StatusCode.NOT_FOUND
        assert trailing(error, "x-request-id")
        assert (await running_server.watch("cinema.v1.NoService").read()).status == UNKNOWN

    async def test_a_watcher_is_notified_of_each_change_once(self, running_server: Running) -> None:
        watches = [running_server.watch(service) for service in ("", *NAMES)]
        for watch in watches:
            assert (await watch.read()).status == SERVING
        for serving, status in ((True, None), (False, NOT_SERVING), (False, None), (True, SERVING)):
            await running_server.server.set_serving(serving=serving)
            for watch in watches if status is not None else ():
                assert (await watch.read()).status == status
        for watch in watches:
            watch.cancel()


class TestReflection:
    @pytest.mark.parametrize("reflection", REFLECTIONS)
    async def test_all_services_are_listed(self, running_server: Running, reflection: str) -> None:
        answer = await running_server.reflect(reflection, list_services="")
        listed = [each.name for each in answer.list_services_response.service]
        assert listed == sorted({*NAMES, *REFLECTIONS, "grpc.health.v1.Health"})

    @pytest.mark.parametrize("reflection", REFLECTIONS)
    async def test_everything_that_is_sent_is_described(self, running_server: Running, reflection: str) -> None:
        for symbol in (*NAMES, *REFLECTIONS, *SYMBOLS):
            answer = await running_server.reflect(reflection, file_containing_symbol=symbol)
            described = answer.file_descriptor_response.file_descriptor_proto
            files = [descriptor_pb2.FileDescriptorProto.FromString(each) for each in described]
            assert any(symbol.startswith(f"{file.package}.") for file in files), symbol
            names = {file.name for file in files}
            assert all(set(file.dependency) <= names for file in files), symbol

    async def test_a_question_that_has_no_answer(self, running_server: Running) -> None:
        for question in NO_QUESTIONS:
            answer = await running_server.reflect(REFLECTIONS[0], **question)
            code = answer.error_response.error_code
            assert code in {StatusCode.NOT_FOUND.value[0], StatusCode.INVALID_ARGUMENT.value[0]}, question

    async def test_it_can_be_turned_off(self, running_server: Running) -> None:
        server = make(running_server.app, reflection=False)
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            other = Running(server, channel, running_server.app)
            error = await failure(other.reflect(REFLECTIONS[0], list_services=""))
        await server.stop(0)
        assert error.code() is StatusCode.UNIMPLEMENTED


class TestPort:
    async def test_a_port_that_is_taken(self, running_server: Running) -> None:
        with pytest.raises(OSError, match=f"can't listen on 127.0.0.1:{running_server.server.port}"):
            make(running_server.app, f"127.0.0.1:{running_server.server.port}")

    async def test_an_invalid_address(self, running_server: Running) -> None:
        with pytest.raises(OSError, match="can't listen on"):
            make(running_server.app, "nowhere")


class TestStop:
    async def test_a_watcher_is_notified_of_the_shutdown_before_its_stream_ends(self, running_server: Running) -> None:
        watches = [running_server.watch(service) for service in ("", *NAMES)]
        for watch in watches:
            assert (await watch.read()).status == SERVING
        async with asyncio.timeout(5):
            await running_server.server.stop(5)
            for watch in watches:
                assert (await watch.read()).status == NOT_SERVING
                assert reason_of(await failure(watch.read())) == "SHUTTING_DOWN"

    async def test_reflection_streams_end_too(self, running_server: Running) -> None:
        call = running_server.channel.stream_stream(f"/{REFLECTIONS[0]}/ServerReflectionInfo")()
        await call.write(reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString())
        assert await call.read()
        async with asyncio.timeout(5):
            await running_server.server.stop(5)
            assert reason_of(await failure(call.read())) == "SHUTTING_DOWN"

    async def test_a_call_that_runs_may_finish(self) -> None:
        work = Work()
        server, channel = await serve(work)
        call = channel.unary_unary(UNARY)(b"done")
        await work.started.wait()
        stopped = asyncio.create_task(server.stop(5))
        assert reason_of(await failure(channel.unary_unary(UNARY)(b""))) == "SHUTTING_DOWN"
        work.let_go.set()
        assert await call == b"done"
        await asyncio.wait_for(stopped, 5)
        await channel.close()

    async def test_a_call_that_takes_too_long_is_cut_off_and_cleans_up(self) -> None:
        work = Work()
        server, channel = await serve(work)
        call = channel.unary_unary(UNARY)(b"")
        await work.started.wait()
        await asyncio.wait_for(server.stop(0.05), 5)
        assert work.cleaned
        assert (await failure(call)).code() in {StatusCode.UNAVAILABLE, StatusCode.CANCELLED}
        await channel.close()

    async def test_a_server_that_never_started_can_be_stopped(self, running_server: Running) -> None:
        await asyncio.wait_for(make(running_server.app).stop(5), 5)
