"""atlas archive compact, export, expire and holds, on a real bucket; the archive stays whole through all of it."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import polars
import pytest
from atlas_archive.chain.manifests import PartitionPath
from atlas_archive.format.records import Record
from atlas_cli.main import app
from atlas_cli.terminal.output import CommandError
from typer.testing import CliRunner

pytestmark = pytest.mark.integration
TOPIC = "care.events"
RECORDS = [Record(i, 1_357_030_800_000 + i, b"k", (), b"value %d" % i) for i in range(60)]
Atlas = Callable[..., Any]


@pytest.fixture
async def atlas(command_settings: None, store_segments: Callable[..., Awaitable[list[str]]]) -> Atlas:
    """Runs `atlas archive … --json` on an archive of six segments; gives what it printed, raises what it raised."""
    await store_segments(PartitionPath(TOPIC, "id-1", 0), RECORDS, 10)

    def run(*args: str) -> Any:
        result = CliRunner().invoke(app, ["archive", *args, "--json"])
        if result.exception is not None:
            raise result.exception
        return json.loads(result.stdout)

    return run


def whole(atlas: Atlas) -> int:
    """How many records the archive holds, all of which `verify` has read."""
    verified = atlas("verify", TOPIC, "--offline")
    assert verified["ok"], verified
    return int(verified["topics"][0]["records"])


def test_compact(atlas: Atlas) -> None:
    (row,) = atlas("compact", TOPIC, "--target-mb", "0.001", "--grace", "0")
    assert row["segments"] >= 2 * row["into"] > 0
    assert row["removed"] == 2 * row["segments"]
    assert whole(atlas) == 60
    with pytest.raises(CommandError, match=r"nothing\.events: nothing is archived"):
        atlas("compact", "nothing.events")


def test_export(atlas: Atlas, tmp_path: Path) -> None:
    (row,) = atlas("export", TOPIC, "--to", str(tmp_path / "out"))
    assert (row["records"], row["files"]) == (60, 6)
    table = polars.read_parquet(tmp_path / "out" / TOPIC / "**" / "*.parquet")
    assert sorted(table["_value"].to_list()) == sorted(record.value for record in RECORDS if record.value)


def test_expire_and_holds(atlas: Atlas) -> None:
    assert atlas("holds") == []
    assert atlas("hold", TOPIC, "case-7", "--reason", "a dispute")["name"] == "case-7"
    with pytest.raises(CommandError, match=r"care\.events has a hold case-7 already"):
        atlas("hold", TOPIC, "case-7", "--reason", "again")
    with pytest.raises(CommandError, match="under hold case-7"):
        atlas("expire", TOPIC, "--older-than-days", "30", "--yes")
    assert [hold["reason"] for hold in atlas("holds", TOPIC)] == ["a dispute"]
    assert atlas("release", TOPIC, "case-7") == {"topic": TOPIC, "name": "case-7"}
    with pytest.raises(CommandError, match=r"care\.events has no hold case-7"):
        atlas("release", TOPIC, "case-7")
    (row,) = atlas("expire", TOPIC, "--older-than-days", "30", "--dry-run")
    assert (row["segments"], row["records"]) == (6, 60)
    assert whole(atlas) == 60
    (row,) = atlas("expire", TOPIC, "--older-than-days", "30", "--grace", "0", "--yes")
    assert row["floor"] == 60
    assert whole(atlas) == 0


@pytest.fixture
async def late(store_segments: Callable[..., Awaitable[list[str]]]) -> str:
    """A topic whose first seven offsets were gone before they could be archived."""
    await store_segments(PartitionPath("late.events", "id-1", 0), RECORDS, 10, log_start=7)
    return "late.events"


def test_accept(atlas: Atlas, late: str) -> None:
    def verified() -> Any:
        result = CliRunner().invoke(app, ["archive", "verify", late, "--offline", "--json"])
        return json.loads(result.stdout)

    assert not verified()["ok"]
    assert verified()["topics"][0]["complete_from"] == {"0": 7}
    (row,) = atlas("accept", late, "--reason", "begun late")
    assert row["gaps"] == ["0 - 6", "from 60 on"]  # there is no such topic by now
    assert verified()["ok"]
    (row,) = atlas("accept", late, "--reason", "again")
    assert row["gaps"] == []
