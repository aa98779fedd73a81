"""Envoy with the settings of deploy/compose and other addresses."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.failover.program import Program
from tests.postgresql import free_port

SETTINGS = (Path(__file__).parents[1] / "deploy" / "compose" / "envoy.yaml").read_text()
LISTENER = "{address: 0.0.0.0, port_value: 50051}"
ENDPOINT = """\
              - endpoint:
                  address:
                    socket_address: {address: replica, port_value: 50051}
"""


def settings_for(port: int, replicas: list[str]) -> str:
    """Return the settings with other addresses: no host name here resolves to several of them."""
    assert SETTINGS.count(LISTENER) == SETTINGS.count(ENDPOINT) == 1
    endpoints = [
        ENDPOINT.replace("replica", address.split(":")[0]).replace("50051", address.split(":")[1])
        for address in replicas
    ]
    listener = LISTENER.replace("0.0.0.0", "127.0.0.1").replace("50051", str(port))  # noqa: S104
    return SETTINGS.replace(LISTENER, listener).replace(ENDPOINT, "".join(endpoints))


@contextmanager
def running_envoy(folder: Path, replicas: list[str]) -> Iterator[int]:
    """Run Envoy in front of replicas; yield its port. It may take a second until it listens."""
    envoy = shutil.which("envoy", path=str(Path(sys.executable).parent))
    assert envoy is not None, "it comes with the development dependencies"
    port = free_port()
    file = folder / "envoy.yaml"
    file.write_text(settings_for(port, replicas))
    running = Program([], folder, envoy, "--config-path", str(file), "--concurrency", "1", "--disable-hot-restart")
    try:
        yield port
    finally:
        running.stop()
