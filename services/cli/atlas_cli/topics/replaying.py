"""Put the history of a topic onto another one: what `atlas replay` does, without the printing.

A record keeps its partition, its order, key, value, headers and timestamp, and gets one header more, which says where
it comes from. That header also makes a replay resumable: the last record of each target partition says how far it has
come. Records go out in Kafka transactions under an id made of the two topics, so a replay that was killed leaves no
half of a batch, and one that was taken for dead can't write beside its successor.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced
from atlas_archive.chain.manifests import Manifest, topics
from atlas_archive.format.records import Incoming
from atlas_archive.history import History, histories, read_history
from atlas_archive.proof.reports import LiveTopic, TopicReader
from atlas_archive.store import ObjectStore
from atlas_kafka.cluster.admin import TopicSpec, ensure_topics
from atlas_kafka.cluster.groups import open_reader, topic_ranges
from atlas_kafka.producing.outgoing import Outgoing
from atlas_kafka.producing.transactional import open_transactional_producer

from atlas_cli.terminal.output import CommandError
from atlas_cli.topics.following import Start
from atlas_cli.topics.replay_target import CONFIG, Rule, TypeOf, keeps_times, send_round

REPLAY_HEADER = "atlas_replay"  # its value: <topic>/<incarnation>/<partition>@<offset>
_TAIL_RECORDS = 1000  # looked through first for the last record of a replay; then ten times as many, and so on
_TAIL_S = 30


@dataclass(frozen=True, slots=True)
class Replay:
    """What to replay: `start` ≤ place < `until`, offsets or timestamps; only of a key or an event type, if given."""

    topic: str
    target: str
    start: Start = field(default_factory=lambda: Start("beginning"))
    until: Start = field(default_factory=lambda: Start("end"))
    key: bytes | None = None
    type: str | None = None
    rate: float | None = None
    incarnation: str | None = None
    rule: Rule | None = None


@dataclass(slots=True)
class Progress:
    """How far it is; `passed` counts what was left out. `resumed_from`: the first offsets still to do.

    `times`: "kept" where the target's records have the time of the original, "of writing" where the broker sets it.
    """

    replayed: int = 0
    passed: int = 0
    from_archive: int = 0
    from_topic: int = 0
    incarnation: str = ""
    created: bool = False
    times: str = "kept"
    resumed_from: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a replay reads: by partition its archive, and the topic where it is of the same incarnation."""

    incarnation: str
    archived: Mapping[int, History]
    live: LiveTopic | None

    @property
    def partitions(self) -> list[int]:
        return sorted({*self.archived, *(self.live.bounds if self.live else ())})


async def replay(
    wanted: Replay,
    store: ObjectStore,
    reader: TopicReader,
    brokers: str,
    type_of: TypeOf,
    show: Callable[[Progress], None] = lambda _: None,
) -> Progress:
    """Replay everything that is wanted, up to where the topic ends now; each record once, however often it is resumed.

    1. Find the incarnation: the live topic's if it has an archive or no other has, else the archive written to last.
    2. Make the target if there is none, with as many partitions and no retention; see which time its records get.
    3. Fence a predecessor, then read from the target how far it came.
    4. Archive first, then the topic at the exact next offset; a transaction for each round of blocks.
    Raises CommandError.
    """
    source = await _find(wanted, store, reader)  # 1
    progress = Progress(incarnation=source.incarnation)
    partitions = max(source.partitions) + 1
    spec = TopicSpec(wanted.target, partitions, CONFIG)
    progress.created = bool(await ensure_topics(brokers, [spec]))  # 2
    progress.times = "kept" if await keeps_times(brokers, wanted.target) else "of writing"
    try:
        async with AsyncExitStack() as stack:
            identity = f"atlas-replay-{wanted.topic}-{wanted.target}"
            producer = await stack.enter_async_context(open_transactional_producer(brokers, identity, identity))  # 3
            consumer = await stack.enter_async_context(open_reader(brokers, identity))
            progress.resumed_from = await _reached(consumer, wanted, source.incarnation, partitions)
            await _Copy(wanted, source, store, reader, type_of, progress, show).run(producer)  # 4
    except ProducerFenced:
        raise CommandError(f"another replay of {wanted.topic} to {wanted.target} has taken over") from None
    except KafkaError as error:
        raise CommandError(f"Kafka {brokers}: {error!r}") from None
    return progress


async def _find(wanted: Replay, store: ObjectStore, reader: TopicReader) -> _Source:
    if wanted.topic == wanted.target:
        raise CommandError(f"--to {wanted.target}: a topic can't be replayed onto itself")
    live = await reader.describe(wanted.topic)
    archived = [incarnation async for topic, incarnation in topics(store) if topic == wanted.topic]
    if wanted.incarnation is not None:
        known = sorted({*archived, *([live.incarnation] if live else [])})
        matching = [found for found in known if found.startswith(wanted.incarnation)]
        if len(matching) != 1:
            among = ", ".join(known) or "none"
            raise CommandError(f"--incarnation {wanted.incarnation}: fits {len(matching)} of {among}")
        chosen = matching[0]
    elif live is not None and (live.incarnation in archived or not archived):
        chosen = live.incarnation
    elif archived:
        chosen = await _latest(store, wanted.topic, archived)
    else:
        raise CommandError(f"{wanted.topic}: there is no such topic, and nothing of it is archived")
    return _Source(
        chosen,
        await histories(store, wanted.topic, chosen),
        live if live is not None and live.incarnation == chosen else None,
    )


async def _latest(store: ObjectStore, topic: str, incarnations: Sequence[str]) -> str:
    """The incarnation that was written to last."""
    latest: dict[str, str] = {}
    for incarnation in incarnations:
        found = await histories(store, topic, incarnation)
        latest[incarnation] = max((history.segments[-1].written_at for history in found.values()), default="")
    return max(latest, key=lambda incarnation: latest[incarnation])


async def _reached(consumer: AIOKafkaConsumer, wanted: Replay, incarnation: str, partitions: int) -> dict[int, int]:
    """The offset after the last record of this source in each target partition; none where it has no such record."""
    ranges = await topic_ranges(consumer, [wanted.target])
    if len(ranges) < partitions:
        raise CommandError(f"{wanted.target} has {len(ranges)} partitions, {wanted.topic} has {partitions}")
    prefix = f"{wanted.topic}/{incarnation}/"
    found: dict[int, int] = {}
    window, left = _TAIL_RECORDS, dict(ranges)
    while left:
        starts = {tp: max(first, end - window) for tp, (first, end) in left.items()}
        found |= await _last_marks(consumer, {tp: (starts[tp], end) for tp, (_, end) in left.items()}, prefix)
        left = {
            tp: (first, end) for tp, (first, end) in left.items() if tp.partition not in found and starts[tp] > first
        }
        window *= 10
    return found


async def _last_marks(
    consumer: AIOKafkaConsumer, places: Mapping[TopicPartition, tuple[int, int]], prefix: str
) -> dict[int, int]:
    """By partition, the source's offset after the one that the last mark in [start, end) speaks of."""
    found: dict[int, int] = {}
    consumer.assign(list(places))
    for tp, (start, _) in places.items():
        consumer.seek(tp, start)
    async with asyncio.timeout(_TAIL_S):
        # Of aborted records nothing comes back but the position's step, so the wait for more is a short one.
        while any([await consumer.position(tp) < end for tp, (_, end) in places.items()]):
            for tp, records in (await consumer.getmany(timeout_ms=50)).items():
                for record in records:
                    marks = [value.decode() for name, value in record.headers if name == REPLAY_HEADER and value]
                    if marks and marks[-1].startswith(f"{prefix}{tp.partition}@"):
                        found[tp.partition] = int(marks[-1].rpartition("@")[2]) + 1
    return found


@dataclass(slots=True)
class _Copy:
    """Everything one run copies with."""

    wanted: Replay
    source: _Source
    store: ObjectStore
    reader: TopicReader
    type_of: TypeOf
    progress: Progress
    show: Callable[[Progress], None]

    async def run(self, producer: AIOKafkaProducer) -> None:
        """Round by round, a block from each partition, in one transaction a round."""
        began = time.monotonic()
        async with AsyncExitStack() as stack:
            open_: dict[int, AsyncIterator[Sequence[Incoming]]] = {}
            for partition in self.source.partitions:
                open_[partition] = await stack.enter_async_context(aclosing(self._records(partition)))
            while open_:
                outgoing: list[Outgoing] = []
                for partition, records in list(open_.items()):
                    block = await anext(records, None)
                    if block is None:
                        del open_[partition]
                    else:
                        outgoing += self._meant(partition, block)
                if outgoing:
                    await send_round(producer, outgoing)
                    self.progress.replayed += len(outgoing)
                self.show(self.progress)
                if self.wanted.rate:
                    ahead_s = self.progress.replayed / self.wanted.rate - (time.monotonic() - began)
                    await asyncio.sleep(max(0.0, ahead_s))  # keeps to the rate that was asked for

    def _meant(self, partition: int, block: Sequence[Incoming]) -> list[Outgoing]:
        meant = [
            _marked(self.wanted, self.source.incarnation, partition, record)
            for record in block
            if _is_meant(self.wanted, partition, record, self.type_of)
        ]
        self.progress.passed += len(block) - len(meant)
        return meant

    def _within_times(self, history: History, start: int, stop: int | None) -> History:
        """The segments worth fetching of those between the offsets; the records of the others count as left out."""
        between = history.between(start, stop)
        held = tuple(segment for segment in between if _may_hold(self.wanted, segment))
        self.progress.passed += sum(segment.records for segment in between) - sum(segment.records for segment in held)
        return History(history.path, held)

    async def _records(self, partition: int) -> AsyncGenerator[Sequence[Incoming], None]:
        """The records of one partition that are still to do, in order: from the archive, then from the topic."""
        start = max(self.progress.resumed_from.get(partition, 0), _offset(self.wanted.start, 0))
        stop = _offset(self.wanted.until, None)
        history = self.source.archived.get(partition)
        if history is not None:
            within = self._within_times(history, start, stop)
            async with aclosing(read_history(self.store, within, start, stop)) as blocks:
                async for block in blocks:
                    self.progress.from_archive += len(block)
                    yield block
            start = max(start, history.next_offset)
        if self.source.live is None or partition not in self.source.live.bounds:
            return
        first, end = self.source.live.bounds[partition]
        if history is not None and history.next_offset < first:
            raise CommandError(
                f"{self.wanted.topic}/{partition}: offsets {history.next_offset} to {first - 1} are neither archived"
                " nor on the topic any more"
            )
        start, end = max(start, first), end if stop is None else min(end, stop)
        if start < end:
            async for batch in self.reader.read(self.wanted.topic, partition, start, end):
                self.progress.from_topic += len(batch)
                yield batch


def _may_hold(wanted: Replay, segment: Manifest) -> bool:
    """Whether a segment has records of the times that are wanted: its manifest says from when to when they are."""
    start, until = wanted.start, wanted.until
    after = start.at == "time" and segment.max_timestamp_ms < start.value
    before = until.at == "time" and segment.min_timestamp_ms >= until.value
    return not (after or before)


def _offset(place: Start, otherwise: Any) -> Any:
    return place.value if place.at == "offset" else otherwise


def _is_meant(wanted: Replay, partition: int, record: Incoming, type_of: TypeOf) -> bool:
    if wanted.start.at == "time" and record.timestamp < wanted.start.value:
        return False
    if wanted.until.at == "time" and record.timestamp >= wanted.until.value:
        return False
    if wanted.key is not None and record.key != wanted.key:
        return False
    if wanted.type is not None and type_of(record) != wanted.type:
        return False
    place = f"{wanted.topic}/{partition}@{record.offset}"
    return wanted.rule is None or wanted.rule.takes(record, place, type_of)


def _marked(wanted: Replay, incarnation: str, partition: int, record: Incoming) -> Outgoing:
    mark = f"{wanted.topic}/{incarnation}/{partition}@{record.offset}".encode()
    headers: list[Any] = [*record.headers, (REPLAY_HEADER, mark)]
    return Outgoing(wanted.target, record.key, record.value, headers, record.timestamp, partition)
