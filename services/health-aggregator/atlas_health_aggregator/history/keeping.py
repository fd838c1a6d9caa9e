"""Keeps the history on a topic of its own, so that it outlives the process and reaches a second aggregator.

    app.serve()  →  Keeper.run()  →  reads the topic from its beginning, and goes on reading
                                  →  observes each new report, and writes the blocks that are over

The topic is compacted and made by this service. Every aggregator observes and reads; the one that hears the heartbeats
writes. In a handover two may write the same block: it is one key, and reading it twice makes no second point.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from atlas_errors.backoff import Backoff
from atlas_errors.metrics import RETRIES
from atlas_errors.policy import Fate, Transient, describe, fate_of
from atlas_kafka.cluster.admin import TopicSpec, ensure_topics
from atlas_kafka.cluster.groups import open_reader, topic_ranges
from atlas_kafka.producing.producer import Outgoing, Producer
from prometheus_client import Counter, Gauge

from atlas_health_aggregator.history.blocks import Odd, part_of, records_of
from atlas_health_aggregator.history.remembering import Block, History
from atlas_health_aggregator.lag import LagReport

TICK_S = 1.0
# A report may still be on its way when its block is over.
GRACE_MS = 2000
READ_TIMEOUT_MS = 1000
WRITE_TIMEOUT_S = 10.0
# Only closed segments are compacted, and a start reads them all. Retention takes what compaction leaves: the last block
# in a place of the ring that is not used any more.
_CONFIG = {
    "cleanup.policy": "compact,delete",
    "retention.ms": str(8 * 24 * 3600 * 1000),
    "segment.bytes": str(4 * 1024 * 1024),
    "segment.ms": str(3600 * 1000),
    "min.cleanable.dirty.ratio": "0.1",
    "compression.type": "zstd",
}

SERIES = Gauge("atlas_lag_history_series", "Groups and topics whose lag is remembered")
LEFT_OUT = Gauge("atlas_lag_history_left_out", "Groups and topics that there is no room to remember")
RECORDS = Counter("atlas_lag_history_records", "Records of lag history on its topic", ["what"])

log = structlog.get_logger(__name__)

OnState = Callable[[str | None], None]


class Reports(Protocol):
    """Where the newest report is; `LagReader` is one."""

    report: LagReport


@dataclass(frozen=True, slots=True)
class HistoryTopic:
    """Where the blocks are, and who writes them (`by`, which is only told)."""

    brokers: str
    name: str
    by: str


class Keeper:
    """Fills `history`, and keeps it. Who writes is asked of `leads` before each write."""

    def __init__(self, history: History, topic: HistoryTopic, producer: Producer, leads: Callable[[], bool]) -> None:
        self._history = history
        self._topic = topic
        self._producer = producer
        self._leads = leads
        self._observed = 0
        self._loaded = False

    async def run(self, reports: Reports, on_state: OnState) -> None:
        """Observe, read and write until cancelled; `on_state` hears why nothing is kept, and None once it is.

        Whatever fails is tried again: lag is told and the living are judged without any history.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(on_state))
            while True:
                self.observe(reports.report)
                if (blocks := self._history.due(_now_ms() - GRACE_MS)) and self._loaded and self._leads():
                    try:
                        await self.write(blocks, whole=True)
                    except Exception as error:
                        transient = fate_of(error) is Fate.TRANSIENT
                        log.warning("lag history not written", error=describe(error), exc_info=not transient)
                        on_state(f"not written: {describe(error)}")
                    else:
                        on_state(None)
                await asyncio.sleep(TICK_S)

    def observe(self, report: LagReport) -> None:
        """Take a report, once."""
        if report.taken_at == self._observed:
            return
        self._observed = report.taken_at
        self._history.observe(report.sums, report.taken_at)
        SERIES.set(len(self._history))
        LEFT_OUT.set(self._history.left_out)

    async def last_words(self, reports: Reports) -> None:
        """Write what is not a whole block yet, if it is this aggregator that writes; bound it."""
        self.observe(reports.report)
        if self._loaded and self._leads():
            await self.write(self._history.unfinished(), whole=False)

    async def write(self, blocks: Sequence[Block], *, whole: bool) -> None:
        """Put blocks on the topic, one after the other. Raises Transient, and TimeoutError."""
        for block in blocks:
            records = records_of(block, self._history.of_block(block), by=self._topic.by, whole=whole)
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                results = await self._producer.send_all(
                    [Outgoing(self._topic.name, key, value) for key, value in records]
                )
            for result in results:
                if isinstance(result, KafkaError):
                    raise Transient(f"{self._topic.name}: {describe(result)}") from result
                if isinstance(result, Exception):  # refused for good: another attempt would end as this one
                    log.error("lag history not written", topic=self._topic.name, error=describe(result))
                RECORDS.labels("refused" if isinstance(result, Exception) else "written").inc()
            self._history.written(block)

    async def _follow(self, on_state: OnState) -> None:
        backoff = Backoff()
        while True:
            try:
                await ensure_topics(self._topic.brokers, [TopicSpec(self._topic.name, 1, _CONFIG)])
                async with open_reader(self._topic.brokers, f"{self._topic.by}-history") as reader:
                    await self._read(reader, on_state, backoff)
            except Exception as error:
                transient = fate_of(error) is Fate.TRANSIENT
                RETRIES.labels("lag history").inc()
                log.warning("lag history not read", error=describe(error), exc_info=not transient)
                on_state(f"not read: {describe(error)}")
                self._history.complete = True  # as complete as it gets for now
            await asyncio.sleep(backoff.next_s())

    async def _read(self, reader: AIOKafkaConsumer, on_state: OnState, backoff: Backoff) -> None:
        ranges = await topic_ranges(reader, [self._topic.name])
        if not ranges:
            raise Transient(f"no topic {self._topic.name}")
        reader.assign(list(ranges))
        await reader.seek_to_beginning()
        ahead = {partition: end for partition, (_, end) in ranges.items()}
        while True:
            if ahead and not (ahead := {each: end for each, end in ahead.items() if await reader.position(each) < end}):
                log.info("lag history read", topic=self._topic.name, series=len(self._history))
                self._loaded = self._history.complete = True
                backoff.reset()
                on_state(None)
            for records in (await reader.getmany(timeout_ms=READ_TIMEOUT_MS)).values():
                for record in records:
                    self._take(record.value)
                    await asyncio.sleep(0)  # a record is some thousand points: between two, others have their turn

    def _take(self, value: bytes | None) -> None:
        try:
            block, whole, points = part_of(value, _now_ms())
        except Odd as odd:
            RECORDS.labels("odd").inc()
            log.warning("a record that is no lag history", topic=self._topic.name, error=str(odd))
            return
        RECORDS.labels("read").inc()
        self._history.take(block, points, whole=whole)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
