"""The archiver: serve() → atlas_kafka.consuming.loop.consume() → ArchiveSink.handle()."""

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack

from atlas_archive.store import S3Address, S3Store, open_store
from atlas_archive.writing.segments import Options, SchemaText
from atlas_contracts.canary import carriers
from atlas_contracts.registry import Registry
from atlas_errors.backoff import retrying
from atlas_errors.policy import Fate, fate_of
from atlas_kafka.consuming.loop import ConsumerConfig, consume
from atlas_kafka.consuming.paused import Paused
from atlas_runtime.observing.batch_spans import of_block
from atlas_runtime.observing.clock import Clock
from atlas_runtime.observing.heartbeat import heartbeat
from atlas_runtime.observing.traces import exporting
from atlas_runtime.serving.probes import Check, Health, serve_probes

from atlas_archiver.canaries import archived_topics, expire_canaries
from atlas_archiver.partition import Limits, Writing
from atlas_archiver.settings import ArchiverSettings
from atlas_archiver.sink import ArchiveSink
from atlas_archiver.topics import KafkaTopicFacts, open_topic_facts

# A poll's worth: of full batches it is bounded by the bytes of a fetch, of single records by this.
MAX_BATCHES = 1000
# A partition. Two answers of it may be in memory at a time, for each of a dozen partitions.
FETCH_BYTES = 1024 * 1024


async def serve(settings: ArchiverSettings, stop: asyncio.Event) -> None:
    """Archive until `stop`; the probes answer from the first moment, the store and Kafka may come later."""
    registry = Registry.load(settings.schemas_dir)
    # What is loaded by now stays, and of the many small objects to come hardly one is in a cycle.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    health = Health(settings.service)
    health.note("start", "waiting for the object store and Kafka")
    async with serve_probes(settings, health), asyncio.TaskGroup() as tasks:
        tasks.create_task(heartbeat(settings, health, stop))
        async with AsyncExitStack() as resources:
            try:
                store, facts = await _connect(settings, resources, health, stop)
            except Exception as error:
                if stop.is_set() and fate_of(error) is Fate.TRANSIENT:
                    return  # stopped before there was anything to work with
                raise
            health.add("object_store", _store_check(store))
            paused = Paused(settings.service)
            health.add("clock", Clock("the object store", store.now).check)
            health.add("partitions", _paused_check(paused))
            health.note("start", None)
            sink = ArchiveSink(
                store,
                facts,
                _writing(settings, registry, resources),
                _limits(settings),
                paused,
            )
            health.add("storing", sink.refused)
            config = ConsumerConfig(
                brokers=settings.kafka_brokers,
                group=settings.service,
                topics=archived_topics(registry.topics.values(), settings.excluded, canary=settings.canary),
                client_id=settings.instance,
                session_s=settings.kafka_session_s,
                raw=True,
                max_records=MAX_BATCHES,
                max_partition_fetch_bytes=FETCH_BYTES,
                paused=paused,
                ended=sink.ended,
                steps=health.loops.add("archive"),
            )
            if settings.canary:
                tasks.create_task(expire_canaries(store, carriers(registry.topics.values()), stop))
            await consume(config, sink, stop, lambda reason: health.note("consumer", reason))


def _limits(settings: ArchiverSettings) -> Limits:
    return Limits(
        segment_bytes=settings.archiver_segment_max_bytes,
        segment_age_s=settings.archiver_segment_max_age_s,
        held_bytes=settings.archiver_held_max_bytes,
    )


def _writing(settings: ArchiverSettings, registry: Registry, resources: AsyncExitStack) -> Writing:
    options = Options(
        codec=settings.archiver_codec,
        check_values=settings.archiver_check_values,
        workers=resources.enter_context(ThreadPoolExecutor(1, "compress")),
        find=of_block if exporting() else None,
    )
    return Writing(settings.instance, _schema_text(registry), options, carriers(registry.topics.values()))


async def _connect(
    settings: ArchiverSettings, resources: AsyncExitStack, health: Health, stop: asyncio.Event
) -> tuple[S3Store, KafkaTopicFacts]:
    """The bucket, made when it is missing, and the brokers; waits for either until `stop`."""
    store = await resources.enter_async_context(open_store(_address(settings)))

    async def facts() -> KafkaTopicFacts:
        return await resources.enter_async_context(open_topic_facts(settings.kafka_brokers, settings.instance))

    def waiting(reason: str | None) -> None:
        health.note("start", reason)

    await retrying(store.create, what="object store", stop=stop, on_retry=waiting)
    return store, await retrying(facts, what="topic facts", stop=stop, on_retry=waiting)


def _address(settings: ArchiverSettings) -> S3Address:
    return S3Address(**settings.s3_address())


def _store_check(store: S3Store) -> Check:
    async def check() -> str | None:
        async for _ in store.list("topics/", limit=1):
            break
        return None

    return check


def _paused_check(paused: Paused) -> Check:
    async def check() -> str | None:
        return paused.reason()

    return check


def _schema_text(registry: Registry) -> SchemaText:
    def text(schema_id: int) -> str | None:
        schema = registry.schemas.get(schema_id)
        return schema.text if schema is not None else None

    return text
