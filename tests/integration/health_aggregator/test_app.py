"""The whole aggregator on a real broker: from heartbeats to events, and to what it answers over HTTP."""

import asyncio
import os
import signal
import socket
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry
from atlas_errors.policy import Fate, fate_of
from atlas_health_aggregator.app import serve
from atlas_health_aggregator.changes import EVENT_TYPE, last_changes
from atlas_health_aggregator.judging.admission import Heartbeat
from atlas_health_aggregator.judging.liveness import Mesh
from atlas_health_aggregator.settings import HealthAggregatorSettings
from atlas_kafka.cluster.admin import TopicSpec, ensure_topics, open_admin
from atlas_kafka.cluster.groups import open_reader, topic_ranges
from atlas_kafka.producing.producer import Outgoing, open_producer, send_all
from atlas_local.testing import MakeTopic, Servers
from atlas_local.waiting import wait_until
from atlas_runtime.observing.heartbeat import EVENT_TYPE as EVENT_TYPE_OF_HEARTBEATS

from tests.integration.foreign import Foreign, batch_of, gzip, put
from tests.integration.health_aggregator.running import (
    Asked,
    beating_service,
    commit_offset,
    events_of,
    events_of_group,
    raise_if_done,
    running_aggregator,
)
from tests.unit.health_aggregator.foreign import foreign

pytestmark = pytest.mark.integration

MakeSettings = Callable[..., HealthAggregatorSettings]

HOSTILE = {
    "names that are not UTF-8": batch_of([Foreign(headers=[(b"\xe9", b"1"), (b"", None), (b"h", b""), (b"h", b"2")])]),
    "the same, compressed": batch_of([Foreign(headers=[(b"\xff" * 9, b"1")]), Foreign()], 1, gzip),
    "50,000 headers": batch_of([Foreign(headers=[(b"h%d" % n, b"v") for n in range(50_000)])]),
    "nothing at all": batch_of([Foreign(key=None, value=None), Foreign(key=b"", value=b"")]),
    "offsets of their own": batch_of([Foreign(value=b"%d" % n, step=step) for n, step in enumerate((2**30, 0, -4))]),
}


async def test_the_life_of_a_service(make_settings: MakeSettings, name: str) -> None:
    settings, one = make_settings(), f"{name}-one"
    async with running_aggregator(settings) as asked:
        async with beating_service(settings, one) as (health, _task):
            await asked.wait_for(one, "UP")
            health.note("loop", "database is away")
            await asked.wait_for(one, "DEGRADED")
            assert (await asked.service(one))["reason"] == f"{one}-1: loop: database is away"
            health.note("loop", None)
            await asked.wait_for(one, "UP")
        await asked.wait_for(one, "DOWN")
        assert "said goodbye" in (await asked.service(one))["reason"]
        async with beating_service(settings, one) as (_health, task):
            await asked.wait_for(one, "UP")
            task.cancel()  # silence without a goodbye
            await asked.wait_for(one, "DOWN")
        assert "no heartbeat" in (await asked.service(one))["reason"]
        # It came back and went again within seconds: by then it flaps, and nothing came of it that held.
        states = ["UNKNOWN", "UP", "DEGRADED", "UP", "DOWN"]
        expected = list(pairwise(states))

        async def told() -> bool:
            return await events_of(settings, one) == expected

        await wait_until(f"the events {expected}", told, 30)


async def test_probes_metrics_and_lag_over_http(make_settings: MakeSettings, name: str) -> None:
    settings = make_settings()
    async with running_aggregator(settings) as asked:
        assert (await asked.get("/health/ready"))[0] == 200
        assert (await asked.get("/health/live"))[0] == 200

        async def own_group() -> bool:
            status, body = await asked.get("/lag")
            assert status == 200
            assert body["next_cursor"] is None
            return [row["group"] for row in body["items"]] == [settings.service]

        await wait_until("the aggregator's own group is listed", own_group, 10)

        async def on_metrics() -> bool:
            text = (await asked.get("/metrics"))[1]
            return (
                f'atlas_service_state{{service="{name}",state="UP"}} 1.0' in text
                and f'atlas_consumer_lag_seconds{{group="{name}"' in text
            )

        await wait_until("mesh and lag in /metrics", on_metrics, 10)


async def test_a_restarted_aggregator_tells_what_it_missed(make_settings: MakeSettings, name: str) -> None:
    settings, dies, lives = make_settings(), f"{name}-dies", f"{name}-lives"
    async with beating_service(settings, lives):
        async with running_aggregator(settings) as asked, beating_service(settings, dies) as (_health, task):
            await asked.wait_for(dies, "UP")
            await asked.wait_for(lives, "UP")
            before = (await asked.service(lives))["since"]
            task.cancel()
        # It died within the window: the first aggregator left without having told.
        if ("UP", "DOWN") in await events_of(settings, dies):
            pytest.fail("the aggregator told before it was stopped: the test shows nothing")
        async with running_aggregator(settings) as asked:
            await asked.wait_for(dies, "DOWN")
            await asked.wait_for(lives, "UP")
            assert (await asked.service(lives))["since"] == before
        assert await events_of(settings, lives) == [("UNKNOWN", "UP")]
        assert await events_of(settings, dies) == [("UNKNOWN", "UP"), ("UP", "DOWN")]


async def test_a_group_s_change_is_told_once_also_over_a_restart(
    servers: Servers, make_settings: MakeSettings, make_topic: MakeTopic, name: str
) -> None:
    """Of the mesh's own; of a group that somebody left behind nothing is told."""
    settings, topic, ours, others = make_settings(), await make_topic(partitions=1), f"{name}.reader", f"{name}-ad-hoc"
    async with open_producer(servers.kafka_brokers, "test") as producer:
        assert not isinstance((await send_all(producer, [Outgoing(topic, None, b"x", [])]))[0], Exception)
    for group in (ours, others):
        await commit_offset(servers.kafka_brokers, group, topic, 0)
    expected: list[tuple[str | None, str]] = [(None, "STOPPED")]

    async def told() -> bool:
        return await events_of_group(settings, ours) == expected

    async with running_aggregator(settings) as asked:
        await wait_until("the group is told to be stopped", told)
        rows = {row["group"]: row["status"] for row in (await asked.get("/lag"))[1]["items"]}
        assert rows[ours] == rows[others] == "stopped"
        text = (await asked.get("/metrics"))[1]
        assert f'atlas_consumer_group_status{{group="{ours}",status="stopped"}} 1.0' in text
    async with running_aggregator(settings):
        await commit_offset(servers.kafka_brokers, ours, topic, 1)
        expected.append(("STOPPED", "OK"))
        await wait_until("the group is told to be ok, and nothing else", told)
    assert await events_of_group(settings, others) == []


async def test_an_undecodable_heartbeat_is_a_dead_letter_and_the_rest_goes_on(
    servers: Servers, make_settings: MakeSettings, name: str
) -> None:
    settings = make_settings()
    heartbeats = f"{name}.health.heartbeats"
    async with running_aggregator(settings) as asked:
        async with open_producer(servers.kafka_brokers, "test") as producer:
            await send_all(producer, [Outgoing(heartbeats, b"k", b"junk", [("a", b"1")])])
        async with beating_service(settings, f"{name}-after"):
            await asked.wait_for(f"{name}-after", "UP")
    async with open_reader(servers.kafka_brokers, "test") as reader:
        ranges = await topic_ranges(reader, [f"{heartbeats}.dlq"])
        reader.assign(list(ranges))
        await reader.seek_to_beginning()
        letter = await asyncio.wait_for(reader.getone(), 10)
    assert (letter.key, letter.value) == (b"k", b"junk")
    headers = dict(letter.headers)
    assert headers["a"] == b"1"
    assert headers["atlas_dlq_group"] == name.encode()
    assert headers["atlas_dlq_error"]


async def test_no_record_stops_the_aggregator_or_speaks_for_the_living(
    servers: Servers, make_settings: MakeSettings, name: str
) -> None:
    """Cases 19 and 47, and their siblings: what anybody may put on the topic of heartbeats."""
    settings = make_settings(health_services=f"{name}-real,{name}-dies")
    heartbeats, real, dies = f"{name}.health.heartbeats", f"{name}-real", f"{name}-dies"
    encode = partial(foreign, EVENT_TYPE_OF_HEARTBEATS)

    def heartbeat(**fields: Any) -> bytes:
        now_ms = time.time_ns() // 1_000_000
        value = {"service": real, "instance": f"{real}-1", "state": "READY", "reasons": {}, "started_at": now_ms}
        return encode({**value, "sent_at": now_ms, "interval_ms": 500, "version": "1", **fields})

    odd = [
        heartbeat(started_at=-(2**63)),
        heartbeat(sent_at=2**63 - 1),
        heartbeat(sent_at=2**45),
        heartbeat(interval_ms=0),
        heartbeat(interval_ms=-1),
        heartbeat(interval_ms=2**31 - 1),
        heartbeat(service="x" * 800_000),
        heartbeat(service=f"{name}\n\x1b[31m"),
        heartbeat(instance=""),
        b"",
        b"\x00\xff\xff\xff\xffjunk",
        os.urandom(1000),
    ]
    made_up = [heartbeat(service=f"{name}-made-up-{n}", instance=f"made-up-{n}") for n in range(2000)]
    kept_alive = [heartbeat(service=dies, instance=f"made-up-{n}", interval_ms=30_000) for n in range(100)]
    async with (
        running_aggregator(settings) as asked,
        beating_service(settings, real),
        beating_service(settings, dies) as (_health, task),
        open_producer(servers.kafka_brokers, "test") as producer,
    ):
        await asked.wait_for(real, "UP")
        await asked.wait_for(dies, "UP")
        task.cancel()
        headers = [[], [("a", b"1"), ("a", None)], [(str(n), b"") for n in range(20_000)]]
        records = [Outgoing(heartbeats, b"k", value, headers[n % 3]) for n, value in enumerate(odd)]
        records += [Outgoing(heartbeats, None, None, []), Outgoing(heartbeats, b"", b"", [("", b"")])]
        records += [Outgoing(heartbeats, None, value, []) for value in made_up + kept_alive + made_up + kept_alive]
        for result in await send_all(producer, records):
            assert not isinstance(result, Exception), result
        # Some four thousand records are read before its silence shows: on a busy machine that takes a while.
        await asked.wait_for(dies, "DOWN", 60)
        assert (await asked.service(real))["state"] == "UP"
        status, mesh = await asked.get("/health/mesh")
        assert status == 200
        assert {each["service"] for each in mesh["services"]} == {settings.service, real, dies}
        status, text = await asked.get("/metrics")
        assert status == 200
        assert "made-up" not in text
        assert f'atlas_service_state{{service="{real}",state="UP"}} 1.0' in text
        for reason in ("undecodable", "name", "interval", "time"):
            assert f'atlas_health_heartbeats_set_aside_total{{reason="{reason}"}}' in text
        assert (await asked.get("/health/ready"))[0] == 200
    codec, events = Codec(Registry.load(settings.schemas_dir)), f"{name}.health.events"
    changes = await last_changes(servers.kafka_brokers, codec, events, "test")
    assert {change.service for change in changes} == {settings.service, real, dies}


@pytest.mark.parametrize("hostile", list(HOSTILE))
async def test_no_batch_that_a_broker_takes_stops_heartbeats_or_lag(
    servers: Servers, make_settings: MakeSettings, make_topic: MakeTopic, name: str, hostile: str
) -> None:
    """Case 54 and its siblings, beside the living and before a group that has not read them."""
    settings, real = make_settings(health_services=f"{name}-real"), f"{name}-real"
    topic = await make_topic(partitions=1, config={"retention.ms": "-1"})
    async with running_aggregator(settings) as asked, beating_service(settings, real):
        await asked.wait_for(real, "UP")
        for each in (f"{name}.health.heartbeats", topic):
            error, _offset = await put(servers.kafka_brokers, each, HOSTILE[hostile])
            assert error == 0
        await commit_offset(servers.kafka_brokers, f"{name}-late", topic, 0)

        async def lag_is_told() -> bool:
            rows = (await asked.get(f"/lag?topic={topic}"))[1]["items"]
            return [(row["lag_records"] > 0, row["lag_seconds"] is not None) for row in rows] == [(True, True)]

        await wait_until("lag of a group before what is hostile", lag_is_told, 15)
        beats_before = (await asked.service(real))["instances"][0]["last_beat_at"]

        async def beats_again() -> bool:
            return bool((await asked.service(real))["instances"][0]["last_beat_at"] > beats_before)

        await wait_until("the next heartbeat", beats_again, 15)
        assert (await asked.service(real))["state"] == "UP"
        for path in ("/metrics", "/health/mesh", "/lag"):
            assert (await asked.get(path))[0] == 200


async def test_the_topic_of_heartbeats_may_be_deleted_and_made_again(
    servers: Servers, make_settings: MakeSettings, name: str
) -> None:
    """Nobody is judged while it is away, and everybody is heard within seconds of its return."""
    settings, real, heartbeats = make_settings(), f"{name}-real", f"{name}.health.heartbeats"
    async with running_aggregator(settings) as asked, beating_service(settings, real):
        await asked.wait_for(real, "UP")
        async with open_admin(servers.kafka_brokers) as admin:
            await admin.delete_topics([heartbeats])

        async def silent() -> bool:
            return (await asked.get("/health/mesh"))[1]["silence"] is not None

        await wait_until("the silence is said", silent, 15)
        assert (await asked.service(real))["state"] == "UP"

        async def made() -> bool:
            return bool(await ensure_topics(servers.kafka_brokers, [TopicSpec(heartbeats, 1)]))

        await wait_until("the topic is made again", made, 15)

        async def heard() -> bool:
            return not await silent() and (await asked.service(real))["state"] == "UP"

        await wait_until("heartbeats are heard again", heard, 20)
        async with beating_service(settings, f"{name}-new"):
            await asked.wait_for(f"{name}-new", "UP")
        assert ("UP", "DOWN") not in await events_of(settings, real)


async def test_odd_events_of_health_do_not_stop_a_start(
    servers: Servers, make_settings: MakeSettings, name: str
) -> None:
    settings = make_settings()
    encode = partial(foreign, EVENT_TYPE)
    change = {"service": f"{name}-x", "previous": "UP", "current": "UP", "reason": "", "instances": -1}
    records = [
        encode({**change, "changed_at": -(2**63)}),
        encode({**change, "changed_at": 2**63 - 1, "service": name}),
        encode({**change, "changed_at": 0, "service": "x" * 100_000}),
        *(encode({**change, "changed_at": 0, "service": f"{name}-{n}"}) for n in range(3000)),
        b"junk",
        None,
    ]
    async with open_producer(servers.kafka_brokers, "test") as producer:
        topic = f"{name}.health.events"
        for result in await send_all(producer, [Outgoing(topic, None, value, []) for value in records]):
            assert not isinstance(result, Exception), result
    async with running_aggregator(settings) as asked:
        assert len((await asked.get("/health/mesh"))[1]["services"]) <= 1 + settings.health_other_services_max
        assert (await asked.get("/metrics"))[0] == 200


async def test_an_error_of_ours_over_a_heartbeat_is_counted_and_the_service_goes_on(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    observe = Mesh.observe

    def breaks(mesh: Mesh, heartbeat: Heartbeat, now: float) -> None:
        if heartbeat.service == f"{name}-bad":
            raise ZeroDivisionError("a bug")
        observe(mesh, heartbeat, now)

    monkeypatch.setattr("atlas_health_aggregator.judging.liveness.Mesh.observe", breaks)
    settings = make_settings()
    async with (
        running_aggregator(settings) as asked,
        beating_service(settings, f"{name}-bad"),
        beating_service(settings, f"{name}-good"),
    ):
        await asked.wait_for(f"{name}-good", "UP")

        async def counted() -> bool:
            return 'set_aside_total{reason="failed"}' in (await asked.get("/metrics"))[1]

        await wait_until("the heartbeat that failed is counted", counted)  # whose heartbeat comes first is not said
        before = (await asked.service(f"{name}-good"))["instances"][0]["last_beat_at"]

        async def goes_on() -> bool:
            return bool((await asked.service(f"{name}-good"))["instances"][0]["last_beat_at"] > before)

        await wait_until("the next heartbeat after it", goes_on)


async def test_stopping_while_kafka_is_away_is_quick(make_settings: MakeSettings) -> None:
    settings, stop = make_settings(kafka_brokers="127.0.0.1:1"), asyncio.Event()
    task = asyncio.create_task(serve(settings, stop))
    async with aiohttp.ClientSession() as client:
        asked = Asked(client, f"http://127.0.0.1:{settings.http_port}")

        async def answers() -> bool:
            raise_if_done(task)
            try:
                return bool((await asked.get("/health/ready"))[1]["reasons"] == {"start": "waiting for Kafka"})
            except aiohttp.ClientConnectionError:
                return False

        await wait_until("the probes answer", answers, 5)
        assert (await asked.get("/health/live"))[0] == 200
    stop.set()
    done, _ = await asyncio.wait([task], timeout=5)
    assert done
    error = task.exception()
    assert error is not None
    assert fate_of(error) is Fate.TRANSIENT, "run() takes it for a clean end after stop"


async def test_a_killed_service_is_down_within_15_s_with_the_settings_as_shipped(
    servers: Servers, schemas: Path, name: str, free_port: int
) -> None:
    env = {key: value for key, value in os.environ.items() if not key.startswith("ATLAS_")}
    env |= {
        "ATLAS_KAFKA_BROKERS": servers.kafka_brokers,
        "ATLAS_SCHEMAS_DIR": str(schemas),
        "ATLAS_SERVICE": name,
        "ATLAS_HTTP_PORT": str(free_port),
        "ATLAS_HEALTH_LAG_GROUPS": name,
        "ATLAS_HEALTH_HISTORY_TOPIC": f"{name}.health.lag-history",
    }
    beating = """
        from atlas_runtime.observing.heartbeat import heartbeat
        from atlas_runtime.serving.probes import Health
        from atlas_runtime.run import run
        from atlas_runtime.settings import ServiceSettings
        async def serve(settings, stop):
            await heartbeat(settings, Health(settings.service), stop)
        run(ServiceSettings(), serve)
    """
    victim_name = f"{name}-victim"
    aggregator = await asyncio.create_subprocess_exec(sys.executable, "-m", "atlas_health_aggregator", env=env)
    victim = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(beating), env={**env, "ATLAS_SERVICE": victim_name}
    )
    settings = HealthAggregatorSettings(kafka_brokers=servers.kafka_brokers, schemas_dir=schemas)
    registry = Registry.load(schemas)
    codec, topic = Codec(registry), registry.topic_of(EVENT_TYPE).name
    try:
        async with aiohttp.ClientSession() as client:
            asked = Asked(client, f"http://127.0.0.1:{free_port}")
            await wait_until("the victim is up", lambda: asked.is_up(victim_name), 30)
            victim.kill()
            killed = time.monotonic()
            await asked.wait_for(victim_name, "DOWN", 15)

            async def told() -> bool:
                last = await last_changes(settings.kafka_brokers, codec, topic, "test")
                return ("DOWN", victim_name) in [(change.current.value, change.service) for change in last]

            await wait_until("the event", told, 15 - (time.monotonic() - killed))
        aggregator.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(aggregator.wait(), 10) == 0
    finally:
        for process in (aggregator, victim):
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def test_alive_without_progress_is_told_as_stuck(make_settings: MakeSettings, name: str) -> None:
    settings, one = make_settings(), f"{name}-stuck"
    async with running_aggregator(settings) as asked, beating_service(settings, one) as (health, _task):
        loop = health.loops.add("lane 0", within_s=1)
        loop.waits("rows")
        await asked.wait_for(one, "UP", 30)
        loop.does("send rows")
        began = time.monotonic()
        await asked.wait_for(one, "DEGRADED", 30)
        assert time.monotonic() - began > 1
        found = await asked.service(one)
        assert found["reason"].startswith(f"{one}-1: lane 0 is stuck: send rows for ")
        (shown,) = found["instances"][0]["loops"]
        assert (shown["name"], shown["stuck"], shown["progress_s"]) == ("lane 0", True, None)
        loop.moved()
        loop.waits("rows")
        await asked.wait_for(one, "UP", 30)
        expected = [("UNKNOWN", "UP"), ("UP", "DEGRADED"), ("DEGRADED", "UP")]

        async def told() -> bool:
            return await events_of(settings, one) == expected

        await wait_until(f"the events {expected}", told, 30)


async def test_of_two_aggregators_both_know_and_one_tells(
    make_settings: MakeSettings, name: str, free_port: int
) -> None:
    """The second is ready; when the first goes it tells what nobody has told, and nothing again."""
    lives, dies = f"{name}-lives", f"{name}-dies"
    first, second = make_settings(), make_settings(http_port=_another_port(free_port))
    async with beating_service(first, lives):
        async with running_aggregator(second, leads=False) as other:
            async with beating_service(first, dies) as (_health, task):
                async with running_aggregator(first, leads=False) as asked:

                    async def one_leads() -> bool:
                        return (await asked.leads()) != (await other.leads())

                    await wait_until("one of them leads", one_leads, 40)
                    for each in (asked, other):
                        await each.wait_for(lives, "UP", 30)
                        await each.wait_for(dies, "UP", 30)

                        async def ready(each: Asked = each) -> bool:
                            return (await each.get("/health/ready"))[0] == 200

                        await wait_until("both are ready", ready, 30)

                    async def told() -> bool:
                        return [await events_of(first, each) for each in (lives, dies)] == [[("UNKNOWN", "UP")]] * 2

                    await wait_until("each was told once", told, 30)
                    task.cancel()
                await wait_until("the other one leads", other.leads, 40)
                await other.wait_for(dies, "DOWN", 30)

            async def told_too() -> bool:
                return await events_of(first, dies) == [("UNKNOWN", "UP"), ("UP", "DOWN")]

            await wait_until("the death was told once", told_too, 30)
        assert await events_of(first, lives) == [("UNKNOWN", "UP")]


def _another_port(taken: int) -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    assert port != taken
    return port
