"""What a browser does: calls by gRPC-Web through Envoy with the settings of deploy/, and asks whether it may (CORS)."""

import http.client
import shutil
import struct
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from cinema.v1.showtime_service_pb2 import (
    GetShowtimeRequest,
    ListShowtimesRequest,
    ListShowtimesResponse,
    WatchSeatsRequest,
    WatchSeatsResponse,
)
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from tests.e2e.conftest import SECONDS, serving
from tests.envoy import running_envoy
from tests.postgresql import free_port

PAGE = "http://localhost:8080"
TRAILERS = 0x80
SERVICE = "/cinema.v1.ShowtimeService"


class Browser:
    """Calls Envoy as connect-es does."""

    def __init__(self, port: int, origin: str = PAGE) -> None:
        self._port = port
        self._origin = origin

    def send(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None = None
    ) -> http.client.HTTPResponse:
        """Send a request and return the response, whose body may go on."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=SECONDS)
        connection.request(method, path, body, {"origin": self._origin, "connection": "close", **headers})
        return connection.getresponse()

    def call(self, path: str, request: Message) -> http.client.HTTPResponse:
        """Call a method by gRPC-Web."""
        message = request.SerializeToString()
        body = struct.pack(">BI", 0, len(message)) + message
        return self.send("POST", path, {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}, body)


def frames(response: http.client.HTTPResponse) -> Iterator[tuple[int, bytes]]:
    """Yield a body's frames as they come: their flags and contents."""
    while header := response.read(5):
        flags, length = struct.unpack(">BI", header)
        yield flags, response.read(length)


def wait_for_status(port: int, status: int, seconds: float) -> None:
    """Wait until Envoy answers a call with an HTTP status."""
    until = time.monotonic() + seconds
    request = ListShowtimesRequest(page_size=1)
    found = None
    while found != status:
        assert time.monotonic() < until, f"{found} instead of {status} after {seconds} s"
        time.sleep(0.1)
        with (
            suppress(OSError, http.client.HTTPException),
            Browser(port).call(f"{SERVICE}/ListShowtimes", request) as response,
        ):
            found = response.status


@pytest.fixture(scope="module")
def envoy_port(demo_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Envoy's port, in front of a server with demo data that starts after it."""
    folder = tmp_path_factory.mktemp("web")
    shutil.copy(demo_database, folder)
    address = f"127.0.0.1:{free_port()}"
    with running_envoy(folder, [address]) as port:
        wait_for_status(port, 503, SECONDS)
        with serving(folder, CINEMA_LISTEN_ADDRESS=address) as server:
            server.wait_for('"serving"')
            wait_for_status(port, 200, 30)  # Envoy's default is to look again after 60 s
            yield port


def test_a_call(envoy_port: int) -> None:
    """A response is a frame with the message and one with the trailers, which a page may read."""
    with Browser(envoy_port).call(f"{SERVICE}/ListShowtimes", ListShowtimesRequest(page_size=1)) as response:
        (_, message), (flags, trailers) = frames(response)
    assert response.headers["content-type"] == "application/grpc-web+proto"
    assert response.headers["access-control-allow-origin"] == PAGE
    assert len(ListShowtimesResponse.FromString(message).showtimes) == 1
    assert flags == TRAILERS
    assert b"grpc-status:0\r\n" in trailers
    assert b"x-request-id:" in trailers


def test_a_refusal(envoy_port: int) -> None:
    """A refusal's details get through: in a header that a page may read, or in the trailers."""
    with Browser(envoy_port).call(f"{SERVICE}/GetShowtime", GetShowtimeRequest(showtime_id="none")) as response:
        assert response.read() == b""
    details = response.headers["grpc-status-details-bin"]
    exposed = response.headers["access-control-expose-headers"].split(",")
    assert details is not None
    assert {"grpc-status", "grpc-message", "grpc-status-details-bin", "x-request-id"} == set(exposed)
    status = status_pb2.Status.FromString(b64decode(details + "=="))
    info = error_details_pb2.ErrorInfo()
    assert any(each.Unpack(info) for each in status.details)
    assert info.reason == "SHOWTIME_NOT_FOUND"


def test_a_stream(envoy_port: int) -> None:
    """Frames of WatchSeats come as they are sent, not at the stream's end."""
    with Browser(envoy_port).call(f"{SERVICE}/ListShowtimes", ListShowtimesRequest(page_size=1)) as listed:
        showtime = ListShowtimesResponse.FromString(next(frames(listed))[1]).showtimes[0]
    request = WatchSeatsRequest(showtime_id=showtime.showtime_id)
    with Browser(envoy_port).call(f"{SERVICE}/WatchSeats", request) as response:
        _, message = next(frames(response))
    frame = WatchSeatsResponse.FromString(message)
    assert frame.snapshot
    assert len(frame.seats) == showtime.total_seats


@pytest.mark.parametrize(
    ("origin", "may"), [(PAGE, True), ("http://127.0.0.1", True), ("http://localhost.example.com", False)]
)
def test_which_pages_may_call(envoy_port: int, origin: str, may: bool) -> None:
    """Before it calls, a browser asks whether the page of an origin may: those on this machine may."""
    wanted = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,grpc-timeout,x-grpc-web,x-user-agent",
    }
    with Browser(envoy_port, origin).send("OPTIONS", f"{SERVICE}/ListShowtimes", wanted) as asked:
        asked.read()
    assert asked.headers["access-control-allow-origin"] == (origin if may else None)
    if may:
        allowed = set(asked.headers["access-control-allow-headers"].split(","))
        assert allowed >= set(wanted["access-control-request-headers"].split(","))
        assert asked.headers["access-control-allow-methods"] == "POST"
        assert int(asked.headers["access-control-max-age"]) > 0
