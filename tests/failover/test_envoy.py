"""Envoy with the settings of deploy/compose, in front of three replicas that die one after the other."""

import shutil
import signal
import sys
from pathlib import Path

import pytest

from tests.failover.program import Program
from tests.postgresql import free_port
from tests.replicas.conftest import a_chain
from tests.replicas.test_restarts import Load

pytestmark = pytest.mark.failover

SETTINGS = (Path(__file__).parents[2] / "deploy" / "compose" / "envoy.yaml").read_text()
LISTENER = "{address: 0.0.0.0, port_value: 50051}"
ENDPOINT = """\
              - endpoint:
                  address:
                    socket_address: {address: replica, port_value: 50051}
"""


def settings_for(port: int, replicas: list[str]) -> str:
    """Return the settings with other addresses: no host name here resolves to three of them."""
    assert SETTINGS.count(LISTENER) == SETTINGS.count(ENDPOINT) == 1
    endpoints = [
        ENDPOINT.replace("replica", address.split(":")[0]).replace("50051", address.split(":")[1])
        for address in replicas
    ]
    listener = LISTENER.replace("0.0.0.0", "127.0.0.1").replace("50051", str(port))  # noqa: S104
    return SETTINGS.replace(LISTENER, listener).replace(ENDPOINT, "".join(endpoints))


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_replicas_that_die_behind_envoy(database_url: str, tmp_path: Path) -> None:
    """Two of three are killed under clients that repeat nothing by themselves: none of their calls fails."""
    envoy = shutil.which("envoy", path=str(Path(sys.executable).parent))
    assert envoy is not None, "it comes with the development dependencies"
    grace = {"CINEMA_PAYMENT_GRACE_SECONDS": "1"}  # a payment of the dead is taken up while its repeat waits
    async with a_chain(tmp_path, database_url, replicas=3, showtimes=10, customers=10, **grace) as chain:
        port = free_port()
        file = tmp_path / "envoy.yaml"
        file.write_text(settings_for(port, [each.process.address for each in chain.replicas]))
        running = Program(
            [], tmp_path, envoy, "--config-path", str(file), "--concurrency", "1", "--disable-hot-restart"
        )
        try:
            load = Load(chain, [f"127.0.0.1:{port}"], [("grpc.enable_retries", 0)], wait_for_ready=True)
            await load.more(50)
            for replica in chain.replicas[:2]:
                replica.send(signal.SIGKILL)
                replica.process.process.wait()
                await load.more(50)
            await load.stop()
        finally:
            running.stop()
    assert load.failures == []
