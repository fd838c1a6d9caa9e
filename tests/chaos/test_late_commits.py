"""The short version of `make chaos WHAT=late_commits`."""

from pathlib import Path

import pytest
from atlas_local.testing import MakeTopic, Servers
from atlas_relay.sending.marks import progress_topic

from tests.bench.relays import RelayProcess
from tests.chaos.late_commits import KEYS, WRITERS, run, was_late_and_clean
from tests.chaos.outbox_traffic import PARTITIONS, OutboxTraffic

pytestmark = pytest.mark.chaos


async def test_late_commits_arrive_in_order_and_one_long_transaction_delays_nobody(
    servers: Servers, database: str, make_topic: MakeTopic, tmp_path: Path
) -> None:
    topic, spec = await make_topic(partitions=PARTITIONS), progress_topic("ignored")
    progress = await make_topic(partitions=spec.partitions, config=dict(spec.config))
    traffic = OutboxTraffic(database, servers.kafka_brokers, topic, 1, WRITERS, KEYS)
    relay = RelayProcess(servers.kafka_brokers, database, tmp_path / "relay.log", progress_topic=progress)
    summary = await run(traffic, relay, 3000)
    assert was_late_and_clean(summary), summary
    assert summary["behind_a_later_id"] > 300, summary
