"""Filling a generation with history, strictly: what the live projection handles or set aside, and nothing else."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

from aiokafka import TopicPartition
from atlas_contracts.codec import Codec
from atlas_errors.policy import describe, is_over_content
from atlas_projection.projection import Projection
from atlas_readmodel.postgres.writer import Waits
from atlas_readmodel.store import Rows, Store
from atlas_readmodel.waiting.parking import Decision

from atlas_projector.apply.applier import Applier
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
        self._projection = projection
        self._store = store
        self.load = load
        write_rows = 0 if eager else WRITE_ROWS
        self._applier = Applier(projection, codec, self._expect_known, write_rows=write_rows, strict=True)
        self.passed_over = 0
        self.events = 0

    async def advance(self, writer: Rows, source: Source, targets: Positions) -> AsyncIterator[int]:
        """Apply the source's records from the durable positions to `targets`; gives the events so far, now and then.

        At the end all of it is durable. Raises RebuildError, RecordsGone.
        """
        before = self._applier.events - self.events
        while True:
            known = await writer.positions()
            start = {partition: known[partition.topic, partition.partition] for partition in targets}
            await self._applier.begin(writer, start, await self._decided())
            try:
                async for _ in self._apply(source, start, targets):
                    self.events = self._applier.events - before
                    yield self.events
                self.events = self._applier.events - before
                return
            except Exception as error:
                if not is_over_content(error):
                    raise
                if not self._applier.doubt():
                    raise RebuildError(f"projection {self._projection.name}: {describe(error)}") from error

    async def _apply(self, source: Source, start: Positions, targets: Positions) -> AsyncIterator[None]:
        written_at = began_at = time.monotonic()
        async for records in source.read(start, targets):
            await self._applier.apply(records)
            now = time.monotonic()
            if now - written_at > WRITE_EVERY_S:
                self._applier.write_soon()
                written_at = now
            yield
            if self.load < 1:
                await asyncio.sleep((now - began_at) * (1 / self.load - 1))
            began_at = time.monotonic()
        self._applier.reach(targets)
        await self._applier.flush()

    async def _decided(self) -> Waits | None:
        """What live decided; of another version of it only what was never read, as this one may do better."""
        live = await self._store.in_state("live")
        if live is None:
            return None
        decided = await self._store.rows(live.number).waiting(())
        if live.version == self._projection.version:
            return decided
        rulings = {place: made for place, made in decided.rulings.items() if made is not Decision.SET_ASIDE}
        return replace(decided, rulings=rulings)

    async def _expect_known(self, partition: TopicPartition, record: Record, reason: str) -> None:
        ruling = await self._store.ruling((*partition, record.offset))
        if ruling is None or ruling is Decision.ACCEPTED:
            raise RebuildError(
                f"projection {self._projection.name}: {partition.topic}/{partition.partition}@{record.offset} can't be"
                f" handled, and the live projection did not set it aside: {reason}"
            )
        self.passed_over += 1
