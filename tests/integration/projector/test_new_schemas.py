"""A schema that came after the projector started: its records wait for the folder to have it, and no others do."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry
from atlas_local.waiting import wait_until
from atlas_projector.waiting.new_schemas import Schemas
from atlas_yards.projection import YARDS

from tests.contexts import SCHEMAS

if TYPE_CHECKING:
    from tests.integration.projector.conftest import Rig

pytestmark = pytest.mark.integration


def released(folder: Path) -> Codec:
    """A new version of yards.YardRegistered is in the folder; the codec of who knows it."""
    old = next(path for path in sorted((folder / "yards").glob("*.avsc")) if "YardRegistered" in path.read_text())
    definition = json.loads(old.read_text())
    definition["fields"].append({"name": "referrer", "type": ["null", "string"], "default": None, "doc": "By whom."})
    new = old.with_name(old.name.replace(".v1.", ".v2."))
    new.write_text(json.dumps(definition, indent=2) + "\n")
    added = add(folder, new)
    assert added
    return Codec(Registry.load(folder))


def add(folder: Path, path: Path) -> bool:
    """As `atlas schemas add`."""
    from atlas_cli.commands.operate.schemas import register
    from typer import Typer
    from typer.testing import CliRunner

    app = Typer()
    register(app)
    result = CliRunner().invoke(
        app,
        ["schemas", "add", str(path.relative_to(folder))],
        env={"ATLAS_SCHEMAS_DIR": str(folder)},
        catch_exceptions=False,
    )
    return result.exit_code == 0


def value(yard: str, **more: Any) -> dict[str, Any]:
    return {
        "yard_id": yard,
        "email": f"{yard}@x",
        "display_name": "A",
        "country": None,
        "registered_at": 1,
        **more,
    }


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_schema_that_the_producer_knew_first(rig: "Rig", tmp_path: Path, restarted: bool) -> None:
    yards = rig.pointed(YARDS)
    folder = Path(shutil.copytree(SCHEMAS, tmp_path / "schemas"))
    registry = Registry.load(folder)
    old = Codec(registry)
    live = rig.live(yards)
    live.schemas = Schemas(folder, registry, old)
    elsewhere = Path(shutil.copytree(SCHEMAS, tmp_path / "elsewhere"))
    new = await asyncio.to_thread(released, elsewhere)
    headers = lambda n: [("ce_type", b"yards.YardRegistered"), ("ce_sequence", str(n).encode())]  # noqa: E731
    async with rig.running(live):
        event = new.encode("yards.YardRegistered", value("u1", referrer="r"))
        await rig.send_raw(event, key="u1", headers=headers(1), partition=0)
        await rig.register("u2", partition=0)
        await rig.settled(yards)
        assert [row["yard_id"] for row in await rig.rows(yards)] == ["u2"]  # nobody else waits
        (dead,) = await rig.waiting(yards)
        assert "is not in the registry" in str(dead.error)
        if not restarted:
            await asyncio.to_thread(released, folder)
            await wait_until("the event", lambda: _both(rig, yards), 15)
    if restarted:
        again = rig.live(yards)
        now = Registry.load(elsewhere)
        again.schemas = Schemas(elsewhere, now, Codec(now))
        async with rig.running(again):
            await wait_until("the event", lambda: _both(rig, yards), 15)


async def _both(rig: "Rig", yards: Any) -> bool:
    rows = [row["yard_id"] for row in await rig.rows(yards)]
    return sorted(rows) == ["u1", "u2"] and not await rig.waiting(yards)
