"""Real faults make real alerts, and what the runbooks say, as it is written there, ends them.

The rules are those of infra/observability, with shorter times; a Prometheus that watches the mesh says what fires.
"""

import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest
import yaml
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from atlas_kafka.producing.transactional import open_transactional_producer
from atlas_local.home import ROOT
from atlas_local.testing import TestMesh, requires

from tests.e2e.alerting import FOR, RANGE, SHORTER, Alerts, shorter, watching
from tests.e2e.runbook import steps
from tests.e2e.test_runbook_outbox import Shell
from tests.integration.gateway.posting import departed

pytestmark = pytest.mark.e2e

RULES = [yaml.safe_load((ROOT / "infra/observability" / name).read_text()) for name in ("alerts.yml", "slo.yml")]
TOPIC, BLOCKED = "hauls.events", "hauls.roads"
# Time and again, for what is counted.
PACE_S = 0.3


@pytest.fixture(scope="module")
def alerts(mesh_of_session: TestMesh, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alerts]:
    with watching(mesh_of_session, tmp_path_factory.mktemp("alerts")) as found:
        yield found


def commands(runbook: str, language: str = "sh") -> list[str]:
    return [step.text for step in steps(ROOT / f"docs/runbooks/{runbook}.md") if step.language == language]


@asynccontextmanager
async def posts(mesh: TestMesh) -> AsyncIterator[None]:
    """Within the block records are posted, commands sent, and nobody minds what becomes of them."""

    async def post(session: aiohttp.ClientSession) -> None:
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):
                async with session.post(f"/topics/{TOPIC}", json=departed()) as response:
                    await response.read()
            await asyncio.sleep(PACE_S)

    async def command(session: aiohttp.ClientSession) -> None:
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):
                body = {"email": f"{uuid.uuid4().hex}@example.org", "display_name": "Ann"}
                async with session.post("/yards", json=body) as response:
                    await response.read()
            await asyncio.sleep(PACE_S)

    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(mesh.url("gateway"), timeout=timeout) as session:
        running = [asyncio.create_task(post(session)), asyncio.create_task(command(session))]
        try:
            yield
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


def alert(name: str, **labels: str) -> dict[str, str]:
    return {"alertname": name, **labels}


def test_only_times_are_changed() -> None:
    for rules in RULES:
        for group, changed in zip(rules["groups"], shorter(rules)["groups"], strict=True):
            for rule, now in zip(group["rules"], changed["rules"], strict=True):
                assert RANGE.split(rule["expr"])[::3] == re.split(r"\[\d+s\]|offset \d+s", now["expr"])
                assert {**rule, "expr": "", "for": FOR} == {"for": FOR, **now, "expr": ""}


def test_windows_keep_their_order() -> None:
    in_s = {"m": 60, "h": 3600, "d": 86400}
    longest_last = sorted(SHORTER, key=lambda text: int(text[:-1]) * in_s[text[-1]])
    found = [int(SHORTER[text][:-1]) for text in longest_last]
    assert found == sorted(found)


async def test_a_projector_that_is_stopped(mesh: TestMesh, alerts: Alerts) -> None:
    look, start, restart, over = commands("a-service-is-down")
    lag, nobody, *_, caught_up = commands("a-consumer-falls-behind")
    shell = Shell(mesh)
    down = (
        alert("ServiceDown", service="projector", severity="critical"),
        alert("TargetUnreachable", service="projector"),
        alert("ConsumerAbandoned", group="projector.hauls", severity="critical"),
    )
    await alerts.fall_silent(*down)
    async with posts(mesh):
        await mesh.stop("projector")
        await alerts.fire(*down)
        looked = await shell.run(look)
        assert "projector" in looked
        assert "stopped" in looked
        assert "projector.hauls" in await shell.run(lag)
        assert "projector: ready" in await shell.run(start)
        await alerts.fall_silent(*down)
    assert "projector: ready" in await shell.run(restart)
    # There is nothing to do any more, and it does no harm.
    assert "projector" in await shell.run(nobody)
    await shell.run(over)
    assert "projector.hauls" in await shell.run(caught_up)
    await alerts.fall_silent(*down)
    assert not alerts.broken()


async def test_a_transaction_that_is_open_and_a_record_that_nobody_can_read(mesh: TestMesh, alerts: Alerts) -> None:
    _look, asked, abort, _hanging, _over = commands("a-consumer-is-blocked-by-a-transaction")
    shell, etl = Shell(mesh), f"etl-{uuid.uuid4().hex[:8]}"
    blocked = alert("TransactionBlocksReaders", topic=BLOCKED, severity="critical")
    dead = (
        alert("DeadLetters", topic=TOPIC),
        alert("DeadLettersGrowing", topic=TOPIC),
        alert("ProjectionParked", projection="hauls"),
    )
    await alerts.fall_silent(blocked, *dead)
    brokers = mesh.servers.kafka_brokers
    async with open_transactional_producer(brokers, "test", etl) as etl_job, open_producer(brokers) as producer:
        await etl_job.begin_transaction()
        await etl_job.send_and_wait(BLOCKED, b"x", partition=0)

        async def spoil() -> None:
            while True:
                await producer.send_and_wait(TOPIC, b"nobody can read this", key=uuid.uuid4().bytes)
                await asyncio.sleep(PACE_S)

        spoiling = asyncio.create_task(spoil())
        try:
            await alerts.fire(*dead, blocked)
        finally:
            spoiling.cancel()
            await asyncio.gather(spoiling, return_exceptions=True)
        assert etl in await shell.run(asked)
        assert etl in await shell.run(abort, TRANSACTIONAL_ID=etl)
        with suppress(KafkaError):
            await etl_job.commit_transaction()
    await alerts.fall_silent(blocked)
    await _drop(shell)
    await alerts.fall_silent(*dead)


def open_producer(brokers: str) -> AIOKafkaProducer:
    return AIOKafkaProducer(bootstrap_servers=brokers)


async def _drop(shell: Shell) -> None:
    """What the runbook says of records that are wrong."""
    lines = [
        line.removeprefix("$ ") for text in commands("a-record-is-in-the-dlq", "console") for line in text.split("\n")
    ]
    look, *_, drop_all = [line.replace("bookings", "hauls") for line in lines if "ls" in line or "--projection" in line]
    assert "not framed" in await shell.run(look)
    assert "given up" in await shell.run(drop_all)


async def test_brokers_that_are_away(mesh: TestMesh, alerts: Alerts) -> None:
    requires("curl")
    look, start, over = commands("a-server-is-away")
    burning = commands("an-error-budget-burns")
    shell = Shell(mesh)
    away = (
        alert("DependencyDown", dependency="kafka", severity="critical"),
        alert("OutboxStalled", severity="critical"),
        alert("LagUnknown"),
        alert("ErrorBudgetBurnsFast", slo="produce", severity="critical"),
    )
    await alerts.fall_silent(*away)
    async with posts(mesh):
        await mesh.stop("kafka")
        await alerts.fire(*away)
        looked = await shell.run(look)
        assert '"kafka"' in looked
        for text in burning[:2]:
            assert await shell.run(text)
        assert "kafka: ready" in await shell.run(start)
        await alerts.fall_silent(*away)
    assert "relay" in await shell.run(over)
    assert "projector.hauls" in await shell.run(burning[2])
