"""Filling a generation with history, strictly: what the live projection handles or set aside, and nothing else."""

import asyncio
import time
from collections.abc import AsyncIterator

from aiokafka import TopicPartition
from atlas_contracts.codec import Codec
from atlas_readmodel.parking import Decision
from atlas_readmodel.store import Rows, Store

from atlas_projector.applier import Applier
from atlas_projector.fold import HandlerFailed
from atlas_projector.projection import Projection
from atlas_projector.source import Positions, Record, Source

# History is folded as far as memory allows before it is written: the more events make one row, the less PostgreSQL has
# to do. Some 30 MB a worker.
WRITE_ROWS = 30_000
# A write begins at least this often, so that a rebuild that is killed goes on close to where it was. Where a worker has
# fewer keys than WRITE_ROWS, each write is of all of them: with 4 s a rebuild was a twentieth slower.
WRITE_EVERY_S = 8.0


class RebuildError(Exception):
    """The rebuild stopped; what it has done so far is kept, and it goes on there when started again."""


class Strict:
    """Applies history to a generation. A record that can't be handled stops it, unless the live projection set that
    very record aside before, which `store` knows: then it waits in this generation too. `load`: see workers.Setup; it
    may be changed.
    """

    def __init__(
        self,
        projection: Projection,
        store: Store,
        codec: Codec,
        *,
        load: float = 1.0,
        eager: bool = False,
    ) -> None:
        self._store = store
        self.load = load
        self._applier = Applier(projection, codec, self._expect_known, write_rows=0 if eager else WRITE_ROWS)
        self.passed_over = 0
        self.events = 0

    async def advance(self, writer: Rows, source: Source, targets: Positions) -> AsyncIterator[int]:
        """Apply the source's records from the durable positions to `targets`; gives the events so far, now and then.

        At the end all of it is durable. Raises RebuildError, RecordsGone.
        """
        known = await writer.positions()
        start = {partition: known[partition.topic, partition.partition] for partition in targets}
        await self._applier.begin(writer, start)
        before = self._applier.events - self.events
        written_at = began_at = time.monotonic()
        async for records in source.read(start, targets):
            try:
                await self._applier.apply(records)
            except HandlerFailed as failed:
                raise RebuildError(str(failed)) from failed
            now = time.monotonic()
            if now - written_at > WRITE_EVERY_S:
                self._applier.write_soon()
                written_at = now
            self.events = self._applier.events - before
            yield self.events
            if self.load < 1:
                await asyncio.sleep((now - began_at) * (1 / self.load - 1))
            began_at = time.monotonic()
        self._applier.reach(targets)
        await self._applier.flush()

    async def _expect_known(self, partition: TopicPartition, record: Record, reason: str) -> None:
        ruling = await self._store.ruling((*partition, record.offset))
        if ruling is None or ruling is Decision.ACCEPTED:
            raise RebuildError(
                f"{partition.topic}/{partition.partition}@{record.offset} can't be handled, and the live projection did"
                f" not set it aside: {reason}"
            )
        self.passed_over += 1
