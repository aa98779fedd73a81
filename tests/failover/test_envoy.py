"""Envoy with the settings of deploy/compose, in front of three replicas that die one after the other."""

import signal
from pathlib import Path

import pytest

from tests.envoy import running_envoy
from tests.replicas.conftest import a_chain
from tests.replicas.test_restarts import Load

pytestmark = pytest.mark.failover


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_replicas_that_die_behind_envoy(database_url: str, tmp_path: Path) -> None:
    """Two of three are killed under clients that repeat nothing by themselves: none of their calls fails."""
    grace = {"CINEMA_PAYMENT_GRACE_SECONDS": "1"}  # a payment of the dead is taken up while its repeat waits
    async with a_chain(tmp_path, database_url, replicas=3, showtimes=10, customers=10, **grace) as chain:
        with running_envoy(tmp_path, [each.process.address for each in chain.replicas]) as port:
            load = Load(chain, [f"127.0.0.1:{port}"], [("grpc.enable_retries", 0)], wait_for_ready=True)
            await load.more(50)
            for replica in chain.replicas[:2]:
                replica.send(signal.SIGKILL)
                replica.process.process.wait()
                await load.more(50)
            await load.stop()
    assert load.failures == []
