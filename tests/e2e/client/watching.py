"""Commands of `cinema` that go on until Ctrl-C."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.client.shop import Shop
from tests.e2e.conftest import CINEMA, SECONDS, environment


@contextmanager
def watching(
    shop: Shop, *command: str, output: int = subprocess.PIPE, **settings: str
) -> Iterator[subprocess.Popen[str]]:
    """Run a command that goes on until Ctrl-C, which then ends it well."""
    process = subprocess.Popen(  # noqa: S603 (our own program)
        [CINEMA, *command],
        env=environment(CINEMA_SERVER=shop.address, **settings),
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.communicate()
