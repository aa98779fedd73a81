"""Raw bytes at the port, with TLS and without: the server serves on, says nothing of itself, and keeps nothing open."""

import asyncio
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.certificates import Authority, write
from tests.chance import count, generator, seed
from tests.conftest import Lend
from tests.proofs.http2 import PREFACE, call_headers, frame, headers
from tests.proofs.targets import OURS, SAMPLES, Target, a_target
from tests.proofs.vitals import MEBIBYTE, growth, memory, open_files

SHORT, LONG = 200, 50_000
AT_ONCE = 16
ALLOWED_GROWTH = 4 * MEBIBYTE
SECONDS_FOR_ANSWER = 0.02
SECONDS_TO_CLOSE = 30
SPARE_FILES = 5
"""How many more files than before the server may have open in the end: a connection to a database, say."""
ABOUT_A_METHOD = re.compile(rb"Unexpected <class 'UnicodeDecodeError'>: 'utf-8' codec can't decode byte")
"""What gRPC itself answers, before anything of ours is asked, if the name of a method is no UTF-8."""
TLS_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
OPENINGS = (b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", TLS_HELLO, b"SSH-2.0-x\r\n", PREFACE)
LENGTHS = (0, 1, 4, 5, 6, 8, 9, 100, 16_384, 16_385, 2**24 - 1)
CALL = call_headers("/cinema.v1.ShowtimeService/ListShowtimes")


def any_frame(chance: random.Random) -> bytes:
    """Write a frame of some kind, with something in it, or a call that may be changed in some places."""
    if chance.random() < 0.5:
        fields = [*CALL]
        if chance.random() < 0.5:
            del fields[chance.randrange(len(fields))]
        if chance.random() < 0.5:
            fields.append((chance.randbytes(chance.randint(1, 9)), chance.randbytes(chance.randint(0, 99))))
        stream = 2 * chance.randrange(50) + 1
        call = frame(1, 4, stream, headers(fields)) + frame(0, 1, stream, b"\0" * 5)
        if chance.random() < 0.5:
            changed = bytearray(call)
            changed[chance.randrange(len(call))] = chance.randrange(256)
            call = bytes(changed)
        return call
    body = chance.randbytes(chance.choice((0, 4, 5, 6, 8, 30)))
    length = chance.choice(LENGTHS) if chance.random() < 0.2 else None
    return frame(chance.randrange(12), chance.randrange(256), chance.choice((0, 1, 2, 3, 2**31 - 1)), body, length)


def any_bytes(chance: random.Random) -> bytes:
    """Write what a client might begin with that means no good."""
    opening = chance.choice((*OPENINGS, PREFACE, PREFACE, chance.randbytes(chance.randint(1, 300))))
    if opening != PREFACE:
        return opening + chance.randbytes(chance.randint(0, 300))
    settings = frame(4, 0, 0, b"") if chance.random() < 0.9 else b""
    return opening + settings + b"".join(any_frame(chance) for _ in range(chance.randint(0, 12)))


async def throw(target: Target, raw: bytes) -> bytes:
    """Open a connection, send bytes, hear for a moment what comes back, and hang up."""
    host, _, port = target.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    heard = b""
    try:
        writer.write(raw)
        async with asyncio.timeout(SECONDS_FOR_ANSWER):
            while part := await reader.read(65_536):
                heard += part
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.transport.abort()
    return heard


async def bombard(target: Target, chosen: int, number: int, record: Callable[[str, object], None]) -> None:
    """Throw bytes so many times; then nothing of it may be left."""
    before = open_files(target.process_id)
    samples: list[int] = []
    left = iter(range(number))

    async def throw_some() -> None:
        for each in left:
            raw = any_bytes(generator(chosen, each))
            found = OURS.search(ABOUT_A_METHOD.sub(b"", await throw(target, raw)))
            assert found is None, (found, raw.hex())
            if each % (number // SAMPLES or 1) == 0:
                samples.append(memory(target.process_id))

    await asyncio.gather(*(throw_some() for _ in range(AT_ONCE)))
    async with asyncio.timeout(SECONDS_TO_CLOSE):
        while open_files(target.process_id) > before + SPARE_FILES:  # noqa: ASYNC110 (of another process)
            await asyncio.sleep(0.1)
    if number >= LONG:
        grown = growth(samples)
        memory_used = f"{grown / MEBIBYTE:+.2f} MiB over the second half, at {samples[-1] / MEBIBYTE:.0f} MiB"
        record("figures", f"{number} streams of bytes: {memory_used}")
        assert grown < ALLOWED_GROWTH


@pytest.mark.parametrize("number", [SHORT, pytest.param(LONG, marks=pytest.mark.torture)])
@pytest.mark.parametrize("tls", [False, True])
async def test_any_bytes(
    tls: bool, number: int, lend: Lend, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Connections that are none, frames that are none, calls that are none; a good call is answered afterwards."""
    authority = Authority()
    files = write(tmp_path, *authority.issue()) if tls else {}
    settings = {f"CINEMA_{name.upper()}": str(path) for name, path in files.items()}
    async with a_target(lend, "sqlite", tmp_path, authority.client() if tls else None, **settings) as target:
        await bombard(target, seed(), count(number), record_property)
        async with target.channel() as channel:
            assert await target.send(channel, "/cinema.v1.ShowtimeService/ListShowtimes", b"", ()) == []
