"""The way out: `atlas dlq` with a projector and without one; thousands at once; the runbook as written."""

import asyncio
import os
import re
import shlex
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from atlas_local.waiting import wait_until
from atlas_projection.projection import Rejected, Row, Value
from atlas_projector.settings import ProjectorSettings
from atlas_projector.waiting.dead_letters import dead_letter_routes
from atlas_readmodel.waiting.parking import Decision, State
from atlas_runtime.serving.probes import Health, serve_probes
from atlas_yards.projection import YARDS

if TYPE_CHECKING:
    from tests.integration.projector.conftest import Rig

pytestmark = pytest.mark.integration

RUNBOOK = Path(__file__).resolve().parents[3] / "docs" / "runbooks" / "a-record-is-in-the-dlq.md"


async def atlas(rig: "Rig", url: str, command: str) -> str:
    """Run it as a shell would; what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "atlas_cli.main", *shlex.split(command)[1:]),
        env={
            **os.environ, "ATLAS_PROJECTOR_URL": url, "ATLAS_READMODEL_DSN": rig.dsn,
            "ATLAS_REDIS_URL": rig.servers.redis_url, "ATLAS_REDIS_NAMESPACE": rig.topic,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0, f"{command}: {err.decode()}"
    return out.decode()


@asynccontextmanager
async def answering(rig: "Rig", up: bool) -> AsyncIterator[str]:
    """The address of a projector's HTTP side, or one where nothing answers."""
    if not up:
        yield "http://127.0.0.1:9"
        return
    routes = dead_letter_routes(rig.by_name(), rig.codec)
    async with serve_probes(ProjectorSettings(http_port=0), Health("projector"), routes=routes) as port:
        yield f"http://127.0.0.1:{port}"


def picky(can: list[bool]) -> dict[str, object]:
    def handler(row: Row | None, event: Value, meta: object) -> Row | None:
        if event["email"] == "bad@x" and not can[0]:
            raise Rejected("a bad address")
        return YARDS.handlers["yards.YardRegistered"](row, event, meta)  # type: ignore[arg-type]

    return {**YARDS.handlers, "yards.YardRegistered": handler}


def commands() -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", RUNBOOK.read_text(), re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize("up", [True, False], ids=["up", "down"])
async def test_the_runbook_as_it_is_written(rig: "Rig", up: bool) -> None:
    yards = rig.pointed(YARDS, handlers=picky([True]))
    broken = rig.pointed(YARDS, handlers=picky([False]))
    for n in range(17):
        await rig.register(f"before{n}", partition=0)
    await rig.register("u1", email="bad@x", partition=0)
    await rig.projected(broken)

    def here(command: str) -> str:
        return command.replace("bookings.events", rig.topic).replace("bookings", "yards")

    ls, show, raw, retry, drop, drop_all, skip = map(here, commands())
    async with answering(rig, up) as url, asyncio.TaskGroup() as group:
        assert "a bad address" in await atlas(rig, url, ls)
        assert '"email": "bad@x"' in await atlas(rig, url, show)
        assert f"key bytes      {b'u1'.hex()}" in await atlas(rig, url, raw)
        assert "will be stepped over" in await atlas(rig, url, skip)
        await rig.register("killer", partition=0)
        await rig.register("after", partition=0)

        async def loop() -> None:
            async with rig.running(rig.live(yards)):
                await rig.settled(yards)
                await wait_until("it was retried", retried.done)

        if up:
            retried = group.create_task(atlas(rig, url, retry))
            await loop()
            assert retried.result() == "1 records handled\n"
        else:
            assert "1 records: noted, and done when the projector is back" in await atlas(rig, url, retry)
            await rig.projected(yards)
        for given_up in (drop, drop_all):
            await rig.register("u2", email="bad@x", partition=0)
            await rig.projected(broken)
            place = (await rig.waiting(yards))[0].place
            command = given_up.replace("/0@17", f"/0@{place[2]}")
            if up:
                retried = group.create_task(atlas(rig, url, command))
                await loop()
            else:
                await atlas(rig, url, command)

                async def nothing_waits() -> bool:
                    return await rig.waiting(yards) == []

                async with rig.running(rig.live(broken)):
                    await wait_until("it was dropped", nothing_waits)
            assert await rig.stores.of(yards.model).ruling(place) is Decision.DROPPED
    ids = {row["yard_id"] for row in await rig.rows(yards)}
    assert ids == {f"before{n}" for n in range(17)} | {"u1", "after"}
    assert await rig.waiting(yards) == []
    assert await rig.stores.of(yards.model).ruling((rig.topic, 0, 18)) is Decision.SKIPPED


async def test_a_record_that_was_handled_is_not_stepped_over(rig: "Rig") -> None:
    yards = rig.pointed(YARDS)
    await rig.register("u1", partition=0)
    await rig.projected(yards)
    async with answering(rig, True) as url:
        with pytest.raises(AssertionError, match="was handled already; atlas leave-out"):
            await atlas(rig, url, f"atlas dlq skip yards/{rig.topic}/0@0 --reason x")
        with pytest.raises(AssertionError, match="reads no partition"):
            await atlas(rig, url, f"atlas dlq skip yards/{rig.topic}/77@0 --reason x")


async def test_thousands_are_dropped_at_once_and_what_was_behind_is_handled(rig: "Rig", kept: Any) -> None:
    """Case 53: all of one key, a hundred times faster than before; the first that is right is handled after them."""
    count = 3000
    yards = rig.pointed(kept(YARDS), handlers=picky([False]))
    await rig.register("u1", 1, email="bad@x", partition=0)
    headers = [("ce_type", b"yards.YardRegistered")]
    value = {"yard_id": "u1", "email": "good@x", "display_name": "A", "country": None, "registered_at": 1}
    behind = [("ce_sequence", b"2"), *headers]
    await rig.send_raw(rig.codec.encode("yards.YardRegistered", value), key="u1", headers=behind, partition=0)
    for start in range(0, count, 500):
        keys = [f"other{n % 3}" for n in range(start, start + 500)]
        await asyncio.gather(*(rig.send_raw(b"garbage", key=key, headers=headers, partition=0) for key in keys))
    live = rig.live(yards)
    async with rig.running(live):
        await rig.settled(yards, 60)
        store = rig.stores.of(yards.model)
        assert len(await store.ask("drop", None)) == count + 1
        began = time.monotonic()

        async def done() -> bool:
            return not (await store.parked(list(State), 1)).count

        await wait_until("all are dropped", done, 30)
        seconds = time.monotonic() - began
        assert live.state()["parked"] == 0
    assert [row["email"] for row in await rig.rows(yards)] == ["good@x"]
    assert count / seconds > 100, seconds  # one by one it was 50 a second


async def test_what_is_shown_speaks_to_no_terminal(rig: "Rig") -> None:
    yards = rig.pointed(YARDS)
    key, name = "\x1b[31m[/red]\n", "\x1b]0;x"
    await rig.send_raw(b"\xff\x00", key=key, headers=[(name, b"\x1b[2J")], partition=0)
    await rig.projected(yards)
    for up in (True, False):
        async with answering(rig, up) as url:
            found = orjson.loads(await atlas(rig, url, "atlas dlq ls --json"))
            assert found[0]["key"] == key
            for command in ("ls", f"show yards/{rig.topic}/0@0", f"show yards/{rig.topic}/0@0 --raw"):
                assert "\x1b" not in await atlas(rig, url, f"atlas dlq {command}")
