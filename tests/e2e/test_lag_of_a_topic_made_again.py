"""Cases 16 and 40 as `atlas lag` tells them: a topic of a running mesh is deleted, made again, and written to."""

import json
from typing import Any

import pytest
from atlas_kafka.cluster.admin import open_admin
from atlas_kafka.producing.producer import Outgoing, open_producer, send_all
from atlas_local.testing import TestMesh
from atlas_local.waiting import wait_until

from tests.e2e.test_runbook_outbox import Shell

pytestmark = pytest.mark.e2e

TOPIC = "hauls.roads"


async def test_lag_goes_to_the_new_topic_with_its_readers(mesh: TestMesh) -> None:
    shell, brokers = Shell(mesh), mesh.servers.kafka_brokers

    async def lag() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(await shell.run(f"atlas lag --topic {TOPIC} --json"))
        assert all(0 <= row["lag_records"] <= row["end"] - row["start"] for row in rows), rows
        return rows

    async def post(count: int) -> None:
        async with open_producer(brokers, "test") as producer:
            for result in await send_all(producer, [Outgoing(TOPIC, b"k", b"junk", []) for _ in range(count)]):
                assert not isinstance(result, Exception), result

    async def all_read() -> bool:
        rows = await lag()
        return bool(rows) and all(row["state"] == "caught-up" for row in rows)

    await post(3)
    await wait_until("the old topic is read", all_read, 30)
    before = await lag()
    groups = {row["group"] for row in before}
    assert "archiver" in groups
    async with open_admin(brokers) as admin:
        await admin.delete_topics([TOPIC])

        async def gone() -> bool:
            return TOPIC not in await admin.list_topics()

        await wait_until("the topic is gone", gone, 15)
    await shell.run("atlas topics --create")
    await post(40)

    async def new_one_is_read() -> bool:
        rows = await lag()
        read = {row["group"] for row in rows if row["state"] == "caught-up"}
        ends = {row["partition"]: row["end"] for row in rows}
        return groups <= read and sum(ends.values()) == 40 and all(row["state"] == "caught-up" for row in rows)

    await wait_until("the new topic is read by every group", new_one_is_read, 40)
    after = await lag()
    assert {row["topic_id"] for row in after}.isdisjoint({row["topic_id"] for row in before})
    assert {row["group"] for row in after} == groups
