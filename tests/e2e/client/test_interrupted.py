"""Commands of `cinema` as a client that are ended in the middle: what was changed can be learnt, and is done once."""

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from cinema_grpc.cli.client.exit_codes import ExitCode
from tests.client.proxy import Fault, Proxy, proxying
from tests.e2e.client.shop import ROWS, Person, Shop
from tests.e2e.client.watching import WITH_CTRL_C
from tests.e2e.conftest import CINEMA, SECONDS, environment, run


@asynccontextmanager
async def silent_proxy(clerk: Person) -> AsyncIterator[Proxy]:
    """A proxy in front of the server, at which the clerk is signed in."""
    async with proxying(clerk.shop.address) as proxy:
        settings = {"CINEMA_SERVER": proxy.address, "CINEMA_PASSWORD": clerk.shop.passwords["clerk"]}
        ended = await asyncio.to_thread(
            run, clerk.folder, "login", "clerk", XDG_CONFIG_HOME=str(clerk.folder), **settings
        )
        assert ended.returncode == 0, ended.stderr
        yield proxy


async def interrupted(
    clerk: Person, proxy: Proxy, *command: str, once: Callable[[], bool]
) -> subprocess.CompletedProcess[str]:
    """Run a command, and end it by Ctrl-C once something has happened."""
    process = subprocess.Popen(  # noqa: S603, ASYNC220 (our own program; it goes on meanwhile)
        [sys.executable, "-c", WITH_CTRL_C, CINEMA, *command],
        env=environment(CINEMA_SERVER=proxy.address, XDG_CONFIG_HOME=str(clerk.folder)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        async with asyncio.timeout(SECONDS):
            while not await asyncio.to_thread(once):
                pass
        process.send_signal(signal.SIGINT)
        output, errors = await asyncio.to_thread(process.communicate, timeout=SECONDS)
    finally:
        process.kill()
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


@pytest.mark.parametrize("output", ["text", "json"])
async def test_a_sale(shop: Shop, clerk: Person, output: str) -> None:
    """Ends as with a lost connection, and names the request_id: the same command with it sells nothing twice."""
    showtime_id = shop.new_showtime(ROWS).showtime_id
    find = ("find", "--showtime", showtime_id)
    sell = ("sell", showtime_id, "A1", "A2", "--tender", "cash")
    async with silent_proxy(clerk) as proxy:
        proxy.faults = [Fault.SILENCE_AFTER_FIRST]
        ended = await interrupted(clerk, proxy, *sell, "-o", output, once=lambda: bool(clerk.json(*find)["bookings"]))
    assert (ended.returncode, ended.stdout) == (ExitCode.UNAVAILABLE, "")
    (line,) = ended.stderr.splitlines()
    message = json.loads(line)["message"] if output == "json" else line.removeprefix("cinema: ")
    advice = "whether it was carried out is unknown; repeating the command with --request-id (.*) does it once"
    found = re.fullmatch(rf"interrupted \({advice}\)", message)
    assert found, line
    if output == "json":
        assert json.loads(line)["requestId"] == found[1]
    sale = clerk.json(*sell, "--request-id", found[1])["booking"]["bookingId"]
    assert [each["booking"]["bookingId"] for each in clerk.json(*find)["bookings"]] == [sale]


async def test_a_cancelled_showtime(shop: Shop, clerk: Person) -> None:
    """Such a command has no request_id, and is run again."""
    showtime_id = shop.new_showtime(ROWS).showtime_id
    cancel = ("cancel-showtime", showtime_id, "--reason", "no lamp", "-y")

    def is_cancelled() -> bool:
        return bool(clerk.json("seats", showtime_id)["showtime"]["status"] == "SHOWTIME_STATUS_CANCELLED")

    async with silent_proxy(clerk) as proxy:
        proxy.faults = [None, Fault.SILENCE_AFTER_FIRST]
        ended = await interrupted(clerk, proxy, *cancel, once=is_cancelled)
    assert (ended.returncode, ended.stdout) == (ExitCode.UNAVAILABLE, "")
    assert ended.stderr == "cinema: interrupted (whether it was carried out is unknown; run it again)\n"
    assert "SHOWTIME_CANCELLED" in clerk.fails(ExitCode.REFUSED, *cancel)


async def test_a_cancelled_showtime_whose_response_is_lost(shop: Shop, clerk: Person) -> None:
    """The line says so, as after Ctrl-C."""
    cancel = ("cancel-showtime", shop.new_showtime(ROWS).showtime_id, "--reason", "no lamp", "-y")
    async with silent_proxy(clerk) as proxy:
        proxy.faults = [None, *[Fault.LOSE_RESPONSE] * 8]  # more than the client repeats
        settings = {"CINEMA_SERVER": proxy.address, "XDG_CONFIG_HOME": str(clerk.folder)}
        ended = await asyncio.to_thread(run, clerk.folder, *cancel, **settings)
    assert (ended.returncode, ended.stdout) == (ExitCode.UNAVAILABLE, "")
    assert ended.stderr.endswith("(whether it was carried out is unknown; run it again)\n")


async def test_a_list(shop: Shop, clerk: Person) -> None:
    """Changes nothing, so nothing is unknown."""
    shop.new_showtime(ROWS)
    async with silent_proxy(clerk) as proxy:
        proxy.faults = [Fault.SILENCE_AFTER_FIRST]
        ended = await interrupted(clerk, proxy, "showtimes", once=lambda: bool(proxy.of("ListShowtimes")))
    assert (ended.returncode, ended.stdout, "unknown" in ended.stderr) == (ExitCode.FAULT, "", False)
