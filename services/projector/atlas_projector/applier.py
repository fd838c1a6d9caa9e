"""Records into rows of one generation: the work that the live loop and a rebuild share.

The transaction of one batch runs while the next batch is fetched, decoded and folded: PostgreSQL works on one core,
this process on another.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from aiokafka import ConsumerRecord, TopicPartition
from atlas_contracts.codec import Codec
from atlas_contracts.errors import Undecodable
from atlas_contracts.events import Meta
from atlas_readmodel.writer import Advance, Batch, DeadLetter, Writer

from atlas_projector.fold import Change, Folded, Key, fold, key_getter
from atlas_projector.metrics import EVENTS, MISSING, ROWS, WRITE_SECONDS
from atlas_projector.projection import Projection, Row

Records = Mapping[TopicPartition, Sequence[ConsumerRecord]]
OnPoison = Callable[[ConsumerRecord, str], Awaitable[None]]
# Given the rows, and the offset of the last record they come from.
BeforeWrite = Callable[[Mapping[Key, Row | None], int], Awaitable[None]]

# Decoding holds the event loop: other projections, probes and the write in flight get their turn this often.
RECORDS_A_TURN = 250
# Rows kept between batches so that a busy key is not read again; some 1 KB each.
ROWS_KEPT = 20_000


async def nothing_first(_rows: Mapping[Key, Row | None], _offset: int) -> None:
    """The `before_write` of who has no cache to warn."""


@dataclass(slots=True)
class _Decoded:
    changes: list[Change]
    poison: list[tuple[ConsumerRecord, str]]
    passed_over: int = 0


class Applier:
    """Applies records to one generation, each once. Not to be shared between tasks.

    `on_poison` is asked about each record that can't be handled: it returns once the record may be passed over, or
    raises. `before_write` is called with the rows about to be written.
    """

    def __init__(
        self, projection: Projection, codec: Codec, on_poison: OnPoison, before_write: BeforeWrite = nothing_first
    ) -> None:
        self._projection = projection
        self._codec = codec
        self._on_poison = on_poison
        self._before_write = before_write
        self._key_of = key_getter(projection)
        self._writer: Writer | None = None
        self._writing: asyncio.Task[None] | None = None
        self._rows_in_flight: Mapping[Key, Row | None] = {}
        self._rows: dict[Key, Row | None] = {}
        self._expected: dict[TopicPartition, int] = {}
        self.durable: dict[TopicPartition, int] = {}
        self.events = 0

    async def begin(self, writer: Writer, positions: Mapping[TopicPartition, int]) -> None:
        """Forget everything held, and go on from these durable positions of the writer's generation."""
        await self._abandon()
        self._writer = writer
        self._expected = dict(positions)
        self.durable = dict(positions)

    async def apply(self, records: Records) -> None:
        """Take the next records, in offset order a partition; raises what the write before them raised.

        1. Pass over records behind the position: delivered again.
        2. Decode; 3. read the rows they touch, except those still known; 4. fold, key by key.
        5. Set aside what can't be handled, acknowledged before the position passes it.
        6. Wait for the transaction before this one: rows and positions of its batch are durable, or all of this is
           dropped by its error.
        7. Begin this batch's transaction, and return without waiting for it.
        """
        fresh = {
            partition: [record for record in batch if record.offset >= self._expected[partition]]
            for partition, batch in records.items()
        }  # 1
        decoded = await self._decode(fresh)  # 2
        before = await self._read(decoded.changes)  # 3
        folded = fold(self._projection, decoded.changes, before.get)  # 4
        letters = await self._set_aside(fresh, decoded, folded)  # 5
        advances = [
            Advance(tp.topic, tp.partition, self._expected[tp], batch[-1].offset + 1, len(batch))
            for tp, batch in fresh.items()
            if batch
        ]
        await self.flush()  # 6
        if not advances:
            return
        self._keep(before)
        self._rows_in_flight = folded.rows
        for advance in advances:
            self._expected[TopicPartition(advance.topic, advance.partition)] = advance.next_offset
        self._writing = asyncio.create_task(self._write(Batch(advances, folded.rows, letters)))  # 7
        self._count(decoded, folded)

    async def flush(self) -> None:
        """Wait for the transaction in flight; raises its error, once."""
        if self._writing is None:
            return
        writing, self._writing = self._writing, None
        await writing
        self.durable = dict(self._expected)
        self._keep(self._rows_in_flight)
        self._rows_in_flight = {}
        while len(self._rows) > ROWS_KEPT:
            del self._rows[next(iter(self._rows))]

    async def _decode(self, records: Records) -> _Decoded:
        changes: list[Change] = []
        decoded = _Decoded(changes, [])
        decode, key_of, handlers = self._codec.decode, self._key_of, self._projection.handlers
        turn = 0
        for batch in records.values():
            for record in batch:
                turn += 1
                if turn % RECORDS_A_TURN == 0:
                    await asyncio.sleep(0)
                try:
                    if record.value is None:
                        raise Undecodable("the record has no value")
                    event = decode(record.value)
                except Undecodable as error:
                    decoded.poison.append((record, str(error)))
                    continue
                handler = handlers.get(event.type)
                if handler is None:
                    decoded.passed_over += 1
                    continue
                meta = Meta(record.topic, record.partition, record.offset, record.timestamp, record.key, record.headers)
                value = event.value
                changes.append(Change(key_of(value, meta), handler, value, meta))
        return decoded

    async def _read(self, changes: Sequence[Change]) -> dict[Key, Row | None]:
        if self._projection.replaces:
            return {}
        before: dict[Key, Row | None] = {}
        unknown: list[Key] = []
        for change in changes:
            key = change.key
            if key in before:
                continue
            if key in self._rows_in_flight:
                before[key] = self._rows_in_flight[key]
            elif key in self._rows:
                before[key] = self._rows[key]
            else:
                before[key] = None
                unknown.append(key)
        if unknown:
            assert self._writer is not None
            before.update(await self._writer.load(unknown))
        return before

    async def _set_aside(self, fresh: Records, decoded: _Decoded, folded: Folded) -> list[DeadLetter]:
        poison = decoded.poison
        if folded.rejected:
            by_place = {(r.topic, r.partition, r.offset): r for batch in fresh.values() for r in batch}
            poison = poison + [
                (by_place[meta.topic, meta.partition, meta.offset], reason) for meta, reason in folded.rejected
            ]
        for record, reason in poison:
            await self._on_poison(record, reason)
        return [DeadLetter(record.topic, record.partition, record.offset, reason) for record, reason in poison]

    async def _write(self, batch: Batch) -> None:
        assert self._writer is not None
        with WRITE_SECONDS.labels(self._projection.name).time():
            await self._before_write(batch.rows, max(advance.next_offset for advance in batch.advances) - 1)
            await self._writer.write(batch)

    def _keep(self, rows: Mapping[Key, Row | None]) -> None:
        if not self._projection.replaces:
            self._rows.update(rows)

    def _count(self, decoded: _Decoded, folded: Folded) -> None:
        name = self._projection.name
        poison = len(decoded.poison) + len(folded.rejected)
        EVENTS.labels(name, "applied").inc(folded.applied)
        EVENTS.labels(name, "passed_over").inc(decoded.passed_over)
        EVENTS.labels(name, "repeated").inc(folded.repeated)
        EVENTS.labels(name, "rejected").inc(poison)
        MISSING.labels(name).inc(folded.missing)
        ROWS.labels(name).inc(len(folded.rows))
        self.events += folded.applied + folded.repeated + decoded.passed_over + poison

    async def _abandon(self) -> None:
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.cancel()
            await asyncio.wait({writing})
            if not writing.cancelled():
                writing.exception()  # looked at, so that asyncio does not complain; the positions tell the truth
        self._rows_in_flight = {}
        self._rows = {}
