"""The health-aggregator: hears heartbeats, judges who is alive, publishes changes, and reads consumer lag.

serve()  →  consume_heartbeats(), overhear()  →  Mesh.observe()
            Teller.watch()     →  Mesh.judge()  →  Publisher
            watch_lag()        →  LagReader.read()  →  Teller.groups()  →  Publisher
            Keeper.run()       →  History, and its topic
            LedgerWatch.run()  →  Auditor.take()
            Prober.run()       →  canaries, where these are on
"""

import asyncio
import time
from contextlib import suppress
from functools import partial

from aiohttp import web
from aiokafka.errors import KafkaError
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry
from atlas_errors.backoff import retrying, wait_unless
from atlas_errors.policy import Transient
from atlas_kafka.producing.deadletters import DeadLetters
from atlas_kafka.producing.producer import Producer, open_producer
from atlas_runtime.observing import heartbeat
from atlas_runtime.observing.loops import WITHIN_S
from atlas_runtime.serving.probes import Health, serve_probes

from atlas_health_aggregator import changes
from atlas_health_aggregator.canary.prober import Prober
from atlas_health_aggregator.exposition import Shown, exposed, routes
from atlas_health_aggregator.group_answers import group_routes
from atlas_health_aggregator.heartbeats import Receiver, consume_heartbeats
from atlas_health_aggregator.history.answers import history_routes
from atlas_health_aggregator.history.keeping import HistoryTopic, Keeper
from atlas_health_aggregator.history.remembering import History
from atlas_health_aggregator.judging.admission import Limits
from atlas_health_aggregator.judging.group_changes import GroupChange
from atlas_health_aggregator.judging.liveness import Change, Mesh
from atlas_health_aggregator.label_sets import LabelSets
from atlas_health_aggregator.lag import ROUND_TIMEOUT_S, LagReader, watch_lag
from atlas_health_aggregator.lead import Lead, overhear
from atlas_health_aggregator.ledger import LedgerWatch, exposed_ledger, watch_of
from atlas_health_aggregator.memory import give_back_memory
from atlas_health_aggregator.settings import HealthAggregatorSettings
from atlas_health_aggregator.telling import Teller

TOPIC_POLL_S = 1.0
FLUSH_TIMEOUT_S = 1.0


async def serve(settings: HealthAggregatorSettings, stop: asyncio.Event) -> None:
    """Run until `stop`; the probes answer from the first moment, Kafka may come later."""
    give_back_memory()
    registry = Registry.load(settings.schemas_dir)
    codec = Codec(registry)
    heartbeats_topic = registry.topic_of(heartbeat.EVENT_TYPE).name
    changes_topic = registry.topic_of(changes.EVENT_TYPE)
    health = Health(settings.service)
    health.note("start", "waiting for Kafka")
    mesh, lead = _mesh(settings), Lead(heartbeats_topic)
    history = History(settings.health_history_series_max)
    ledger = watch_of(settings, registry.topics)
    health.add("ledger", ledger.check, needed=False)
    async with (
        LagReader(settings) as lag,
        serve_probes(settings, health, routes=_routes(mesh, lead, lag, history, ledger)),
        open_producer(settings.kafka_brokers, settings.instance, stop=stop) as producer,
    ):
        await _wait_for_topics(producer, {heartbeats_topic, changes_topic.name}, health, stop)
        last = partial(_last_changes, settings, codec, changes_topic.name, stop)
        mesh.restore(change for change in await last() if isinstance(change, Change))
        publisher = changes.Publisher(producer, codec, changes_topic, f"/{settings.service}")
        teller = Teller(mesh, publisher, lead, last)
        receiver = Receiver(
            codec, DeadLetters(producer), settings.service, lambda beat: mesh.observe(beat, time.monotonic())
        )
        keeper = _keeper(settings, history, producer, lead)
        health.note("lag", "not read yet")
        health.note("start", None)
        with exposed(mesh, lag, _shown(settings)), exposed_ledger(ledger):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(heartbeat.heartbeat(settings, health, stop))
                brokers, name = settings.kafka_brokers, f"{settings.instance}-overhears"
                watches = [
                    tasks.create_task(overhear(brokers, name, heartbeats_topic, lead, receiver.overhear, stop)),
                    tasks.create_task(teller.watch(health)),
                    tasks.create_task(ledger.run()),
                    tasks.create_task(publisher.run(partial(health.note, "events"))),
                    tasks.create_task(_watch_lag(settings, lag, health, teller)),
                    tasks.create_task(keeper.run(lag, partial(health.note, "lag history"))),
                    *(tasks.create_task(each.run()) for each in _probers(settings, registry, codec)),
                ]
                await consume_heartbeats(settings, lead, heartbeats_topic, receiver, stop)
                for watch in watches:
                    watch.cancel()
            await teller.last_words()
            await _last_history(keeper, lag)


def _routes(mesh: Mesh, lead: Lead, lag: LagReader, history: History, ledger: LedgerWatch) -> list[web.RouteDef]:
    shown = routes(mesh, lag, lambda: lead.leads)
    return [*shown, *group_routes(lag), *history_routes(history), *ledger.routes()]


async def _watch_lag(settings: HealthAggregatorSettings, lag: LagReader, health: Health, teller: Teller) -> None:
    loop = health.loops.add("lag", within_s=ROUND_TIMEOUT_S + WITHIN_S)
    await watch_lag(lag, settings.health_lag_interval_s, partial(health.note, "lag"), teller.groups, loop)


def _mesh(settings: HealthAggregatorSettings) -> Mesh:
    return Mesh(
        interval_s=settings.heartbeat_interval_s,
        down_after_intervals=settings.health_down_after_intervals,
        now=time.monotonic(),
        epoch_ms=time.time_ns() // 1_000_000,
        limits=Limits(
            settings.known_services,
            settings.health_other_services_max,
            settings.health_instances_max,
            settings.health_forget_after_s,
        ),
    )


def _probers(settings: HealthAggregatorSettings, registry: Registry, codec: Codec) -> list[Prober]:
    return [Prober(settings, registry, codec)] if settings.canary else []


def _keeper(settings: HealthAggregatorSettings, history: History, producer: Producer, lead: Lead) -> Keeper:
    topic = HistoryTopic(settings.kafka_brokers, settings.health_history_topic, settings.instance)
    return Keeper(history, topic, producer, leads=lambda: lead.leads)


def _shown(settings: HealthAggregatorSettings) -> Shown:
    labels = LabelSets(settings.health_lag_by_group, settings.health_lag_by_topic, settings.health_lag_by_partition)
    return Shown(settings.metric_names, settings.health_cluster_name, labels)


async def _last_history(keeper: Keeper, lag: LagReader) -> None:
    """What is not written yet of the last minute: tried once."""
    with suppress(KafkaError, OSError, Transient):
        async with asyncio.timeout(FLUSH_TIMEOUT_S):
            await keeper.last_words(lag)


async def _last_changes(
    settings: HealthAggregatorSettings, codec: Codec, topic: str, stop: asyncio.Event
) -> list[Change | GroupChange]:
    async def read() -> list[Change | GroupChange]:
        return await changes.last_changes(settings.kafka_brokers, codec, topic, f"{settings.instance}-restore")

    return await retrying(read, what="read last health events", stop=stop)


async def _wait_for_topics(producer: Producer, names: set[str], health: Health, stop: asyncio.Event) -> None:
    """Topics are made by the mesh's own start-up; Faust must not see them missing, it would spin."""
    while not stop.is_set():
        metadata = await producer.client.fetch_all_metadata()
        missing = names - metadata.topics()
        if not missing:
            return
        health.note("start", f"no topic {', '.join(sorted(missing))}")
        await wait_unless(stop, TOPIC_POLL_S)
