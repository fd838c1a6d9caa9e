"""The whole service, as `python -m atlas_projector` runs it."""

import asyncio
import shutil
import socket
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from atlas_hauls.projections.hauls import HAULS
from atlas_local.waiting import wait_until
from atlas_projector.app import serve
from atlas_projector.settings import ProjectorSettings
from atlas_yards.projection import YARDS
from pydantic import SecretStr

from tests.contexts import SCHEMAS
from tests.declared import rename

if TYPE_CHECKING:
    from tests.integration.projector.conftest import Rig

pytestmark = pytest.mark.integration


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def declaring(rig: "Rig", schemas: Path, into: Path) -> Path:
    """The schemas, with the rig's topic in the place of yards.events."""
    folder = into / "schemas"
    shutil.copytree(schemas, folder)
    rename(folder, "yards.events", rig.topic)
    return folder


async def test_it_projects_until_it_is_stopped(
    rig: "Rig", monkeypatch: pytest.MonkeyPatch, request: Any, tmp_path: Path
) -> None:
    """Also beside projections that can't be right: those alone are refused, and named."""
    # A name of its own: the group of the real one may be in use on these brokers.
    yards = rig.pointed(YARDS, name=f"yards_{uuid.uuid4().hex[:8]}")
    lost = replace(HAULS, name="lost", topics=("haul.events",))
    forgeable = replace(YARDS, name="forgeable", topics=("hauls.events",))
    monkeypatch.setattr("atlas_projector.app.installed", lambda _: (yards, lost, forgeable))
    settings = ProjectorSettings(
        http_port=free_port(),
        kafka_brokers=rig.servers.kafka_brokers,
        readmodel_dsn=SecretStr(rig.dsn),
        redis_url=rig.servers.redis_url,
        schemas_dir=declaring(rig, SCHEMAS, tmp_path),
    )
    url = f"http://{settings.http_host}:{settings.http_port}"
    stop = asyncio.Event()
    service = asyncio.create_task(serve(settings, stop))
    async with aiohttp.ClientSession() as session:
        reasons: dict[str, str] = {}

        async def settled() -> bool:
            if service.done():
                service.result()
            try:
                async with session.get(f"{url}/health/ready") as response:
                    reasons.clear()
                    reasons.update((await response.json())["reasons"])
                    return reasons.keys() == {"projection lost", "projection forgeable"}
            except aiohttp.ClientError:
                return False

        await wait_until("all but the refused ones to be ready", settled)
        assert reasons["projection lost"].startswith("refused: it reads haul.events, which topics.yaml does not have")
        assert "`versioned`" in reasons["projection forgeable"]
        await rig.register("u1")
        await rig.settled(yards)
        async with session.get(f"{url}/projections") as response:
            entries = {entry["name"]: entry["state"] for entry in (await response.json())["projections"]}
        assert entries == {yards.name: "running", "lost": "refused", "forgeable": "refused"}
        async with session.get(f"{url}/metrics") as response:
            assert (
                f'atlas_projector_events_total{{outcome="applied",projection="{yards.name}"}} 1.0'
                in await response.text()
            )
    began = time.monotonic()
    stop.set()
    await service
    assert time.monotonic() - began < 10
