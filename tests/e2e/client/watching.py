"""Commands of `cinema` that go on until Ctrl-C."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.client.shop import Shop
from tests.e2e.conftest import CINEMA, SECONDS, environment

# A program that is started with SIGINT ignored, as in the background of a shell, would not notice Ctrl-C.
WITH_CTRL_C = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


@contextmanager
def watching(
    shop: Shop, *command: str, output: int = subprocess.PIPE, **settings: str
) -> Iterator[subprocess.Popen[str]]:
    """Run a command that goes on until Ctrl-C, which then ends it well."""
    process = subprocess.Popen(  # noqa: S603 (our own program)
        [sys.executable, "-c", WITH_CTRL_C, CINEMA, *command],
        env=environment(CINEMA_SERVER=shop.address, **settings),
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert (process.wait(SECONDS), process.stderr.read()) == (0, "")
    finally:
        process.kill()
        process.communicate()
