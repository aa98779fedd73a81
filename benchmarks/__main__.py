"""Measures CreateBooking against the yardsticks, interleaved, and prints a table: python -m benchmarks [--quick]."""

import argparse
import asyncio
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import grpc
from cinema.v1 import booking_service_pb2, booking_service_pb2_grpc
from rich.console import Console
from rich.table import Table

from benchmarks.house import ROWS, SECRET, House, furnish

IN_FLIGHT = 128
CONSOLE = Console()
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Measure:
    """What a round of calls came to."""

    calls_a_second: float
    cpu_microseconds: float
    p50_milliseconds: float
    p99_milliseconds: float
    memory_mib: float


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer calls and rounds")
    quick = parser.parse_args().quick
    rounds, calls = (3, 2_000) if quick else (5, 10_000)
    with tempfile.TemporaryDirectory() as folder:
        CONSOLE.print("Making a database of 400 showtimes")
        original = Path(folder) / "original.db"
        house = furnish(original, 400)
        measures: dict[str, list[Measure]] = {"empty": [], "ours": [], "textbook": []}
        for number in range(rounds):
            for kind, results in measures.items():
                path = Path(folder) / f"{kind}{number}.db"
                shutil.copy(original, path)
                with server(kind, path) as (address, process):
                    few = calls // 5 if kind == "textbook" else calls
                    asyncio.run(drive(address, process, house, few // 5, seed=1_000 + number))
                    results.append(asyncio.run(drive(address, process, house, few, seed=number)))
                path.unlink()
    report(measures, calls)


@contextmanager
def server(kind: str, path: Path) -> Iterator[tuple[str, int]]:
    """Run a server on a database; give its address and its process id."""
    if kind == "ours":
        environment = {
            **os.environ,
            "CINEMA_DATABASE_URL": f"sqlite+aiosqlite:///{path}",
            "CINEMA_LISTEN_ADDRESS": "127.0.0.1:0",
            "CINEMA_JWT_SECRET": SECRET,
            "CINEMA_LOG_FORMAT": "json",
        }
        command = [sys.executable, "-m", "cinema_grpc", "serve"]
    else:
        environment, command = dict(os.environ), [sys.executable, "-m", "benchmarks.yardsticks", kind, str(path)]
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log, text=True) as process,  # noqa: S603 (ours)
    ):
        try:
            yield _address(log, process), process.pid
        finally:
            process.kill()


def _address(log: IO[str], process: "subprocess.Popen[str]") -> str:
    while process.poll() is None:
        log.seek(0)
        for line in log.read().splitlines():
            if '"address":"' in line:
                return line.split('"address":"')[1].split('"')[0]
            if line.startswith("127.0.0.1:"):
                return line
        time.sleep(0.05)
    log.seek(0)
    raise SystemExit(f"the server did not start: {log.read()}")


async def drive(address: str, process: int, house: House, calls: int, seed: int) -> Measure:
    """Book pairs of seats, each once, in random order over all showtimes, so many calls in flight."""
    pairs = [(f"{row.label}{n}", f"{row.label}{n + 1}") for row in ROWS for n in (1, 3, 5, 7, 9, 11, 13, 15, 17, 19)]
    # Pairs of a section are asked for from the wall on, so that none is refused for a gap.
    order = random.Random(seed)  # noqa: S311 (no secret)
    part = pairs[: len(pairs) // 2] if seed < 1_000 else pairs[len(pairs) // 2 :]
    asked = [(showtime_id, pair) for pair in part for showtime_id in order.sample(house.showtime_ids, 400)][:calls]
    todo = iter(enumerate(asked))
    seconds: list[float] = []
    async with grpc.aio.insecure_channel(address) as channel:
        stub = booking_service_pb2_grpc.BookingServiceStub(channel)

        async def work() -> None:
            for number, (showtime_id, pair) in todo:
                token = house.tokens[number % len(house.tokens)]
                request = booking_service_pb2.CreateBookingRequest(
                    showtime_id=showtime_id, seats=pair, request_id=str(uuid.uuid4())
                )
                start = time.perf_counter()
                await stub.CreateBooking(request, metadata=(("authorization", f"Bearer {token}"),))
                seconds.append(time.perf_counter() - start)

        await channel.channel_ready()
        cpu, start = _cpu(process), time.perf_counter()
        await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
        elapsed = time.perf_counter() - start
    seconds.sort()
    return Measure(
        len(asked) / elapsed,
        (_cpu(process) - cpu) / len(asked) * 1e6,
        seconds[len(seconds) // 2] * 1e3,
        seconds[len(seconds) * 99 // 100] * 1e3,
        _memory(process),
    )


def _cpu(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _memory(process: int) -> float:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def report(measures: dict[str, list[Measure]], calls: int) -> None:
    """Print medians and ratios."""
    median = {
        kind: {name: statistics.median(getattr(each, name) for each in results) for name in Measure.__slots__}
        for kind, results in measures.items()
    }
    table = Table("server", "calls a second", "CPU a call", "p50", "p99", "memory")
    for kind, each in median.items():
        table.add_row(
            kind,
            f"{each['calls_a_second']:,.0f}",
            f"{each['cpu_microseconds']:,.0f} µs",
            f"{each['p50_milliseconds']:.1f} ms",
            f"{each['p99_milliseconds']:.1f} ms",
            f"{each['memory_mib']:.0f} MiB",
        )
    rounds = len(measures["ours"])
    CONSOLE.print(f"CreateBooking of 2 seats, 400 showtimes, {IN_FLIGHT} in flight, {calls:,} calls, {rounds} rounds")
    CONSOLE.print(f"Python {platform.python_version()}, grpcio {grpc.__version__}, {os.cpu_count()} cores; medians")
    CONSOLE.print(table)
    ours, empty, textbook = median["ours"], median["empty"], median["textbook"]
    cpu = ours["cpu_microseconds"] / empty["cpu_microseconds"]
    rate = ours["calls_a_second"] / textbook["calls_a_second"]
    CONSOLE.print(f"CPU a call: {cpu:.2f} times empty; rate: {rate:.1f} times textbook")


if __name__ == "__main__":
    main()
