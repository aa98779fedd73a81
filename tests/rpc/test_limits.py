"""The limits, each broken by a real client: what it is told, and that others are served as before."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from cinema.v1 import auth_service_pb2, booking_service_pb2, catalog_service_pb2
from google.protobuf.duration_pb2 import Duration
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from structlog.testing import capture_logs

from cinema_grpc.transport.call import CallState
from cinema_grpc.transport.limits import Limits
from cinema_grpc.transport.open_calls import SECONDS_TO_READ_WHEN_SHORT, OpenCalls
from cinema_grpc.transport.pipeline import CallPipeline
from tests.conftest import Lend
from tests.proofs.http2 import RawConnection, message
from tests.rpc.conftest import METHODS, House, read_refusal, running

SECONDS = 30
SERVING = health_pb2.HealthCheckResponse.SERVING
GET_MOVIE = "/cinema.v1.CatalogService/GetMovie"
GET_BOOKING = "/cinema.v1.BookingService/GetBooking"
CREATE_BOOKING = "/cinema.v1.BookingService/CreateBooking"
LIST_MOVIES = "/cinema.v1.CatalogService/ListMovies"
LOGIN = "/cinema.v1.AuthService/Login"
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
LIST_SERVICES = reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString()
HEALTH_CHECK, HEALTH_WATCH = "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"


@pytest.fixture
def url(lend: Lend, tmp_path: Path) -> Iterator[str]:
    with lend("sqlite", tmp_path) as url:
        yield url


@asynccontextmanager
async def connection(house: House, *options: tuple[str, int]) -> AsyncIterator[grpc.aio.Channel]:
    """Open a channel with a connection of its own."""
    own = ("grpc.use_local_subchannel_pool", 1)
    async with grpc.aio.insecure_channel(house.server.address, options=(own, *options)) as channel:
        yield channel


def get_movie(channel: grpc.aio.Channel, movie_id: str = "none", **options: Any) -> Any:
    """Ask for a movie."""
    request = catalog_service_pb2.GetMovieRequest(movie_id=movie_id).SerializeToString()
    options.setdefault("timeout", SECONDS)
    method: Any = channel.unary_unary(GET_MOVIE)
    return method(request, **options)


async def failed(call: Any) -> grpc.aio.AioRpcError:
    """Wait for a call to fail."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value


async def served(channel: grpc.aio.Channel) -> bool:
    """Tell whether a call got through to where nothing is found."""
    return (await get_movie(channel).code()) is StatusCode.NOT_FOUND


@asynccontextmanager
async def watching(channel: grpc.aio.Channel) -> AsyncIterator[Any]:
    """Keep a stream running."""
    watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=SECONDS)
    assert (await watch.read()).status == SERVING
    yield watch
    watch.cancel()


async def test_the_size_of_a_request(url: str) -> None:
    """RESOURCE_EXHAUSTED, unread; one that is just small enough is looked at."""
    async with running(url, largest_request_bytes=100_000) as house, connection(house) as channel:
        error = await failed(get_movie(channel, "x" * 100_000))
        assert error.code() is StatusCode.RESOURCE_EXHAUSTED
        assert "100000" in (error.details() or "")
        assert await get_movie(channel, "x" * 99_990).code() is StatusCode.INVALID_ARGUMENT
        assert await served(channel)


async def test_the_size_of_metadata(url: str) -> None:
    """RESOURCE_EXHAUSTED, in one piece or in many, and never by chance below the limit."""
    async with running(url, largest_metadata_bytes=8_192) as house, connection(house) as channel:
        for metadata in ((("x", "y" * 8_192),), tuple((f"x{number}", "y" * 500) for number in range(20))):
            error = await failed(get_movie(channel, metadata=metadata))
            assert error.code() is StatusCode.RESOURCE_EXHAUSTED
            assert "metadata size exceeds" in (error.details() or "")
        for _ in range(20):
            assert await get_movie(channel, metadata=(("x", "y" * 7_500),)).code() is StatusCode.NOT_FOUND


@asynccontextmanager
async def raw(house: House, window: int = 65_535) -> AsyncIterator[RawConnection]:
    """Open a connection that does what no library would."""
    opened = await RawConnection.open(house.server.address, window)
    try:
        yield opened
    finally:
        await opened.close()


@asynccontextmanager
async def watching_passwords(house: House) -> AsyncIterator[bytes]:
    """Let passwords be checked, but not to the end; yield a Login."""
    may_end = threading.Event()
    passwords = house.server._passwords
    check = passwords._matches

    def check_slowly(secret: bytes, password_hash: str) -> bool:
        may_end.wait(SECONDS)
        return check(secret, password_hash)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_matches", check_slowly)
        try:
            yield auth_service_pb2.LoginRequest(username="ada", password="a wrong password").SerializeToString()
        finally:
            may_end.set()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that the server does by itself."""
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110 (it is a state, not an event)
            await asyncio.sleep(0.01)


def open_calls_of(house: House) -> OpenCalls:
    """Return the open calls of a server."""
    assert house.server._server is not None
    return house.server._server._calls.pipeline._open_calls


def count(house: House, *states: CallState) -> int:
    """Return how many calls are in one of the states."""
    return sum(call.state in states for call in open_calls_of(house)._open)


async def test_calls_at_once(url: str) -> None:
    """OVERLOADED, with the time after which to try again; those whose message has not come count as well."""
    async with running(url, calls_at_once=2) as house, connection(house) as other, raw(house) as silent:
        for _ in range(2):  # a network may have one more than are free
            await silent.call(GET_MOVIE)
        await until(lambda: count(house, CallState.RECEIVING) == 2)
        refused = read_refusal(await failed(get_movie(other)))
        assert (refused.code, refused.reason) == (StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
        assert refused.metadata == {"calls_at_once": "2", "retry_after_seconds": "1"}
        assert refused.details["RetryInfo"].retry_delay.seconds == 1
        health = health_pb2_grpc.HealthStub(other)
        assert (await health.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)).status == SERVING
        async with watching(other):
            await silent.close()
            async with asyncio.timeout(SECONDS):
                while not await served(other):
                    pass


async def test_the_reserve_for_sales(url: str) -> None:
    """Is for changes by callers who are signed in: neither for reads nor for made-up tokens."""
    async with (
        running(url, calls_at_once=4, sales_reserve=0.5) as house,
        raw(house) as silent,
        connection(house) as other,
    ):
        booking = booking_service_pb2.CreateBookingRequest(showtime_id="none", seats=["A1"]).SerializeToString()
        create: Any = other.unary_unary(CREATE_BOOKING)
        token = await house.customer()
        for _ in range(2):
            await silent.call(GET_MOVIE)
        await until(lambda: count(house, CallState.RECEIVING) == 2)
        assert read_refusal(await failed(get_movie(other))).reason == "OVERLOADED"
        made_up = (("authorization", "Bearer made.up.token"),)
        for metadata in ((), made_up):
            assert read_refusal(await failed(create(booking, metadata=metadata))).reason == "OVERLOADED"
        assert read_refusal(await failed(create(booking, metadata=token))).reason == "SHOWTIME_NOT_FOUND"


async def test_streams_at_once(url: str) -> None:
    """A client that has more than another gives one up for it; health checks count as streams, and calls do not."""
    async with (
        running(url, streams_at_once=2) as house,
        connection(house) as greedy,
        connection(house) as other,
        watching(greedy) as first,
        watching(greedy),
    ):
        watch = health_pb2_grpc.HealthStub(greedy).Watch(health_pb2.HealthCheckRequest(), timeout=SECONDS)
        refused = read_refusal(await failed(watch.read()))
        assert (refused.reason, refused.metadata["streams_at_once"]) == ("OVERLOADED", "2")
        assert await served(greedy)
        async with watching(other):
            assert read_refusal(await failed(first.read())).reason == "OVERLOADED"
        health = health_pb2_grpc.HealthStub(other)
        assert (await health.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)).status == SERVING


@pytest.mark.parametrize("body", [b"", message(b"\x0a\x04none")[:-1]])
async def test_a_message_that_does_not_come(url: str, body: bytes) -> None:
    """INVALID_REQUEST after CINEMA_RECEIVE_SECONDS, whether all of it or its last byte is missing."""
    async with running(url, receive_seconds=0.4) as house, connection(house) as channel:
        method: Any = channel.stream_stream(GET_MOVIE)
        call = method(timeout=SECONDS)
        begin = time.monotonic()
        refused = read_refusal(await failed(call.read()))
        assert (refused.code, refused.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
        assert "0.4 s" in refused.message
        assert time.monotonic() - begin >= 0.4
        async with raw(house) as silent:
            await silent.call(GET_MOVIE, body)
            async with asyncio.timeout(SECONDS):
                await silent.wait_until_ended(1)
        assert open_calls_of(house)._receiving._used == 0


async def test_a_call_without_a_message_is_answered(url: str) -> None:
    """As a malformed one, whatever its method; the token is looked at first."""
    async with running(url) as house:
        token = await house.staff()
        for method in (*METHODS, HEALTH_CHECK, HEALTH_WATCH):
            stream: Any = house.channel.stream_stream(method)
            refused = read_refusal(await failed(stream(iter(()), metadata=token, timeout=SECONDS).read()))
            assert (refused.code, refused.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"), method
            assert "without a message" in refused.message
        create: Any = house.channel.stream_stream(CREATE_BOOKING)
        assert read_refusal(await failed(create(iter(()), timeout=SECONDS).read())).reason == "TOKEN_MISSING"


async def test_a_call_that_ends_in_the_middle_of_its_message_is_answered(url: str) -> None:
    async with running(url) as house, raw(house) as broken:
        for method in (GET_MOVIE, HEALTH_CHECK):
            await broken.call(method, message(b"\x0a\x04none")[:-1], end=True)
        async with asyncio.timeout(SECONDS):
            await broken.wait_until_ended(2)


async def test_messages_of_a_stream(url: str) -> None:
    """Each has to come as soon as that of any other call, the first one and the ones after it."""
    async with running(url, receive_seconds=0.4, reflection=True) as house, raw(house) as silent:
        await silent.call(REFLECTION)
        await silent.call(REFLECTION, message(b"x" * 100)[:-1])
        async with asyncio.timeout(SECONDS):
            await silent.wait_until_ended(2)
            await silent.call(REFLECTION, message(LIST_SERVICES))
            await until(lambda: silent.answered > 0)
            await silent.wait_until_ended(3)
        assert open_calls_of(house)._receiving._used == 0


async def test_answers_of_a_stream_that_are_not_read(url: str) -> None:
    """Its call is reset after CINEMA_SEND_SECONDS, and frees what it held."""
    async with (
        running(url, send_seconds=0.4, reflection=True) as house,
        raw(house, window=0) as lazy,
        connection(house) as other,
    ):
        await lazy.call(REFLECTION, message(LIST_SERVICES))
        await until(lambda: open_calls_of(house).memory._used > 0)
        await until(lambda: open_calls_of(house).memory._used == 0)
        assert await served(other)  # gRPC holds the latest call until the next one
        async with asyncio.timeout(SECONDS):
            await lazy.wait_until_ended(1)


@pytest.mark.parametrize("limit", [2, 0])
async def test_a_connection_with_other_calls_is_kept(url: str, limit: int) -> None:
    """However many requests do not come on it: it may be a proxy's. Without a limit, any connection is."""
    async with (
        running(url, receiving_at_once=2, late_requests_per_connection=limit) as house,
        raw(house) as proxy,
        watching_passwords(house) as busy,
    ):
        if limit:
            await proxy.call(LOGIN, message(busy), end=True)
            await until(lambda: house.server._passwords._running > 0)
        for _ in range(8):
            await proxy.call(GET_MOVIE)
        await until(lambda: proxy.ended >= 5)
        assert not proxy.closed


async def test_a_fault_in_looking_over_calls_does_not_end_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(url, receive_seconds=0.2) as house, raw(house) as silent:
        open_calls = open_calls_of(house)
        end_overdue, faults = open_calls._end_overdue, iter([ValueError("a fault")])

        def fail_once() -> None:
            if (fault := next(faults, None)) is not None:
                raise fault
            end_overdue()

        monkeypatch.setattr(open_calls, "_end_overdue", fail_once)
        await silent.call(GET_MOVIE)
        async with asyncio.timeout(SECONDS):
            await silent.wait_until_ended(1)


async def test_messages_awaited_at_once(url: str) -> None:
    """A client that is waited for more often than another gives way to it, and at last loses its connection."""
    async with (
        running(url, receiving_at_once=5, late_requests_per_connection=7) as house,
        raw(house) as silent,
        raw(house) as other,
        connection(house) as honest,
    ):
        for _ in range(3):
            await silent.call(GET_MOVIE)
        await until(lambda: count(house, CallState.RECEIVING) == 3)
        await other.call(GET_MOVIE)
        async with asyncio.timeout(SECONDS):
            await silent.wait_until_ended(1)
            assert await served(honest)
            for _ in range(5):
                await silent.call(GET_MOVIE)
            await until(lambda: silent.ended == 6)
            assert not silent.closed
            await silent.call(GET_MOVIE)
            await until(lambda: silent.closed)
            assert await served(honest)
        assert not other.closed


async def test_an_answer_that_is_not_read(url: str) -> None:
    """Its call is reset after CINEMA_SEND_SECONDS and frees what it held; other calls of the connection go on."""
    async with (
        running(url, send_seconds=0.4) as house,
        raw(house, window=0) as lazy,
        connection(house) as other,
    ):
        await lazy.call(GET_MOVIE, message(b"\x0a\x04none"), end=True)  # a refusal has no message to be read
        async with asyncio.timeout(SECONDS):
            await lazy.wait_until_ended(1)
            await lazy.call(LIST_MOVIES, message(b""), end=True)
            await until(lambda: count(house, CallState.ENDING) == 1)
            await until(lambda: not count(house, CallState.ENDING))
            assert await served(other)  # gRPC holds the latest call until the next one
            await lazy.wait_until_ended(2)
            await lazy.call(HEALTH_WATCH, message(b""), end=True)
            await until(lambda: count(house, CallState.RUNNING) == 1)
        assert not lazy.closed
        await until(lambda: not count(house, CallState.ENDING))
        assert count(house, CallState.RUNNING) == 1, "a stream may take its time"


async def test_unread_answers_give_way_when_calls_are_too_many(url: str) -> None:
    async with (
        running(url, calls_at_once=2, send_seconds=10 * SECONDS) as house,
        raw(house, window=0) as lazy,
        connection(house) as other,
    ):
        for _ in range(2):
            await lazy.call(LIST_MOVIES, message(b""), end=True)
        await until(lambda: count(house, CallState.ENDING) == 2)
        await asyncio.sleep(SECONDS_TO_READ_WHEN_SHORT)  # before that they count as under way
        await lazy.call(LIST_MOVIES, message(b""), end=True)
        async with asyncio.timeout(SECONDS):
            await lazy.wait_until_ended(1)  # one of its own gives way to none of its own
        assert await served(other)
        await until(lambda: not count(house, CallState.ABANDONED))
        assert await served(other)
        async with asyncio.timeout(SECONDS):
            await lazy.wait_until_ended(2)


async def test_unsent_bytes(url: str) -> None:
    """Reads of a connection that does not read its answers wait for room, then are OVERLOADED; others go on."""
    limits: dict[str, Any] = {"unsent_bytes_per_connection": 4 * 1024 * 1024, "unsent_bytes": 5 * 1024 * 1024}
    async with (
        running(url, **limits, largest_page_bytes=2 * 1024 * 1024, longest_wait_seconds=0.3) as house,
        raw(house, window=0) as lazy,
        connection(house) as other,
    ):
        staff = await house.staff()
        create = catalog_service_pb2.CreateMovieRequest(
            title="A Film", runtime=Duration(seconds=60), synopsis="\U0001f3ac" * 5_000
        )
        for _ in range(90):
            await house.catalog.CreateMovie(create, metadata=staff)
        page = message(catalog_service_pb2.ListMoviesRequest(page_size=200).SerializeToString())
        for _ in range(3):
            await lazy.call(LIST_MOVIES, page, end=True)
        async with asyncio.timeout(SECONDS):
            await lazy.wait_until_ended(1)
        assert await served(other)
        list_movies: Any = other.unary_unary(LIST_MOVIES)
        # There is no room in all; after a second the connection that holds most loses what it has not read.
        codes = [await list_movies(page[5:], timeout=SECONDS).code() for _ in range(6)]
        assert codes[-1] is StatusCode.OK
        await lazy.close()
        await until(lambda: open_calls_of(house).memory._used == 0)


async def test_calls_on_a_connection(url: str) -> None:
    """The client holds the next one back until one has ended, or its deadline has passed; other connections go on."""
    async with (
        running(url, calls_per_connection=2) as house,
        connection(house) as channel,
        watching(channel) as watch,
        watching(channel),
    ):
        assert (await failed(get_movie(channel, timeout=0.3))).code() is StatusCode.DEADLINE_EXCEEDED
        async with connection(house) as other:
            assert await served(other)
        held_back = get_movie(channel)
        watch.cancel()
        assert await held_back.code() is StatusCode.NOT_FOUND


async def test_the_age_of_a_connection(url: str) -> None:
    """The client connects anew, and no call fails."""
    async with running(url, connection_age_seconds=1) as house, connection(house) as channel:
        get_booking: Any = channel.unary_unary(GET_BOOKING)
        end = time.monotonic() + 2.5
        codes = []
        with capture_logs() as logs:
            while time.monotonic() < end:
                codes.append(await get_booking(b"", timeout=SECONDS).code())
                await asyncio.sleep(0.01)
        assert set(codes) == {StatusCode.UNAUTHENTICATED}
        assert len({line["peer"] for line in logs if "peer" in line}) > 1


async def test_an_idle_connection(url: str) -> None:
    """Is closed; the next call opens another."""
    async with running(url, connection_idle_seconds=1) as house, connection(house) as channel:
        assert await served(channel)
        before = channel.get_state()
        assert before is grpc.ChannelConnectivity.READY
        async with asyncio.timeout(SECONDS):
            await channel.wait_for_state_change(before)
        assert await served(channel)


async def test_too_many_pings(url: str) -> None:
    """The connection is closed, with the reason; who pings as seldom as is asked is left alone."""
    often = (
        ("grpc.keepalive_time_ms", 100),
        ("grpc.http2.min_time_between_pings_ms", 100),
        ("grpc.http2.max_pings_without_data", 0),
    )
    async with (
        running(url, ping_seconds=10) as house,
        connection(house, *often) as channel,
        connection(house) as calm,
        watching(channel) as watch,
        watching(calm),
    ):
        error = await failed(watch.read())
        assert error.code() is StatusCode.UNAVAILABLE
        assert "Too many pings" in (error.details() or "")
        assert await served(calm)


@pytest.mark.parametrize(("interval", "kept"), [(0.2, True), (10, False)])
async def test_the_interval_between_pings(interval: float, kept: bool) -> None:
    """A client that pings as often as it may keeps its connection, and one that pings more often does not."""
    pipeline = CallPipeline({})
    server = grpc.aio.server(handlers=[pipeline], options=Limits(ping_seconds=interval).options())
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    client = await RawConnection.open(f"127.0.0.1:{port}")
    for _ in range(5):
        await asyncio.sleep(0.2)  # the interval that is allowed, or a fraction of it
        client.ping()
    if kept:
        answered = client.pongs
        client.ping()
        await until(lambda: client.pongs > answered)
    else:
        await until(lambda: client.closed)
    await client.close()
    await server.stop(0)


async def test_a_client_that_has_vanished(url: str) -> None:
    """Without a word, as when its machine loses power: its connection is given up."""
    async with running(url, keepalive_seconds=1) as house, connection(house) as channel:
        host, _, port = house.server.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        empty_settings = b"\0\0\0\4\0\0\0\0\0"
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + empty_settings)
        async with asyncio.timeout(SECONDS), watching(channel) as watch:
            await reader.read()  # to the end
            assert await served(channel)
            watch.cancel()
        writer.close()
        await writer.wait_closed()


async def test_calls_that_wait_for_room_give_way(url: str) -> None:
    """As nothing of them was done: a client that does not read its answers takes no calls from others."""
    async with (
        running(url, calls_at_once=8, unsent_bytes_per_connection=4 * 1024 * 1024) as house,
        raw(house, window=0) as lazy,
        connection(house) as other,
    ):
        open_calls_of(house).memory.add(str(next(iter(await peers_of(house, lazy)))), 4 * 1024 * 1024)
        for _ in range(4):
            await lazy.call(LIST_MOVIES, message(b""), end=True)
        await until(lambda: count(house, CallState.WAITING) == 4)
        assert await served(other)
        async with asyncio.timeout(SECONDS):
            await lazy.wait_until_ended(1)


async def peers_of(house: House, connection: RawConnection) -> set[str]:
    """Return how gRPC names a connection, by a call that it makes."""
    await connection.call(GET_MOVIE)
    await until(lambda: count(house, CallState.RECEIVING) == 1)
    return {call.client.connection for call in open_calls_of(house)._open if call.state is CallState.RECEIVING}
