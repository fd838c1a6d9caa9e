"""The whole service, as `python -m atlas_projector` runs it."""

import asyncio
import socket
import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from atlas_local.waiting import wait_until
from atlas_projector.app import serve
from atlas_projector.owners import NotOwned
from atlas_projector.projections.users import USERS
from atlas_projector.settings import ProjectorSettings
from pydantic import SecretStr

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.projector.conftest import Rig

pytestmark = pytest.mark.integration


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


async def test_it_projects_until_it_is_stopped(rig: "Rig", monkeypatch: pytest.MonkeyPatch, request: Any) -> None:
    # A name of its own: the group of the real one may be in use on these brokers.
    users = rig.pointed(USERS, name=f"users_{uuid.uuid4().hex[:8]}")
    monkeypatch.setattr("atlas_projector.app.PROJECTIONS", (users,))
    root: Path = request.config.rootpath
    settings = ProjectorSettings(
        http_port=free_port(),
        kafka_brokers=rig.servers.kafka_brokers,
        readmodel_dsn=SecretStr(rig.dsn),
        redis_url=rig.servers.redis_url,
        schemas_dir=root / "schemas",
    )
    url = f"http://{settings.http_host}:{settings.http_port}"
    stop = asyncio.Event()
    service = asyncio.create_task(serve(settings, stop))
    async with aiohttp.ClientSession() as session:

        async def ready() -> bool:
            if service.done():
                service.result()
            try:
                async with session.get(f"{url}/health/ready") as response:
                    return response.status == 200
            except aiohttp.ClientError:
                return False

        await wait_until("the projector is ready", ready)
        await rig.register("u1")
        await rig.settled(users)
        async with session.get(f"{url}/projections") as response:
            (entry,) = (await response.json())["projections"]
        assert (entry["name"], entry["state"]) == (users.name, "running")
        async with session.get(f"{url}/metrics") as response:
            assert (
                f'atlas_projector_events_total{{outcome="applied",projection="{users.name}"}} 1.0'
                in await response.text()
            )
    began = time.monotonic()
    stop.set()
    await service
    assert time.monotonic() - began < 10


async def test_it_does_not_start_where_a_version_would_be_anybody_s(
    monkeypatch: pytest.MonkeyPatch, request: Any
) -> None:
    forgeable = replace(USERS, topics=("flights.events",))
    monkeypatch.setattr("atlas_projector.app.PROJECTIONS", (forgeable,))
    settings = ProjectorSettings(schemas_dir=request.config.rootpath / "schemas")
    with pytest.raises(NotOwned, match=r"projection users is `versioned`.*flights\.events"):
        async with asyncio.timeout(10):
            await serve(settings, asyncio.Event())
