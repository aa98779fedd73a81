"""Requests of every kind to a server process: the contract knows each answer, nothing leaks, memory stays flat."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from tests.chance import count, generator, seed
from tests.conftest import KINDS, Lend
from tests.proofs.any_request import AnyRequest
from tests.proofs.targets import SAMPLES, Target, a_target
from tests.proofs.vitals import MEBIBYTE, growth, memory
from tests.rpc.conftest import METHODS

SHORT, LONG = 12, 50_000
AT_ONCE = 16
ALLOWED_GROWTH = 4 * MEBIBYTE
"""How much memory may grow while the second half of 50,000 requests is answered; much of it is what they have made."""


async def bombard(
    target: Target, method: str, chosen: int, number: int, record: Callable[[str, object], None]
) -> list[str]:
    """Send requests to a method; return what was wrong, and after many, how memory grew."""
    wrong: list[str] = []
    samples: list[int] = []
    requests = AnyRequest(generator(chosen, method), target.likely)
    chance = generator(chosen, method, "callers")
    kind = METHODS[method].input_type
    left = iter(range(number))

    async def send_some(channel: grpc.aio.Channel) -> None:
        for each in left:
            wrong.extend(await target.send(channel, method, requests.make(kind), chance.choice(target.callers)))
            if each % (number // SAMPLES or 1) == 0:
                samples.append(memory(target.process_id))

    async with target.channel() as channel:
        await asyncio.gather(*(send_some(channel) for _ in range(AT_ONCE)))
    if number >= LONG:
        grown = growth(samples)
        memory_used = f"{grown / MEBIBYTE:+.2f} MiB over the second half, at {samples[-1] / MEBIBYTE:.0f} MiB"
        record("figures", f"{number} requests: {memory_used}")
        wrong += [f"memory grew by {grown / MEBIBYTE:.1f} MiB"] if grown > ALLOWED_GROWTH else []
    return wrong


@pytest.mark.parametrize("kind", KINDS)
async def test_any_request(
    kind: str, lend: Lend, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Some to every method."""
    chosen = seed()
    async with a_target(lend, kind, tmp_path) as target:
        assert [await bombard(target, method, chosen, count(SHORT), record_property) for method in METHODS] == [
            [] for _ in METHODS
        ]


@pytest.mark.torture
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
async def test_many_requests(
    kind: str, method: str, lend: Lend, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """50,000 to one, and memory stays flat."""
    async with a_target(lend, kind, tmp_path) as target:
        assert await bombard(target, method, seed(), count(LONG), record_property) == []
