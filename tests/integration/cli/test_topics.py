"""`atlas topics` and a Kafka that is away."""

import asyncio
import json
import shutil
import uuid
from pathlib import Path

import pytest
import typer
from atlas_cli.commands.topics import register
from atlas_cli.output import CommandError
from atlas_kafka.admin import open_admin
from atlas_local.testing import Servers
from typer.testing import CliRunner

pytestmark = pytest.mark.integration

SCHEMAS = Path(__file__).resolve().parents[3] / "schemas"

app = typer.Typer()
register(app)


def test_every_declared_topic_is_listed(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLAS_KAFKA_BROKERS", servers.kafka_brokers)
    monkeypatch.setenv("ATLAS_SCHEMAS_DIR", str(SCHEMAS))
    result = CliRunner().invoke(app, ["--json"], catch_exceptions=False)
    rows = {row["topic"]: row for row in json.loads(result.stdout)}
    assert rows["flights.events"]["partitions"] == 4
    assert rows["flights.events"]["retention"] == "30d"
    assert rows["flights.events"]["events"] == ["flights.FlightDeparted", "flights.FlightCancelled"]
    assert rows["users.events"]["retention"] == "forever"


async def test_create_makes_what_is_missing_and_may_be_repeated(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fresh = f"weather.{uuid.uuid4().hex[:12]}"
    schemas = Path(shutil.copytree(SCHEMAS, tmp_path / "schemas"))
    declared = schemas / "topics.yaml"
    declared.write_text(declared.read_text().replace("flights.weather:", f"{fresh}:"))
    monkeypatch.setenv("ATLAS_KAFKA_BROKERS", servers.kafka_brokers)
    monkeypatch.setenv("ATLAS_SCHEMAS_DIR", str(schemas))

    async def held(*options: str) -> tuple[int | None, int | None]:
        # In a thread: the command has an event loop of its own.
        result = await asyncio.to_thread(CliRunner().invoke, app, [*options, "--json"], catch_exceptions=False)
        row = next(row for row in json.loads(result.stdout) if row["topic"] == fresh)
        return row["offsets"], row["dead_letters"]

    assert await held() == (None, None)
    try:
        assert await held("--create") == (0, 0)
        assert await held("--create") == (0, 0)
    finally:
        async with open_admin(servers.kafka_brokers) as admin:
            await admin.delete_topics([fresh, f"{fresh}.dlq"])


def test_a_kafka_that_is_away_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLAS_KAFKA_BROKERS", "127.0.0.1:1")
    monkeypatch.setenv("ATLAS_SCHEMAS_DIR", str(SCHEMAS))
    with pytest.raises(CommandError, match=r"Kafka at 127\.0\.0\.1:1 does not answer"):
        CliRunner().invoke(app, [], catch_exceptions=False)
