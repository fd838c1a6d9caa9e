"""The live generation of one projection, as the sink of the consumer loop.

atlas_kafka.consuming.loop.consume → Live.handle → Applier.apply → CommitPath.take → handlers of the projection
"""

import time
import uuid
from collections import deque
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

import structlog
from aiokafka import ConsumerRecord, TopicPartition
from atlas_contracts.codec import Codec
from atlas_errors.policy import Transient, describe, is_over_content
from atlas_kafka.cluster.partitions_now import PartitionNow
from atlas_kafka.consuming.loop import Offsets, Records
from atlas_kafka.consuming.sink import Rewind
from atlas_kafka.producing.deadletters import DeadLetters
from atlas_projection.projection import Projection
from atlas_readmodel.cache import Cache
from atlas_readmodel.postgres.generations import Generation
from atlas_readmodel.postgres.topic_ids import present
from atlas_readmodel.postgres.writer import Fenced
from atlas_readmodel.store import Rows, Store, Unsuitable
from atlas_runtime.observing.batch_spans import Members, batch_span, of_record

from atlas_projector.apply.applier import Applier
from atlas_projector.apply.crashes import Taken
from atlas_projector.floors import Floors
from atlas_projector.metrics import DEATHS, FENCED, GENERATION, PARKED
from atlas_projector.source import Record
from atlas_projector.standing import stand
from atlas_projector.waiting.new_schemas import LOOK_EVERY_S, RETRIED_MAX, Schemas

log = structlog.get_logger(__name__)

RATE_WINDOW_S = 10.0
# How often to look for what an operator asked for, and for events that waited too long.
TEND_EVERY_S = 0.25
# More than this, and no good one lately, are no bad records but a bad deploy: nothing more is taken until somebody has
# looked at them.
PARKED_MAX = 100_000
# While Redis is away, ask for it again this often.
MEND_EVERY_S = 1.0


class OtherVersion(Exception):
    """Readers see a generation that this code does not write."""

    def __init__(self, projection: Projection, live: Generation) -> None:
        super().__init__(
            f"readers of {projection.name} see generation {live.number} of version {live.version},"
            f" this code is version {projection.version}"
        )


def group_of(projection: str) -> str:
    """The consumer group of a projection."""
    return f"projector.{projection}"


class Live:
    """Writes what readers see, each record once; a Sink. What it says of itself comes from here, not from a plan.

    The durable position is the one beside the rows; the group's offset only follows it.
    """

    def __init__(
        self,
        projection: Projection,
        store: Store,
        cache: Cache,
        codec: Codec,
        dead_letters: DeadLetters,
        *,
        stops: Collection[str] = (),
    ) -> None:
        """`stops`: the topics that, made anew, this projection does not read until it is told to begin."""
        self.projection = projection
        self.floors = Floors(projection, cache, store)
        self.generation: int | None = None
        self._writer: Rows | None = None
        self.reason: str | None = "not started"
        self._store = store
        self._stops = stops
        self._dead_letters = dead_letters
        # Of this process and this object alone: whoever comes after a death is another.
        self._reader = uuid.uuid4().hex
        self._applier = Applier(projection, codec, self._set_aside, self.floors.lay)
        # The schemas as they are by now; without, those of the codec are all there are.
        self.schemas: Schemas | None = None
        self._codec: Codec | None = None
        self._looked_at = 0.0
        self._swapped = False
        self._mended_at = 0.0
        self._tended_at = 0.0
        self._samples: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])

    async def start_offsets(self, partitions: Mapping[TopicPartition, PartitionNow]) -> Offsets:
        """The positions of the live generation, which may be another one than before. Raises OtherVersion, MadeAnew.

        Of a topic that was made anew it begins at the start, and keeps the rows that there are.
        """
        self._swapped = False
        try:
            live = await self._store.ensure_live()
        except Unsuitable as reason:
            raise Transient(str(reason)) from reason
        if live.version != self.projection.version:
            raise OtherVersion(self.projection, live)
        await self.floors.mend()
        writer = self._store.rows(live.number)
        positions, renewals = await stand(writer, partitions, stops=self._stops, projection=self.projection.name)
        if renewals:
            log.warning("begun anew", projection=self.projection.name, partitions=[r.former for r in renewals])
            await self.floors.outdate()
        dead = await writer.take_over(self._reader, [(tp.topic, tp.partition) for tp in positions])
        deaths = {tp: dead.get((tp.topic, tp.partition), 0) for tp in positions}
        DEATHS.labels(self.projection.name).set(max(deaths.values(), default=0))
        await self._applier.begin(writer, positions, taken=Taken(self._reader, deaths))
        self.generation = live.number
        self._writer = writer
        GENERATION.labels(self.projection.name).set(live.number)
        return positions

    async def handle(self, records: Records) -> Offsets:
        """Apply records: see `commit_path` for the steps. The answer is what earlier transactions made durable.

        1. Now and then: what an operator asked, and what waited too long.
        2. Take the records; that the last of them are written is not waited for. Without records it is.
        3. Answer the offsets that are durable, for the group.
        """
        if self._swapped:
            raise Transient("another generation is live now")
        name = self.projection.name
        try:
            await self._tend()  # 1
            if not records:
                await self._applier.flush()  # 2
                await self._mend_cache()
            else:
                with batch_span(f"process {name}", "process", partial(_members, records), {"group": group_of(name)}):
                    await self._applier.apply(records)  # 2
        except Fenced as fenced:
            FENCED.labels(name).inc()
            log.warning("fenced", projection=name, reason=str(fenced))
            raise Transient(str(fenced)) from fenced
        except Exception as error:  # noqa: BLE001 - becomes its fate
            self._look_closer(error)
        self._sample()
        return self._applier.durable  # 3

    async def release(self, partitions: Collection[TopicPartition]) -> Offsets:
        """Finish the transaction in flight; whoever has the partitions next begins after it."""
        try:
            await self._applier.flush()
        except Exception as error:
            if isinstance(error, Fenced) or (is_over_content(error) and self._applier.doubt()):
                raise Transient(describe(error)) from error  # whoever has the partitions next finds out
            raise
        if self._writer is not None:
            await self._writer.let_go(self._reader, [(tp.topic, tp.partition) for tp in partitions])
        return {
            partition: self._applier.durable[partition]
            for partition in partitions
            if partition in self._applier.durable
        }

    async def swapped(self, epoch: int) -> None:
        """Readers see another generation since `epoch`: begin again there, without waiting to be fenced."""
        await self.floors.swapped(epoch)
        self._swapped = True

    def trouble(self) -> str | None:
        """What is wrong with the projection although its loop works; None while it is well."""
        return self._applier.verdicts.trouble()

    def try_again(self) -> None:
        """After it failed as a whole."""
        self._applier.verdicts.try_again()

    def state(self) -> dict[str, Any]:
        """What the loop is doing, for `atlas projections`."""
        (began, events_then), (now, events_now) = self._samples[0], self._samples[-1]
        return {
            "state": _state(self.reason),
            "reason": self.reason,
            "generation": self.generation,
            "positions": {f"{tp.topic}/{tp.partition}": at for tp, at in sorted(self._applier.durable.items())},
            "events": self._applier.events,
            "parked": self._applier.parked,
            "events_per_second": round((events_now - events_then) / max(now - began, 1e-3), 1),
        }

    async def _set_aside(self, partition: TopicPartition, record: Record, reason: str) -> None:
        letter = ConsumerRecord(
            *(present(partition.topic), partition.partition, record.offset),
            record.timestamp,
            0,
            record.key,
            record.value,
            None,
            0,
            0,
            record.headers,
        )
        await self._dead_letters.send(letter, group=group_of(self.projection.name), error=reason)

    async def _tend(self) -> None:
        """Now and then: do what an operator asked about waiting records, and what waited too long."""
        if time.monotonic() - self._tended_at < TEND_EVERY_S or self._writer is None:
            return
        self._tended_at = time.monotonic()
        if self.schemas is not None:
            await self._meet_new_schemas(self.schemas)
        self._applier.step_over(await self._writer.skipped())
        asked = await self._writer.asked()
        if "drop" in asked:
            await self._applier.drop()
        for of_key in await self._writer.requests() if asked else ():
            if self._applier.holds(of_key[0]):
                await self._applier.settle(of_key)
        await self._applier.take_overdue()
        PARKED.labels(self.projection.name).set(self._applier.parked)
        if self._applier.parked > PARKED_MAX and self.trouble() is not None:
            raise Transient(f"{self._applier.parked:,} records of {self.projection.name} wait: see `atlas dlq ls`")

    async def _meet_new_schemas(self, schemas: Schemas) -> None:
        """Have records handled that were set aside for a schema id which the folder has by now."""
        if not self._applier.parked or time.monotonic() - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = time.monotonic()
        codec = await schemas.refresh()
        if codec is self._codec:
            return
        self._applier.use(codec)
        await self._applier.flush()
        known = schemas.known_now((await self._store.parked(["dead"], RETRIED_MAX)).records)
        if known:
            log.info("schemas are known now", projection=self.projection.name, records=len(known))
            await self._store.ask("retry", known)
        self._codec = codec

    def _look_closer(self, error: Exception) -> None:
        """After what one record may be the reason of: begin again at what is durable, and find that one."""
        if not is_over_content(error) or not self._applier.doubt():
            raise error
        log.warning("refused: looking for the record", projection=self.projection.name, error=describe(error))
        raise Rewind from error

    async def _mend_cache(self) -> None:
        if self.floors.missed and time.monotonic() - self._mended_at > MEND_EVERY_S:
            self._mended_at = time.monotonic()
            await self.floors.mend()

    def _sample(self) -> None:
        now = time.monotonic()
        self._samples.append((now, self._applier.events))
        while len(self._samples) > 2 and now - self._samples[0][0] > RATE_WINDOW_S:
            self._samples.popleft()


def _state(reason: str | None) -> str:
    if reason is None:
        return "running"
    return next(
        (state for state in ("waiting", "refused", "failing", "failed") if reason.startswith(state)), "retrying"
    )


def _members(records: Records) -> Members:
    for tp, batch in records.items():
        for record in batch:
            if (text := of_record(record.headers)) is not None:
                yield text, {"topic": tp.topic, "partition": str(tp.partition), "offset": record.offset}
