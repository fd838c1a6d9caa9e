"""The ledger as the aggregator shows it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from atlas_health_aggregator import ledger as module
from atlas_health_aggregator.ledger import LedgerWatch, exposed_ledger
from atlas_ledger.audit import Ledger, Sources
from atlas_ledger.lines import Line
from atlas_local.waiting import wait_until
from atlas_outbox.by_topic import TopicRows
from prometheus_client import REGISTRY, generate_latest

SOURCES = Sources("", "", "", {})


def line(partition: int, group: str = "projector.p", unaccounted: int = 0) -> Line:
    return Line("t", partition, group, 8, 10, 2, True, {"projected": 8}, unaccounted, 1, "why")


LEDGER = Ledger(
    1_700_000_000_000, [line(1, unaccounted=3), line(0, "archiver"), line(0)], [TopicRows("t", 2, 1, 0.5)], 0.1
)


@asynccontextmanager
async def asked(watch: LedgerWatch) -> AsyncIterator[TestClient[Any, Any]]:
    app = web.Application()
    app.add_routes(watch.routes())
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_the_lines_are_shown_worst_first_in_pages() -> None:
    watch = LedgerWatch(SOURCES, ["t"], 1)
    async with asked(watch) as client:
        early = await client.get("/ledger")
        assert (early.status, early.content_type) == (503, "application/problem+json")
        watch.ledger = LEDGER
        first = await (await client.get("/ledger?limit=1")).json()
        assert (first["unaccounted"], first["items"][0]["partition"]) == (3, 1)
        assert first["outbox"] == [{"topic": "t", "waiting": 2, "parked": 1, "oldest_s": 0.5}]
        rest = await (await client.get("/ledger", params={"cursor": first["next_cursor"]})).json()
        assert ([each["group"] for each in rest["items"]], rest["next_cursor"]) == (["archiver", "projector.p"], None)
        assert (await (await client.get("/ledger?topic=u")).json())["items"] == []
        assert (await client.get("/ledger?limit=x")).status == 422


def test_metrics_are_sums_by_topic_and_group() -> None:
    watch = LedgerWatch(SOURCES, ["t"], 1)
    with exposed_ledger(watch):
        assert "atlas_ledger" not in generate_latest(REGISTRY).decode()
        watch.ledger = LEDGER
        text = generate_latest(REGISTRY).decode()
    assert 'atlas_ledger_unaccounted_records{group="projector.p",topic="t"} 3.0' in text
    assert 'atlas_ledger_in_flight_records{group="projector.p",topic="t"} 4.0' in text
    assert 'atlas_ledger_unproven_records{group="archiver",topic="t"} 1.0' in text
    assert 'atlas_ledger_records{group="projector.p",outcome="projected",topic="t"} 16.0' in text
    assert 'atlas_ledger_outbox_rows{state="parked",topic="t"} 1.0' in text
    assert REGISTRY.get_sample_value("atlas_ledger_age_seconds") is None


async def test_a_round_that_fails_leaves_the_last_one_standing(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Ledger | Exception] = [LEDGER, OSError("away")]

    class Auditor:
        async def take(self, _topics: object) -> Ledger:
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

    @asynccontextmanager
    async def opened(_sources: Sources) -> AsyncIterator[Auditor]:
        yield Auditor()

    monkeypatch.setattr(module, "open_auditor", opened)
    watch = LedgerWatch(SOURCES, ["t"], 0.01)
    running = asyncio.create_task(watch.run())
    await wait_until("a round to fail", watch.check, 30)
    running.cancel()
    assert watch.ledger is LEDGER
    assert await watch.check() == "not taken: OSError: away"


async def test_it_can_be_off() -> None:
    began = time.monotonic()
    await LedgerWatch(SOURCES, ["t"], 0).run()
    assert time.monotonic() - began < 30
