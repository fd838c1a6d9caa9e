"""`atlas dlq`: what waits is shown, handled again in order, or given up; a rebuild follows what was decided."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from atlas_cli.read_models import rebuilding
from atlas_cli.settings import CliSettings
from atlas_cli.terminal.output import CommandError
from atlas_local.waiting import wait_until
from atlas_projection import waiting
from atlas_projection.projection import Projection, Rejected, Row, Value
from atlas_projector.rebuilding.rebuild import Options, Progress, rebuild
from atlas_projector.settings import ProjectorSettings
from atlas_projector.source import open_topic_source
from atlas_projector.waiting.dead_letters import dead_letter_routes
from atlas_runtime.serving.probes import Health, serve_probes
from atlas_yards.projection import YARDS

if TYPE_CHECKING:
    from tests.integration.projector.conftest import Rig

Kept = Callable[[Projection], Projection]

pytestmark = pytest.mark.integration


@pytest.fixture
async def ask(rig: "Rig", kept: Kept) -> AsyncIterator[Any]:
    """The projector's answers, asked for as the CLI does."""
    routes = dead_letter_routes({"yards": rig.stores.of(kept(YARDS).model)}, rig.codec)
    async with serve_probes(ProjectorSettings(http_port=0), Health("projector"), routes=routes) as port:
        settings = CliSettings(projector_url=f"http://127.0.0.1:{port}")

        async def call(method: str, path: str, body: Any = None) -> Any:
            return await rebuilding.ask(settings, method, path, Any, body)

        yield call


def picky(wanted: dict[str, bool]) -> Any:
    """YARDS' registering, which refuses e-mails of `bad@x` until `wanted["bad"]`."""
    registered = YARDS.handlers["yards.YardRegistered"]

    def handler(row: Row | None, event: Value, meta: Any) -> Row | None:
        if event["email"] == "bad@x" and not wanted["bad"]:
            raise Rejected("a bad address")
        return registered(row, event, meta)

    return {**YARDS.handlers, "yards.YardRegistered": handler}


async def settled(rig: "Rig", yards: Projection, ids: list[str]) -> None:
    async def nothing_asked() -> bool:
        return not any(record.request for record in await rig.waiting(yards))

    await wait_until(f"{ids} to be settled", nothing_asked)


async def three_of_one_key(rig: "Rig") -> str:
    """A record that is refused, with two behind it; the id of the first."""
    first = await rig.register("u1", 1, email="bad@x", partition=0)
    await rig.register("u1", 2, email="two@x", partition=0)
    await rig.register("u1", 3, email="three@x", partition=0)
    await rig.register("u2", 1, email="other@x", partition=0)
    return f"yards/{rig.topic}/0@{first.offset}"


async def test_retried_in_order_once_it_can_be_handled(rig: "Rig", kept: Kept, ask: Any) -> None:
    can = {"bad": False}
    yards = rig.pointed(kept(YARDS), handlers=picky(can))
    bad = await three_of_one_key(rig)
    async with rig.running(rig.live(yards)):
        await rig.settled(yards)
        assert [row["yard_id"] for row in await rig.rows(yards)] == ["u2"]
        found = await ask("GET", "/dead-letters?projection=yards")
        assert [(each["id"], each["state"], each["error"]) for each in found["records"]] == [
            (bad, "dead", "a bad address")
        ]
        assert found["waiting"] == 3
        whole = await ask("GET", f"/dead-letters/{bad}")
        assert whole["value"]["value"]["email"] == "bad@x"
        assert whole["headers"]["ce_sequence"] == "1"
        # Not mended yet: it fails again, and says how often it did.
        assert (await ask("POST", "/dead-letters/retry", {"ids": [bad]}))["asked"] == [bad]
        await settled(rig, yards, [bad])
        assert (await ask("GET", f"/dead-letters/{bad}"))["attempts"] == 2
        can["bad"] = True
        await ask("POST", "/dead-letters/retry", {"projection": "yards"})
        await settled(rig, yards, [bad])
        (first, _) = await rig.rows(yards)
        assert (first["email"], first["version"]) == ("three@x", 3)
        # The key is free again.
        await rig.register("u1", 4, email="four@x", partition=0)
        await rig.settled(yards)
        assert (await rig.rows(yards))[0]["email"] == "four@x"
    assert await rig.waiting(yards) == []
    place = (rig.topic, 0, int(bad.rpartition("@")[2]))
    assert await rig.stores.of(yards.model).ruling(place) is None


async def test_dropped_and_a_rebuild_leaves_it_out_too(rig: "Rig", kept: Kept, ask: Any) -> None:
    yards = rig.pointed(kept(YARDS), handlers=picky({"bad": False}))
    bad = await three_of_one_key(rig)
    async with rig.running(rig.live(yards)):
        await rig.settled(yards)
        await ask("POST", "/dead-letters/drop", {"ids": [bad]})
        await settled(rig, yards, [bad])
        rows = await rig.rows(yards)
        assert [(row["yard_id"], row["email"], row["version"]) for row in rows] == [
            ("u1", "three@x", 3),
            ("u2", "other@x", 1),
        ]
    async with open_topic_source(rig.servers.kafka_brokers, yards.topics, "test") as source:
        built = await rebuild(yards, rig.stores, rig.codec, source, Progress(), Options(verify=True))
    assert built.comparison is not None
    assert built.comparison.identical
    assert await rig.rows(yards) == rows


async def test_what_waits_survives_a_restart_and_a_rebuild(rig: "Rig", kept: Kept, ask: Any) -> None:
    can = {"bad": False}
    yards = rig.pointed(kept(YARDS), handlers=picky(can))
    bad = await three_of_one_key(rig)
    await rig.projected(yards)
    async with open_topic_source(rig.servers.kafka_brokers, yards.topics, "test") as source:
        await rebuild(yards, rig.stores, rig.codec, source, Progress(), Options(verify=True))
    can["bad"] = True
    async with rig.running(rig.live(yards)):
        await rig.register("u1", 4, email="four@x", partition=0)
        await rig.settled(yards)
        assert [row["yard_id"] for row in await rig.rows(yards)] == ["u2"]
        await ask("POST", "/dead-letters/retry", {"ids": [bad]})
        await settled(rig, yards, [bad])
        assert (await rig.rows(yards))[0]["email"] == "four@x"


async def test_an_early_version_waits_for_the_one_before(rig: "Rig", kept: Kept) -> None:
    yards = rig.pointed(kept(YARDS))
    await rig.register("u1", 1, email="one@x", partition=0)
    await rig.register("u1", 3, email="three@x", partition=0)
    async with rig.running(rig.live(yards)):
        await rig.settled(yards)
        (row,) = await rig.rows(yards)
        assert (row["email"], row["version"]) == ("one@x", 1)
    async with rig.running(rig.live(yards)):  # it waits in the database, not in a process
        await rig.register("u1", 2, email="two@x", partition=0)
        await rig.settled(yards)
    (row,) = await rig.rows(yards)
    assert (row["email"], row["version"]) == ("three@x", 3)
    assert await rig.waiting(yards) == []


async def test_a_version_that_never_comes_is_not_waited_for_for_ever(
    rig: "Rig", kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    yards = rig.pointed(kept(YARDS))
    await rig.register("u1", 1, email="one@x", partition=0)
    await rig.register("u1", 3, email="three@x", partition=0)
    await rig.register("u1", 4, email="four@x", partition=0)
    live = rig.live(yards)
    async with rig.running(live):
        await rig.settled(yards)
        assert live.state()["parked"] == 2
        monkeypatch.setattr(waiting, "EARLY_WAIT_S", 0.0)

        async def taken() -> bool:
            return [row["version"] for row in await rig.rows(yards)] == [4]

        await wait_until("the early ones to be taken", taken)
        await rig.register("u1", 2, email="late@x", partition=0)
        await rig.settled(yards)
    monkeypatch.setattr(waiting, "EARLY_WAIT_S", 3600.0)
    async with open_topic_source(rig.servers.kafka_brokers, yards.topics, "test") as source:
        built = await rebuild(yards, rig.stores, rig.codec, source, Progress(), Options(verify=True))
    assert built.comparison is not None
    assert built.comparison.identical
    (row,) = await rig.rows(yards)
    assert (row["email"], row["version"]) == ("four@x", 4)


async def test_a_record_over_which_a_handler_fails_is_set_aside_at_once(rig: "Rig", kept: Kept) -> None:
    def broken(row: Row | None, event: Value, meta: Any) -> Row | None:
        if event["email"] == "bad@x":
            raise ZeroDivisionError("of all things")
        return YARDS.handlers["yards.YardRegistered"](row, event, meta)

    yards = rig.pointed(kept(YARDS), handlers={**YARDS.handlers, "yards.YardRegistered": broken})
    await three_of_one_key(rig)
    await rig.projected(yards)
    assert [row["yard_id"] for row in await rig.rows(yards)] == ["u2"]
    (error,) = (record.error for record in await rig.waiting(yards) if record.state == "dead")
    assert error == "its handler failed: ZeroDivisionError: of all things"


async def test_what_is_asked_wrongly_is_said(rig: "Rig", ask: Any) -> None:
    yards = replace(rig.pointed(YARDS))
    await rig.projected(yards)
    for method, path, body, said in (
        ("GET", "/dead-letters/yards/x.events/0@1", None, "does not wait"),
        ("GET", "/dead-letters/nonsense", None, "is no record"),
        ("POST", "/dead-letters/retry", {}, "expected"),
        ("POST", "/dead-letters/drop", {"ids": ["x"]}, "is no record"),
    ):
        with pytest.raises(CommandError, match=said):
            await ask(method, path, body)
    assert (await ask("POST", "/dead-letters/retry", {"projection": "yards"}))["asked"] == []
