"""History on a real broker: it survives a restart, and two aggregators make no doubles."""

import asyncio
import itertools
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import orjson
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from atlas_cli.asking import Service
from atlas_cli.mesh.lag_history import BARS_MAX, POINTS_MAX, parse_span, read_history, step_for
from atlas_health_aggregator.app import serve
from atlas_health_aggregator.history import keeping
from atlas_health_aggregator.history.blocks import part_of
from atlas_health_aggregator.history.keeping import HistoryTopic, Keeper
from atlas_health_aggregator.history.points import LEVELS, WEEK_MS
from atlas_health_aggregator.history.remembering import Block, History
from atlas_health_aggregator.judging.lag_rows import Lag
from atlas_health_aggregator.lag import LagReport
from atlas_kafka.cluster.admin import open_admin
from atlas_kafka.cluster.groups import open_reader, topic_ranges
from atlas_kafka.producing.producer import Outgoing, Producer, open_producer, send_all
from atlas_local.testing import MakeTopic, Servers
from atlas_local.waiting import wait_until

from tests.integration.health_aggregator.conftest import MakeSettings
from tests.integration.health_aggregator.running import Asked, raise_if_done, running_aggregator

KEY = ("g", "t")


class Reports:
    """The report of now, of one group that is `records` behind."""

    def __init__(self) -> None:
        self.report = LagReport(0, (), {})

    def show(self, taken_at: int, records: int) -> None:
        self.report = LagReport(taken_at, (), {}, sums={("g", "t"): Lag(records, 1.5, ours=True)})


class Aggregator:
    """A history with its keeper, and what it says of itself."""

    def __init__(self, topic: HistoryTopic, producer: Producer, leads: Callable[[], bool]) -> None:
        self.history = History(100)
        self.reports = Reports()
        self.keeper = Keeper(self.history, topic, producer, leads)
        self.said: list[str | None] = []

    def points(self, level: int) -> list[tuple[int, int, int]]:
        found = self.history.points(KEY, level, 0, now_ms() + WEEK_MS)
        return [(point.at // LEVELS[level].step_ms, point.records_max, point.records_last) for point in found]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def keeping_history(
    servers: Servers, name: str, by: str = "a", leads: Callable[[], bool] = lambda: True
) -> AsyncIterator[Aggregator]:
    """An aggregator's history within the block, read; ended as a kill would end it."""
    async with open_producer(servers.kafka_brokers, by) as producer:
        found = Aggregator(HistoryTopic(servers.kafka_brokers, name, by), producer, leads)
        task = asyncio.create_task(found.keeper.run(found.reports, found.said.append))

        async def complete() -> bool:
            if task.done():
                task.result()
            return found.history.complete

        try:
            await wait_until("what was kept is read", complete, 20)
            yield found
        finally:
            task.cancel()
            await asyncio.wait([task])


async def on_topic(servers: Servers, name: str) -> list[dict[str, Any]]:
    """What each record of the history's topic says."""
    async with open_reader(servers.kafka_brokers, "test") as reader:
        ranges = {each: both for each, both in (await topic_ranges(reader, [name])).items() if both[0] < both[1]}
        reader.assign(list(ranges))
        for each, (first, _end) in ranges.items():
            reader.seek(each, first)
        found: list[dict[str, Any]] = []
        while any([await reader.position(each) < end for each, (_, end) in ranges.items()]):
            for records in (await reader.getmany(timeout_ms=500)).values():
                for record in records:
                    part_of(record.value, now_ms())  # as a reader would take it
                    found.append(orjson.loads(record.value))
    return found


@pytest.fixture
async def history_topic(servers: Servers, name: str) -> AsyncIterator[str]:
    """A name that no topic has yet; what has it afterwards is deleted."""
    topic = f"{name}.lag-history"
    yield topic
    async with open_admin(servers.kafka_brokers) as admin:
        if topic in await admin.list_topics():
            await admin.delete_topics([topic])


def free_port_now() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def fill(aggregator: Aggregator, minutes: int) -> None:
    """The last minutes up to the one that is not over yet: a report every 5 s, 1,000 behind at the first of each."""
    minute = LEVELS[0].block_ms
    until = (now_ms() - keeping.GRACE_MS) // minute * minute
    for number in range(minutes * 12):
        aggregator.reports.show(until - minutes * minute + number * 5000, 1000 if number % 12 == 0 else number)
        aggregator.keeper.observe(aggregator.reports.report)


async def written(aggregator: Aggregator) -> bool:
    return not aggregator.history.due(now_ms() - keeping.GRACE_MS)


async def test_history_outlives_the_process(servers: Servers, history_topic: str) -> None:
    async with keeping_history(servers, history_topic) as first:
        await fill(first, 30)
        await wait_until("every block that is over is written", lambda: written(first), 20)
        before = [first.points(level) for level in range(len(LEVELS))]
    assert [len(points) for points in before[:2]] == [180, 30]
    assert all(most == 1000 for _, most, _last in before[1] + before[2])
    async with keeping_history(servers, history_topic, "b", leads=lambda: False) as second:
        # Also of the ten minutes that are not over, which nobody has written: the minutes have them.
        assert [second.points(level) for level in range(len(LEVELS))] == before
        assert await written(second) or all(block.level for block in second.history.due(now_ms())), "no work left over"


async def test_what_is_not_over_is_written_at_a_stop(servers: Servers, history_topic: str) -> None:
    async with keeping_history(servers, history_topic) as first:
        first.reports.show(now_ms(), 7)
        await first.keeper.last_words(first.reports)
        before = first.points(0)
        assert [each["whole"] for each in await on_topic(servers, history_topic)] == [False]
    async with keeping_history(servers, history_topic) as second:
        assert second.points(0) == before
        block = Block(0, before[0][0] // LEVELS[0].block)
        assert block in second.history.unfinished(), "the whole block is still to be written"


async def test_of_two_that_observe_one_writes_and_nothing_is_there_twice(servers: Servers, history_topic: str) -> None:
    leader = "a"
    async with (
        keeping_history(servers, history_topic, "a", lambda: leader == "a") as one,
        keeping_history(servers, history_topic, "b", lambda: leader == "b") as two,
    ):
        await fill(one, 10)
        await fill(two, 10)
        two.reports.show(one.reports.report.taken_at + 1, 5000)
        two.keeper.observe(two.reports.report)

        async def both_done() -> bool:
            return await written(one) and await written(two)

        await wait_until("the first has written and the second has read it", both_done, 20)
        found = await on_topic(servers, history_topic)
        assert {each["by"] for each in found} == {"a"}
        blocks = Counter((each["step"], each["block"]) for each in found)
        assert set(blocks.values()) == {1}
        assert [step for step, _ in blocks].count(10) == 10
        leader = "b"
        two.reports.show(now_ms(), 1)
        await two.keeper.last_words(two.reports)
        later = (await on_topic(servers, history_topic))[len(found) :]
        assert [(each["by"], each["whole"]) for each in later] == [("b", False)], "only what is not over was left to it"
        for level in range(len(LEVELS)):
            slots = [slot for slot, *_ in two.points(level)]
            assert slots == sorted(set(slots))
        assert max(most for _, most, _last in two.points(0)) == 5000, "what the second alone has seen is not lost"


async def test_a_takeover_writes_what_the_one_before_has_not(servers: Servers, history_topic: str) -> None:
    leader = "nobody"
    async with keeping_history(servers, history_topic, "b", lambda: leader == "b") as two:
        await fill(two, 3)
        assert not await written(two)
        assert await on_topic(servers, history_topic) == []
        leader = "b"
        await wait_until("it has written what waited", lambda: written(two), 20)
        assert len([each for each in await on_topic(servers, history_topic) if each["step"] == 10]) == 3


async def test_the_topic_is_compacted_by_place_in_the_ring_and_odd_records_are_passed_over(
    servers: Servers, history_topic: str
) -> None:
    async with keeping_history(servers, history_topic) as first:
        await fill(first, 2)
        await wait_until("it is written", lambda: written(first), 20)
        before = first.points(0)
        odd = [b"junk", None, b"{}", b"[" * 1000, b'{"v": 2}']
        for result in await send_all(first.keeper._producer, [Outgoing(history_topic, b"k", each) for each in odd]):
            assert not isinstance(result, Exception)
    async with open_admin(servers.kafka_brokers) as admin:
        assert "compact" in await config_of(admin, history_topic, "cleanup.policy")
    async with keeping_history(servers, history_topic) as second:
        assert second.points(0) == before


async def config_of(admin: AIOKafkaAdminClient, topic: str, name: str) -> str:
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs={name: None})
    for response in await admin.describe_configs([resource]):
        for _error, _message, _type, _topic, entries in response.resources:
            return str({entry[0]: entry[1] for entry in entries}[name])
    raise AssertionError(f"{topic} has no {name}")


async def test_a_topic_that_may_not_be_made_is_said_and_lag_is_remembered_all_the_same(servers: Servers) -> None:
    async with keeping_history(servers, "no such/topic") as found:
        assert "not read" in str(found.said[0])
        await fill(found, 1)
        assert len(found.points(0)) == 6


async def test_the_service_answers_what_it_saw_before_a_restart(
    servers: Servers, make_settings: MakeSettings, make_topic: MakeTopic, name: str
) -> None:
    settings = make_settings()
    path = f"/lag/history?group={name}"

    async def shown(asked: Any, records: Callable[[dict[str, Any]], bool]) -> bool:
        status, body = await asked.get(path)
        return status == 200 and any(records(point) for item in body["items"] for point in item["points"])

    async with running_aggregator(settings) as asked:
        await wait_until("its own group has a history", lambda: shown(asked, lambda _: True), 15)
        (item,) = (await asked.get(path))[1]["items"]
        assert "atlas_lag_history_series 1.0" in (await asked.get("/metrics"))[1]
        first = item["points"][0]
        service = Service("health-aggregator", f"http://127.0.0.1:{settings.http_port}")
        for span in ("30m", "2h", "1d", "7d"):  # as `atlas lag --history` asks, with bars and with every point
            for most in (BARS_MAX, POINTS_MAX):
                span_s = parse_span(span)
                (found,) = await read_history(service, {"group": name}, span_s, step_for(span_s, most))
                assert max(point["records_max"] for point in found["points"]) >= first["records_last"]
    async with running_aggregator(settings) as asked:
        await wait_until("the point of before", lambda: shown(asked, lambda point: point["at"] == first["at"]), 15)
        (item,) = (await asked.get(path))[1]["items"]
        at = [point["at"] for point in item["points"]]
        assert all(one < other for one, other in itertools.pairwise(at))
        assert (await asked.get("/health/ready"))[0] == 200


async def test_of_two_aggregators_the_one_that_leads_writes(
    servers: Servers, make_settings: MakeSettings, name: str
) -> None:
    ports = [free_port_now() for _ in range(2)]
    two = [make_settings(http_port=port, instance=f"{name}-{port}") for port in ports]
    stops = [asyncio.Event() for _ in two]
    tasks = [asyncio.create_task(serve(settings, stop)) for settings, stop in zip(two, stops, strict=True)]
    async with aiohttp.ClientSession() as client:
        asked = [Asked(client, f"http://127.0.0.1:{port}") for port in ports]

        async def one_leads() -> list[bool]:
            for task in tasks:
                raise_if_done(task)
            return [(await each.get("/health/mesh"))[1]["leads"] for each in asked]

        async def ready() -> bool:
            with suppress(aiohttp.ClientConnectionError):
                histories = [(await each.get(f"/lag/history?group={name}"))[1] for each in asked]
                shown = all(isinstance(body, dict) and body["items"] for body in histories)
                return shown and sorted(await one_leads()) == [False, True]
            return False

        try:
            await wait_until("both have a history, and one leads", ready, 40)
            leads = (await one_leads()).index(True)
            for place in (1 - leads, leads):  # who leads goes last: nobody takes over
                stops[place].set()
                await asyncio.wait_for(tasks[place], 15)
        finally:
            for stop in stops:
                stop.set()
            await asyncio.wait(tasks, timeout=15)
    found = await on_topic(servers, f"{name}.health.lag-history")
    assert {each["by"] for each in found} == {two[leads].instance}
    assert max(Counter((each["step"], each["block"], each["whole"]) for each in found).values()) == 1
