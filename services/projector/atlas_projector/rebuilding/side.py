"""Side tables: some of a projection's history folded into a table of its own, to look into what happened.

Readers of the projection never see it; it is the view `readmodel.<name>`, made anew each time.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from aiokafka import TopicPartition
from atlas_contracts.codec import Codec
from atlas_projection.projection import Projection
from atlas_readmodel.stores import Stores

from atlas_projector.rebuilding.builder import RebuildError, Strict
from atlas_projector.rebuilding.rebuild import Progress
from atlas_projector.source import Batches, Positions, Record, Source

_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
_TABLE = re.compile(r".*_g\d+")


@dataclass(frozen=True, slots=True)
class Selection:
    """What goes into the side table `into`: records before `until_ms`, of one record key, of one event type."""

    into: str
    until_ms: int | None = None
    key: str | None = None
    type: str | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.into) or _TABLE.fullmatch(self.into):
            raise ValueError(
                f"into: {self.into!r} can't name a side table: lower case, digits and _, no _g3 at its end"
            )

    def takes(self, record: Record) -> bool:
        """Whether the record is one of those."""
        if self.until_ms is not None and record.timestamp >= self.until_ms:
            return False
        if self.key is not None and record.key != self.key.encode():
            return False
        return self.type is None or any(
            name == "ce_type" and value == self.type.encode() for name, value in record.headers
        )


class _Selected:
    """Of a source what a selection takes."""

    def __init__(self, source: Source, selection: Selection) -> None:
        self._source = source
        self._takes = selection.takes

    async def partitions(self) -> frozenset[TopicPartition]:
        return await self._source.partitions()

    async def incarnations(self) -> Mapping[str, str]:
        return await self._source.incarnations()

    async def former(self) -> Sequence[str]:
        return await self._source.former()

    async def read(self, start: Positions, until: Positions) -> Batches:
        async for batches in self._source.read(start, until):
            taken: Mapping[TopicPartition, Sequence[Record]] = {
                partition: [record for record in records if self._takes(record)]
                for partition, records in batches.items()
            }
            yield taken


async def build_side(
    projection: Projection,
    stores: Stores,
    codec: Codec,
    source: Source,
    progress: Progress,
    selection: Selection,
) -> int:
    """Fill the side table with what the selection takes of the projection's history; returns the number of its rows.

    Raises RebuildError, also where the name is taken by a projection.
    """
    # Without topics: no reader that waits for a record of theirs waits for this table.
    side = replace(projection, name=selection.into, topics=(), cached=False)
    store, side_store = stores.of(projection.model), stores.of(side.model)
    live = await store.in_state("live")
    if live is None:
        raise RebuildError(f"{projection.name} has no live generation yet")
    made = await side_store.begin_side()
    if made is None:
        raise RebuildError(f"into: {side.name} is a projection, not a side table")
    targets = {
        TopicPartition(topic, number): offset
        for (topic, number), offset in (await store.rows(live.number).positions()).items()
    }
    progress.phase, progress.to_generation = "reading", made.number
    progress.remaining = sum(targets.values())
    writer = side_store.rows(made.number)
    await writer.add_positions((partition.topic, partition.partition) for partition in targets)
    strict = Strict(side, store, codec)
    async for events in strict.advance(writer, _Selected(source, selection), targets):
        progress.remaining -= events - progress.events
        progress.events = events
    progress.events, progress.remaining, progress.phase = strict.events, 0, "done"
    return await side_store.tidy(made.number)
