"""People sign in, which takes a processor 25 ms each, while others read."""

import asyncio
import multiprocessing
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.synchronize import Event

from benchmarks import calls, sample, servers
from benchmarks.bench import Bench, BrokeDown, shed_is_never
from benchmarks.figures import Result, at_most, latencies, ratios, reported, usual_milliseconds
from benchmarks.load import Load, Sample, drive
from cinema_grpc.adapters.passwords import Argon2Passwords

LOGINS_A_SECOND = 8
SECONDS_TO_START = 30.0
PASSWORD = "a long and private one"  # noqa: S105 (of made-up users)
METHOD = (
    "GetShowtime of 300 seats over 400 showtimes comes at half of what the server reached with 128 calls in flight: "
    "for some seconds by itself, and for as many while 8 people a second sign in, whose passwords are hashed as by "
    "default; and for as many while a process that has nothing to do with the server makes 8 hashes a second, at the "
    "niceness of the threads that do so in a server: what the same work costs when nothing of ours is in the way. A "
    "call's time counts from when it was due. The ratios are of the p99 of a second: the middle one of all."
)


def run(bench: Bench) -> Result:
    """Measure."""
    rounds, seconds = bench.choose((3, 6.0), (1, 4.0))
    original = sample.furnish(bench.databases.make("logins"), 400, 100, password_hash=asyncio.run(_hash()))
    chance = random.Random(5)
    reads = [calls.get_showtime(chance.choice(original.showtime_ids)) for _ in range(5_000)]
    signing_in = [calls.login(customer.username, PASSWORD) for customer in original.customers]
    names = ("alone", "beside logins", "the logins", "beside hashes elsewhere")
    timed: dict[str, list[Sequence[Sample]]] = {name: [] for name in names}
    rate = 0.0
    for _ in range(rounds):
        with servers.ours(original.database.url) as server:
            bench.closed_loop(server, reads, 1)
            rate = rate or bench.closed_loop(server, reads, seconds / 2).calls_a_second / 2
            timed["alone"].append(bench.at_rate(server, reads, rate, seconds))
            logins = bench.clients.start(
                drive, Load(server.address, signing_in, rate=LOGINS_A_SECOND, seconds=seconds, connections=1)
            )
            timed["beside logins"].append(bench.at_rate(server, reads, rate, seconds))
            timed["the logins"].append(shed_is_never(logins.result()))
            with _hashes_elsewhere():
                timed["beside hashes elsewhere"].append(bench.at_rate(server, reads, rate, seconds))
    p99 = {name: [usual_milliseconds(samples, 0.99) for samples in measured] for name, measured in timed.items()}
    return Result(
        METHOD,
        [
            at_most(
                "GetShowtime's p99 beside logins, times its p99 alone", 1.5, ratios(p99["beside logins"], p99["alone"])
            ),
            reported(
                "its p99 beside as many hashes in another process, times its p99 alone",
                ratios(p99["beside hashes elsewhere"], p99["alone"]).text(".2f"),
            ),
            reported("the rate of GetShowtime", f"{rate:,.0f} a second"),
        ],
        [latencies(timed, "calls")],
    )


@contextmanager
def _hashes_elsewhere() -> Iterator[None]:
    """Have a process make hashes, as many as there are logins otherwise."""
    context = multiprocessing.get_context("spawn")
    is_ready = context.Event()
    process = context.Process(target=_hash_on, args=(is_ready,))
    process.start()
    try:
        if not is_ready.wait(SECONDS_TO_START):
            raise BrokeDown("the process that makes hashes did not start")
        yield
    finally:
        process.kill()
        process.join()


def _hash_on(is_ready: Event) -> None:
    password_hash = asyncio.run(_hash())
    argon2 = Argon2Passwords(workers=1)
    start, hashes = time.monotonic(), 0
    is_ready.set()
    with asyncio.Runner() as runner:
        while True:
            runner.run(argon2.verify(PASSWORD, password_hash))
            hashes += 1
            time.sleep(max(0.0, start + hashes / LOGINS_A_SECOND - time.monotonic()))


async def _hash() -> str:
    passwords = Argon2Passwords()
    try:
        return await passwords.hash(PASSWORD)
    finally:
        passwords.close()
