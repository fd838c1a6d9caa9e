"""docs/runbooks/a-consumer-is-blocked-by-a-transaction.md, tried as written beside an open transaction (case 6)."""

import json
import uuid
from typing import Any

import aiohttp
import pytest
from aiokafka.errors import KafkaError
from atlas_kafka.producing.transactional import open_transactional_producer
from atlas_local.home import ROOT
from atlas_local.testing import TestMesh
from atlas_local.waiting import wait_until

from tests.e2e.runbook import steps
from tests.e2e.test_runbook_outbox import Shell

pytestmark = pytest.mark.e2e

RUNBOOK = ROOT / "docs/runbooks/a-consumer-is-blocked-by-a-transaction.md"
TOPIC = "hauls.roads"


async def test_it_works_as_written(mesh: TestMesh) -> None:
    blocks = [step for step in steps(RUNBOOK) if step.language == "sh"]
    assert [step.about for step in blocks].index("hanging") == 3
    look, asked, abort, hanging, over = [step.text for step in blocks]
    shell, etl = Shell(mesh), f"etl-{uuid.uuid4().hex[:8]}"

    async with open_transactional_producer(mesh.servers.kafka_brokers, "test", etl) as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(TOPIC, b"x", partition=0)

        async def lag() -> dict[str, Any]:
            rows = json.loads(await shell.run(f"atlas lag --topic {TOPIC} --json"))
            return {row["group"]: row for row in rows if row["partition"] == 0}

        async def blocked() -> bool:
            return (await lag())["archiver"]["state"] == "blocked"

        await wait_until("the archiver's group is blocked", blocked, 30)
        assert (await lag())["archiver"]["lag_records"] >= 1
        assert "blocked" in await shell.run(look)
        said = await shell.run(asked)
        assert etl in said
        assert TOPIC in said

        async def waits() -> bool:
            async with aiohttp.ClientSession() as client, client.get(mesh.url("archiver") + "/health") as response:
                reasons = (await response.json())["reasons"]
            return "blocked by an open transaction on hauls.roads/0" in reasons.get("consumer", "")

        await wait_until("the archiver says what it waits for", waits, 20)
        with pytest.raises(AssertionError, match=f"{etl} has it open in {TOPIC}/0"):
            await shell.run(hanging.replace("TOPIC/PARTITION", f"{TOPIC}/0"))
        with pytest.raises(AssertionError, match="nobody holds back no partition"):
            await shell.run(abort, TRANSACTIONAL_ID="nobody")
        assert f"the transaction of {etl} is aborted" in await shell.run(abort, TRANSACTIONAL_ID=etl)
        with pytest.raises(KafkaError):
            await producer.commit_transaction()

    async def caught_up() -> bool:
        return (await lag())["archiver"]["state"] == "caught-up"

    await wait_until("the archiver has caught up", caught_up, 20)
    assert etl not in await shell.run(over)
