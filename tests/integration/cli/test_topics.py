"""`atlas topics` and a Kafka that is away."""

import asyncio
import json
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from atlas_cli.commands.events.topics import register
from atlas_cli.terminal.output import CommandError
from atlas_kafka.cluster.admin import TopicSpec, ensure_topics, open_admin
from atlas_kafka.cluster.topic_state import topic_states
from atlas_local.testing import Servers
from typer.testing import CliRunner

from tests.contexts import SCHEMAS
from tests.declared import rename

pytestmark = pytest.mark.integration


app = typer.Typer()
register(app)


@pytest.fixture
def declaring(servers: Servers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[int, str], str]:
    """`declaring(partitions, retention)`: a topic of this test in the place of hauls.roads, declared so; its name."""

    def declare(partitions: int, retention: str) -> str:
        fresh = f"roads.{uuid.uuid4().hex[:12]}"
        schemas = Path(shutil.copytree(SCHEMAS, tmp_path / "schemas"))
        declared = rename(schemas, "hauls.roads", fresh)
        head, tail = declared.read_text().split(f"{fresh}:")
        tail = tail.replace("partitions: 2", f"partitions: {partitions}", 1)
        declared.write_text(f"{head}{fresh}:{tail.replace('retention: 30d', f'retention: {retention}', 1)}")
        monkeypatch.setenv("ATLAS_KAFKA_BROKERS", servers.kafka_brokers)
        monkeypatch.setenv("ATLAS_SCHEMAS_DIR", str(schemas))
        return fresh

    return declare


async def shown(name: str, *options: str) -> tuple[dict[str, Any], str]:
    # In a thread: the command has an event loop of its own.
    result = await asyncio.to_thread(CliRunner().invoke, app, [*options, "--json"], catch_exceptions=False)
    return next(row for row in json.loads(result.stdout) if row["topic"] == name), result.stderr


async def test_what_is_shown_is_what_is_and_the_difference_can_be_applied(
    servers: Servers, declaring: Callable[[int, str], str]
) -> None:
    """Case 43: partitions and retention were changed in topics.yaml."""
    name = declaring(5, "7d")
    own = {"retention.ms": str(30 * 86_400_000), "segment.bytes": "2000000"}
    await ensure_topics(servers.kafka_brokers, [TopicSpec(name, 2, own)])
    async with open_admin(servers.kafka_brokers) as admin:
        try:
            row, _ = await shown(name)
            assert (row["partitions"], row["retention"], row["offsets"]) == (2, "30d", 0)
            assert row["differs"][0] == "partitions: 2, declared 5"
            assert "retention.ms: 2592000000, declared 604800000" in row["differs"]
            assert f"{name}.dlq: it does not exist" in row["differs"]
            row, told = await shown(name, "--apply")
            assert (row["partitions"], row["retention"], row["differs"]) == (5, "7d", [])
            assert f"{name}: 2 → 5 partitions" in told
            # What was set by hand and is not declared stays.
            state = (await topic_states(admin._client, [name]))[name]
            assert state.config["segment.bytes"] == "2000000"
            assert (await shown(name, "--apply"))[1] == ""
        finally:
            await admin.delete_topics([name, f"{name}.dlq"])


async def test_partitions_are_never_taken_away(servers: Servers, declaring: Callable[[int, str], str]) -> None:
    name = declaring(1, "30d")
    await ensure_topics(servers.kafka_brokers, [TopicSpec(name, 3)])
    async with open_admin(servers.kafka_brokers) as admin:
        try:
            row, _ = await shown(name, "--apply")
            assert row["differs"] == ["partitions: 3, declared 1"]
        finally:
            await admin.delete_topics([name, f"{name}.dlq"])


async def test_create_makes_what_is_missing_and_may_be_repeated(
    servers: Servers, declaring: Callable[[int, str], str]
) -> None:
    name = declaring(2, "forever")
    row, _ = await shown(name)
    assert (row["offsets"], row["dead_letters"], row["partitions"], row["retention"]) == (None, None, None, None)
    assert row["differs"][0] == "it does not exist"
    assert row["events"] == ["hauls.RoadObserved"]
    try:
        for _again in range(2):
            row, _ = await shown(name, "--create")
            assert (row["offsets"], row["dead_letters"], row["retention"]) == (0, 0, "forever")
    finally:
        async with open_admin(servers.kafka_brokers) as admin:
            await admin.delete_topics([name, f"{name}.dlq"])


def test_a_kafka_that_is_away_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLAS_KAFKA_BROKERS", "127.0.0.1:1")
    monkeypatch.setenv("ATLAS_SCHEMAS_DIR", str(SCHEMAS))
    with pytest.raises(CommandError, match=r"Kafka at 127\.0\.0\.1:1 does not answer"):
        CliRunner().invoke(app, [], catch_exceptions=False)
