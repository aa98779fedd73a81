"""The log of a server whose standard error is not read: lines are dropped and counted, and calls go on."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import grpc
import pytest
from cinema.v1 import catalog_service_pb2, catalog_service_pb2_grpc

from cinema_grpc.observability.log_writer import LogWriter, make_pipe_non_blocking
from tests.e2e.conftest import CINEMA, SECONDS, SECRET, environment, measured


@contextmanager
def unread(folder: Path, **settings: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run a server whose standard error is not read after its start; yield its process and its address."""
    process = subprocess.Popen(  # noqa: S603 (our own program)
        [CINEMA, "serve"],
        cwd=folder,
        env=environment(CINEMA_JWT_SECRET=SECRET, **settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    with closing(process.stderr) as stream:
        line = b""
        while b'"serving"' not in line:
            line = stream.readline()
        try:
            yield process, json.loads(line)["address"]
        finally:
            process.kill()
            process.wait(SECONDS)


async def call(address: str, times: int) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        movies = catalog_service_pb2_grpc.CatalogServiceStub(channel)
        for _ in range(times // 100):
            request = catalog_service_pb2.ListMoviesRequest()
            await asyncio.gather(*(movies.ListMovies(request, timeout=SECONDS) for _ in range(100)))


async def test_a_server_whose_log_is_not_read_goes_on_and_stops(tmp_path: Path) -> None:
    """It answers calls and exits with 0 at SIGTERM while the pipe is full.

    gRPC's C core writes to standard error by itself; here its log level is the highest.
    """
    with unread(tmp_path, GRPC_VERBOSITY="DEBUG", GRPC_TRACE="http", **measured()) as (process, address):
        await call(address, 600)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, SECONDS) == 0


def fill(pipe: int) -> int:
    """Fill a pipe; return how many bytes it took."""
    os.set_blocking(pipe, False)
    size = 0
    with suppress(BlockingIOError):
        while True:
            size += os.write(pipe, b"x")
    return size


class TestLogWriter:
    """Writes to a pipe, in lines of 10 characters."""

    @pytest.fixture
    def pipe(self) -> Iterator[tuple[int, int]]:
        reader, writer = os.pipe()
        yield reader, writer
        os.close(reader)
        os.close(writer)

    @pytest.mark.parametrize("blocking", [True, False])
    def test_what_does_not_fit_is_dropped_and_counted(self, pipe: tuple[int, int], blocking: bool) -> None:
        """The newest lines are dropped. Earlier lines arrive complete and in order once the pipe is read."""
        reader, descriptor = pipe
        full = fill(descriptor)
        os.set_blocking(descriptor, blocking)
        reports: list[int] = []
        writer = LogWriter(descriptor, reports.append, capacity=1_000)
        for number in range(500):
            writer.write(f"{number:9}\n")
            writer.flush()
        assert not writer.drain(0.01)
        text = b""
        while len(text) < full + 1_000:
            text += os.read(reader, full)
        assert writer.drain(60)
        assert [int(line) for line in text[full:].splitlines()] == list(range(100))
        assert reports == [400]

    def test_of_a_burst_as_much_as_fits_is_kept(self, pipe: tuple[int, int]) -> None:
        """Such as the lines of all streams that a server ends in one turn of the event loop."""
        reader, descriptor = pipe
        reports: list[int] = []
        writer = LogWriter(descriptor, reports.append, capacity=1_005)
        for number in range(500):
            writer.write(f"{number:9}\n")
        writer.flush()
        assert writer.drain(60)
        assert [int(line) for line in os.read(reader, 10_000).splitlines()] == list(range(100))
        assert reports == [400]

    def test_lines_of_two_writers_do_not_mix(self, pipe: tuple[int, int]) -> None:
        """As those of worker processes, if the pipe is full again and again. A long line is written whole, too."""
        reader, descriptor = pipe
        os.set_blocking(descriptor, False)
        writers = [LogWriter(descriptor) for _ in range(2)]
        lines = [[f"{writer}{number:05}{str(writer) * 293}\n" for number in range(1_000)] for writer in range(2)]
        for some, writer in zip(lines, writers, strict=True):
            writer.write("".join(some))
            writer.flush()
        text = b""
        while len(text) < 2 * 1_000 * 300:
            text += os.read(reader, 1_000)
        assert sorted(text.decode().splitlines(keepends=True)) == sorted(lines[0] + lines[1])
        writers[0].write("x" * 10_000 + "\n")
        writers[0].flush()
        assert writers[0].drain(60)
        assert os.read(reader, 20_000) == b"x" * 10_000 + b"\n"

    def test_a_pipe_without_a_reader(self, pipe: tuple[int, int]) -> None:
        """Write errors are ignored, such as those of a full disk."""
        reader, descriptor = pipe
        os.dup2(descriptor, reader)  # which closes its reading end
        writer = LogWriter(descriptor)
        writer.write("line\n")
        assert writer.drain(60)

    def test_a_pipe_is_made_non_blocking_for_this_process_alone(self, pipe: tuple[int, int]) -> None:
        reader, descriptor = pipe
        shared = os.dup(descriptor)
        make_pipe_non_blocking(descriptor)
        assert os.get_blocking(shared)
        assert not os.get_blocking(descriptor)
        os.write(descriptor, b"x")
        os.close(shared)
        assert os.read(reader, 1) == b"x"
