"""The primary of a database dies, and its standby takes over: clients follow, and nothing acknowledged is lost."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chance import count, seed
from tests.e2e.conftest import run
from tests.failover.pair import Pair
from tests.failover.patroni import PatroniPair
from tests.failover.selling import CLIENTS, SHOWTIMES, Cluster, Selling, change_hands, figures
from tests.replicas.audit import Log, audit
from tests.replicas.conftest import Chain, a_chain

pytestmark = pytest.mark.failover
SETTINGS = {"CINEMA_HOLD_SECONDS": "86400", "CINEMA_PAYMENT_GRACE_SECONDS": "1"}
"""No hold lapses, and an interrupted payment is recovered soon."""
Record = Callable[[str, object], None]


async def sell_through_promotions(cluster: Cluster, folder: Path, record_property: Record) -> None:
    """Kill the primary again and again under two replicas, then compare what they said with what is there."""
    times, chosen = count(10), seed()
    async with a_chain(folder, cluster.url, 2, SHOWTIMES + 1, CLIENTS + times, **SETTINGS) as chain:
        selling = Selling(chain, chosen)
        recoveries = await change_hands(cluster, selling, times)
        await selling.more(30)
        await selling.stop()
        assert await wrong(chain, selling.log, folder) == []
    record_property("figures", figures(recoveries, selling.log))


async def wrong(chain: Chain, log: Log, folder: Path) -> list[object]:
    """Return where the database breaks a rule, or disagrees with what was acknowledged."""
    audited = await asyncio.to_thread(run, folder, "audit", "--json", CINEMA_DATABASE_URL=chain.database_url)
    breaches = [each for each in json.loads(audited.stdout)["findings"] if each["breaches"]]
    internal = log.outcomes["INTERNAL"]
    return [*await audit(chain, log), *breaches, *([f"{internal} calls were INTERNAL"] if internal else [])]


async def test_promotions(tmp_path: Path, record_property: Record) -> None:
    """PostgreSQL alone: the primary is killed, its standby promoted, and the old one rebuilt as the next standby."""
    pair = Pair(tmp_path)
    try:
        await pair.start()
        await sell_through_promotions(pair, tmp_path, record_property)
    finally:
        await pair.close()


async def test_promotions_by_patroni(tmp_path: Path, record_property: Record) -> None:
    """With etcd: the primary dies as its machine would, and comes back later; Patroni acts by itself."""
    pair = PatroniPair()
    try:
        await pair.start()
        await sell_through_promotions(pair, tmp_path, record_property)
    finally:
        await pair.close()


async def test_a_primary_that_has_lost_its_standby(tmp_path: Path) -> None:
    """Acknowledges nothing, neither while it lives on nor after it restarts: the standby may be promoted any time.

    After the restart the primary shows commits that the standby never got. The replicas, which look lost commits and
    stored responses up there, must not acknowledge these.
    """
    pair = Pair(tmp_path)
    try:
        await pair.start()
        async with a_chain(tmp_path, pair.url, 2, SHOWTIMES + 1, CLIENTS, **SETTINGS) as chain:
            selling = Selling(chain, seed())
            await selling.more(30)
            await pair.cut_off()
            await asyncio.sleep(0.5)  # what has been committed by now is acknowledged
            before = selling.log.outcomes["OK"]
            await asyncio.sleep(2)
            await pair.kill()
            await asyncio.to_thread(pair.primary.start)
            await asyncio.sleep(4)
            assert selling.log.outcomes["OK"] == before
            await pair.kill()
            await pair.take_over()
            await selling.more(30)
            await selling.stop()
            assert await wrong(chain, selling.log, tmp_path) == []
    finally:
        await pair.close()
