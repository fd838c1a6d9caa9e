"""One consumer's assignment over time: where it begins, what is durable, and what keeps it from reading."""

import asyncio
import time
from collections.abc import Collection, Mapping
from contextlib import suppress

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from atlas_errors.policy import Fate, Transient, describe, fate_of

from atlas_kafka.cluster.groups import held_partitions
from atlas_kafka.cluster.partitions_now import PartitionNow, changed, committed_to, partitions_now
from atlas_kafka.cluster.topic_ids import TopicNow, topics_now
from atlas_kafka.consuming.attention import PATIENCE_S, Facts, trouble
from atlas_kafka.consuming.endings import InHand
from atlas_kafka.consuming.paused import Paused
from atlas_kafka.consuming.positions import within
from atlas_kafka.consuming.sink import ConsumerConfig, Offsets, PositionBeyondEnd, Records, Sink
from atlas_kafka.fetching.fetch_by_id import FetchById
from atlas_kafka.internals.client import client_of
from atlas_kafka.internals.coordinator import is_rebalancing
from atlas_kafka.metrics import REBALANCES, TOPICS_CHANGED, incoming

log = structlog.get_logger(__name__)

# How often to look whether the topics are still the ones that are read.
LOOK_EVERY_S = 2.0
# Of what a rebalance waits for, and of the ten seconds that a stopping process has.
LET_GO_TIMEOUT_S = 7.0
# A commit only tells lag tools where we are: it must not hold up the next batch while a coordinator is away.
COMMIT_TIMEOUT_S = 2.0
# Between two commits while records come: lag tools look no closer, and each is a write of the broker's.
COMMIT_EVERY_S = 0.25


class Session(ConsumerRebalanceListener):  # type: ignore[misc]
    """One consumer's assignment over time: keeps handling and rebalancing out of each other's way."""

    def __init__(self, config: ConsumerConfig, sink: Sink, consumer: AIOKafkaConsumer, fetching: FetchById) -> None:
        self._config = config
        self._sink = sink
        self._consumer = consumer
        self._fetching = fetching
        self._paused = config.paused
        if config.paused is not None:
            fetching.paused = config.paused.places
        # The ids of the topics that the sink holds records of, and where their partitions ended when they were begun.
        self._reading: dict[str, str] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._in_hand = InHand(fetching)
        # Held while the sink works: a rebalance waits for the batch in flight, partitions are not taken from under it.
        self._busy = asyncio.Lock()
        # Next offsets, by partition: given to the sink, durable in it, committed to the group.
        self._given: dict[TopicPartition, int] = {}
        self._durable: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._committed_at = 0.0
        self.rewind_due = self.caught_breath = False
        self.new_assignment = asyncio.Event()
        self.trouble: str | None = None
        self._assigned: set[TopicPartition] | None = None
        self._assigned_since = time.monotonic()

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        if not revoked:
            return
        async with self._busy:
            await self._let_go_in_time()
            await self._release(revoked)
            self.rewind_due, self._in_hand.whole = True, False

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        # Only noted here: aiokafka logs and swallows what a listener raises, and a sink that can't answer yet must be
        # asked again. The loop seeks before it handles anything.
        REBALANCES.labels(self._config.group).inc()
        self.rewind_due = True
        self.new_assignment.set()
        log.info(
            "assigned", group=self._config.group, partitions=sorted(f"{tp.topic}/{tp.partition}" for tp in assigned)
        )

    async def rewind(self) -> None:
        """Seek every assigned partition to where the sink, or else the group, says that it is durable.

        1. What is held or was fetched of topics that are gone or were made anew can't be read again: the sink gets it
           and makes it durable now. Nothing is fetched meanwhile.
        2. Ask where to begin, for the partitions that exist, each with the id of its topic.
        3. Seek; from now on records of these ids are fetched, and no others.
        """
        async with self._busy:
            self.rewind_due = False
            self.new_assignment.clear()
            try:
                await self._let_go_of_what_is_gone()  # 1
                self._fetching.begin({})
                self._in_hand.whole = False
                assignment = self._consumer.assignment()
                there = await partitions_now(self._consumer, assignment)  # 2
                if not assignment:
                    return
                self._refuse_change(there)
                durable = await self._sink.start_offsets(there)
                others = {partition: now for partition, now in there.items() if partition not in durable}
                begins = {**durable, **await committed_to(self._consumer, others)}
                begins = {partition: self._begin(partition, begins[partition], now) for partition, now in there.items()}
                if self._consumer.assignment() != assignment:
                    # Between a revocation and the new assignment the old one still shows; it has just been replaced.
                    self.rewind_due = True
                    return
                for partition, begin in begins.items():  # 3
                    self._seek(partition, begin)
                self._reading = {partition.topic: now.topic_id for partition, now in there.items()}
                self._ends = {partition: now.end for partition, now in there.items()}
                self._fetching.begin(self._reading)
                self._in_hand.whole = True
            except BaseException:
                self.rewind_due = True
                raise

    async def look(self) -> None:
        """See whether the topics are there, and are still those that are read: if not, say so and begin again."""
        topics = await self._topics()
        ids = self._fetching.ids
        unread = any(tp.topic in topics and tp.topic not in ids for tp in self._consumer.assignment())
        if changed(topics, ids) or unread:
            self.rewind_due = True
        self.trouble = trouble(await self._facts(topics), time.monotonic())
        if self._config.ended is not None:
            await self._note_ends()

    async def _note_ends(self) -> None:
        """While records wait to be taken nothing is fetched, so that no answer says where the partitions end."""
        with suppress(Transient):
            for partition, now in (await partitions_now(self._consumer, self._consumer.assignment())).items():
                if self._reading.get(partition.topic) == now.topic_id:
                    self._ends[partition] = now.end

    async def _topics(self) -> Mapping[str, TopicNow]:
        topics = await topics_now(client_of(self._consumer), self._config.topics)
        missing = [name for name in self._config.topics if name not in topics]
        if missing:
            self.trouble = trouble(Facts(missing=missing), time.monotonic())
        return topics

    async def _facts(self, topics: Mapping[str, TopicNow]) -> Facts:
        assigned, now = None if is_rebalancing(self._consumer) else set(self._consumer.assignment()), time.monotonic()
        if assigned != self._assigned:
            self._assigned, self._assigned_since = assigned, now
        nobody_s = 0
        if assigned == set() and now - self._assigned_since > PATIENCE_S:
            held = await held_partitions(client_of(self._consumer), self._config.group)
            nobody_s = sum(len(topic.partitions) for topic in topics.values()) - len(held)
        fetching = self._fetching
        since = max(self._assigned_since, fetching.begun_at) if assigned else self._assigned_since
        # While records wait to be taken, nothing is fetched from that broker, so nobody is silent.
        busy = self._busy.locked() or any(map(fetching.buffered, assigned or ()))
        return Facts(
            missing=[name for name in self._config.topics if name not in topics],
            assigned=assigned,
            since=since,
            heard=dict.fromkeys(assigned or (), now) if busy else fetching.answered,
            failing=fetching.failing,
            damaged=fetching.damages.waiting,
            nobody_s=nobody_s,
        )

    async def _let_go_of_what_is_gone(self) -> None:
        gone = changed(await self._topics(), self._reading)
        if not gone:
            return
        log.warning("topics were deleted or made anew", group=self._config.group, topics=gone)
        places = [tp for tp in self._consumer.assignment() if tp.topic in gone and tp in self._given]
        while self._in_hand.whole and (records := self._in_hand.take(places)):
            await self._give(records)
        if self._config.ended is not None:
            await self._config.ended(
                {
                    tp: self._in_hand.ended(tp, self._reading[tp.topic], self._given[tp], self._ends.get(tp, 0))
                    for tp in places
                }
            )
        for topic in gone:
            TOPICS_CHANGED.labels(topic, self._config.group).inc()
            del self._reading[topic]
        await self._release(places)
        for known in (self._given, self._durable, self._committed):
            for partition in [tp for tp in known if tp.topic in gone]:
                del known[partition]

    async def _let_go_in_time(self) -> None:
        """Before partitions are released: of a topic that is gone nobody can go on."""
        try:
            async with asyncio.timeout(LET_GO_TIMEOUT_S):
                await self._let_go_of_what_is_gone()
        except Exception as error:
            if fate_of(error) is not Fate.TRANSIENT:
                raise
            log.warning("could not let go of what is gone", group=self._config.group, error=describe(error))

    def _refuse_change(self, there: Mapping[TopicPartition, PartitionNow]) -> None:
        """Raises Transient when a topic has changed since `_let_go_of_what_is_gone`, which is to come first."""
        ids = {partition.topic: now.topic_id for partition, now in there.items()}
        held = {partition.topic for partition in self._consumer.assignment()} & self._reading.keys()
        if any(ids.get(topic) != self._reading[topic] for topic in held):
            raise Transient(f"topics change: {', '.join(sorted(held))}")

    def _begin(self, partition: TopicPartition, offset: int, now: PartitionNow) -> int:
        """As `within`; where partitions can be paused, one whose position is past its end is no matter of others."""
        try:
            return within(self._config.group, partition, offset, now)
        except PositionBeyondEnd as error:
            if self._paused is None:
                raise
            self._paused.pause(partition, offset, error)
            return now.end

    def _seek(self, partition: TopicPartition, begin: int) -> None:
        if self._paused is not None and not self._paused.waits(partition):
            self._paused.go_on(partition)
        self._consumer.seek(partition, begin)
        self._given[partition] = self._durable[partition] = begin
        self._committed.pop(partition, None)

    async def _go_on(self, paused: Paused) -> None:
        """Read on where the sink says that partitions which were paused can be taken again."""
        resumed = paused.take_resumed()
        for partition, now in (await partitions_now(self._consumer, resumed) if resumed else {}).items():
            if partition not in self._consumer.assignment():
                continue
            self._fetching.drop(partition)
            self._seek(partition, self._begin(partition, resumed[partition], now))

    async def handle(self, records: Records) -> None:
        """Hand the records to the sink, then commit what it made durable."""
        self._in_hand.records = dict(records)
        async with self._busy:
            records, self._in_hand.records = self._in_hand.records, {}
            if self.rewind_due and not self._in_hand.whole:
                self.caught_breath = False
                return
            durable = await self._give(records)
            if self._paused is not None and self._paused.places:
                await self._go_on(self._paused)
            if not records or time.monotonic() - self._committed_at >= COMMIT_EVERY_S:
                await self._commit(durable)
            self.caught_breath = True
            if self._fetching.outdated and not records:
                # What was fetched before has been handled: now begin again at what is there.
                self.rewind_due = True

    async def _give(self, records: Records) -> Offsets:
        whole, self._in_hand.whole = self._in_hand.whole, False
        durable = await self._sink.handle(records)
        for partition, batch in records.items():
            records_in = sum(part.records for part in batch) if self._config.raw else len(batch)
            incoming(partition.topic, self._config.group).handled(records_in, batch[0].timestamp)
            self._given[partition] = batch[-1].offset + 1
        self._durable.update(durable)
        self._in_hand.whole = whole
        return durable

    async def close(self) -> None:
        """Let go of everything: what the sink can still make durable is committed."""
        async with self._busy:
            await self._let_go_in_time()
            await self._release(self._consumer.assignment())

    async def _release(self, partitions: Collection[TopicPartition]) -> None:
        try:
            await self._commit(await self._sink.release(partitions))
        except Exception as error:
            # Whoever gets the partitions begins at what is durable, so nothing is lost; a bug must not hide, though.
            if fate_of(error) is not Fate.TRANSIENT:
                raise
            log.warning("could not release cleanly", group=self._config.group, error=describe(error))

    async def _commit(self, durable: Offsets) -> None:
        held, self._committed_at = self._consumer.assignment(), time.monotonic()
        self._durable.update(durable)
        offsets: dict[TopicPartition, tuple[int, str]] = {}
        for partition, offset in self._durable.items():
            if partition not in held or partition.topic not in self._reading or partition in self._fetching.paused:
                continue  # of a topic that is gone aiokafka would try to commit again and again
            # Where everything given is durable, transaction markers and aborted records that follow are behind us too:
            # without this a group that has read all of a transactional topic would seem to lag for ever.
            reached = await self._consumer.position(partition) if offset == self._given.get(partition) else offset
            if reached > self._committed.get(partition, -1):
                # The id beside the offset: an offset alone would be taken for one of the next topic of that name.
                offsets[partition] = (reached, self._reading[partition.topic])
        if not offsets:
            return
        try:
            async with asyncio.timeout(COMMIT_TIMEOUT_S):
                await self._consumer.commit(offsets)
        except (KafkaError, TimeoutError) as error:
            log.warning("offsets not committed", group=self._config.group, error=describe(error))
        else:
            self._committed.update({partition: reached for partition, (reached, _id) in offsets.items()})
