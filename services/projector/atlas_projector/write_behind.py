"""The batch to come and the one that is being written: while PostgreSQL writes one, the next is folded."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiokafka import TopicPartition
from atlas_projection.change import Key
from atlas_projection.fold import Folded
from atlas_projection.projection import Row
from atlas_readmodel.parking import Parked
from atlas_readmodel.store import Rows

from atlas_projector.aside import Aside
from atlas_projector.metrics import WRITE_SECONDS
from atlas_projector.pending import Pending

# Given the rows, and the offset of the last record they come from.
BeforeWrite = Callable[[Mapping[Key, Row | None], int], Awaitable[None]]

# The most that is folded ahead of PostgreSQL.
PENDING_ROWS_MAX = 20_000


async def nothing_first(_rows: Mapping[Key, Row | None], _offset: int) -> None:
    """The `before_write` of who has no cache to warn."""


class WriteBehind:
    """A write begins as soon as the one before it is done and `write_rows` rows changed; whatever there is, at a flush.

    `before_write` is called with the rows about to be written.
    """

    def __init__(self, projection: str, before_write: BeforeWrite, write_rows: int) -> None:
        self._projection = projection
        self._before_write = before_write
        self._write_rows = write_rows
        self._pending_max = max(PENDING_ROWS_MAX, write_rows)
        self._writer: Rows | None = None
        self._writing: asyncio.Task[None] | None = None
        self._flushing = False
        self._hurried = False
        self.pending = Pending()
        self.in_flight = Pending()
        self.durable: dict[TopicPartition, int] = {}

    @property
    def parked(self) -> tuple[list[Parked], list[Parked]]:
        """Records that wait and that PostgreSQL may not have yet."""
        return self.pending.parked, self.in_flight.parked

    async def stop(self) -> None:
        """End the write under way, wherever it is."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.cancel()
            await asyncio.wait({writing})
            if not writing.cancelled():
                writing.exception()  # looked at, so that asyncio does not complain; the positions tell the truth

    def restart(self, writer: Rows, durable: Mapping[TopicPartition, int]) -> None:
        """Go on from these positions of the writer; nothing is under way."""
        self._writer = writer
        self.durable = dict(durable)

    def drop(self) -> tuple[Mapping[Key, Row | None], int]:
        """Forget what is pending, and what was not written; nothing is under way. What that was: rows, events."""
        lost = (self.in_flight, self.pending)
        self.pending, self.in_flight = Pending(), Pending()
        events = sum(events for part in lost for _, _, events in part.advances.values())
        return {**lost[0].rows, **lost[1].rows}, events

    def add(self, folded: Folded, aside: Aside) -> None:
        """Rows, and what waits or no longer does, to be written together."""
        if self.pending.rows:
            self.pending.rows.update(folded.rows)
        else:
            self.pending.rows = folded.rows
        self.pending.released += folded.released + aside.released
        self.pending.parked += aside.parked
        self.pending.rulings += aside.rulings

    def soon(self) -> None:
        """Write what is pending, however little, once the write before it is done."""
        self._hurried = True
        self.begin()

    def begin(self) -> None:
        """Begin a write, if one is due and none is under way."""
        if self._writing is None and self._due():
            self._writing = asyncio.create_task(self._write_pending())

    async def make_room(self) -> None:
        """Wait while too much is pending; raises the error of a write."""
        while len(self.pending.rows) >= self._pending_max and self._writing is not None:
            await asyncio.wait({self._writing})
            self.raise_if_failed()
            self.begin()

    async def flush(self) -> None:
        """Make durable all that was added; raises the error of a write, once."""
        self._flushing = True
        try:
            self.begin()
            while self._writing is not None:
                await asyncio.wait({self._writing})
                self.raise_if_failed()
                self.begin()
        finally:
            self._flushing = False

    def raise_if_failed(self) -> None:
        """Raise the error of the last write, once."""
        if self._writing is not None and self._writing.done():
            writing, self._writing = self._writing, None
            writing.result()

    def _due(self) -> bool:
        pending = self.pending
        wanted = self._flushing or self._hurried or len(pending.rows) >= self._write_rows
        return wanted and bool(pending.advances)

    async def _write_pending(self) -> None:
        """Write what is pending, and what has become pending meanwhile, until nothing is."""
        assert self._writer is not None
        while self._due():
            self.in_flight, self.pending = self.pending, Pending()
            self._hurried = False
            batch = self.in_flight.batch()
            with WRITE_SECONDS.labels(self._projection).time():
                await self._before_write(batch.rows, max(advance.next_offset for advance in batch.advances) - 1)
                await self._writer.write(batch)
            for advance in batch.advances:
                self.durable[TopicPartition(advance.topic, advance.partition)] = advance.next_offset
            self.in_flight = Pending()
