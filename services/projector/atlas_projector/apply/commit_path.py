"""How a batch is committed: every step from records to committed offsets, in one place.

Around it is the loop of all consumers, atlas_kafka.consuming.loop.consume: it polls, has the records handled
(Live.handle, which comes to `CommitPath.take`), and commits the offsets that the workspace has as `durable`.

There are two stages, so that this process and PostgreSQL work at the same time, on a core each: `take` folds records
into the batch to come, `_write` writes the batch before it. The slower PostgreSQL is, the more events of a key become
one row before they get there.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from aiokafka import TopicPartition
from atlas_projection.change import Key
from atlas_projection.fold import fold
from atlas_projection.projection import Projection, Row
from atlas_projection.waiting import Waiting
from atlas_readmodel.store import Rows
from atlas_runtime.metrics import timed

from atlas_projector.apply.decoding import Decoded
from atlas_projector.apply.pending import Pending
from atlas_projector.apply.workspace import Workspace
from atlas_projector.metrics import Written, count
from atlas_projector.source import Record
from atlas_projector.waiting.aside import Aside

Records = Mapping[TopicPartition, Sequence[Record]]
# Given the rows about to be written, and the offset of the last record they come from.
BeforeWrite = Callable[[Mapping[Key, Row | None], int], Awaitable[None]]
# Makes poison of events whose rows would be refused.
LookAt = Callable[[Decoded, Waiting], None]

# Decoding holds the event loop: other projections, probes and the write under way get their turn this often.
RECORDS_A_TURN = 250
# The most that is folded ahead of PostgreSQL.
PENDING_ROWS_MAX = 20_000


async def nothing_first(_rows: Mapping[Key, Row | None], _offset: int) -> None:
    """The `before_write` of who has no cache to warn."""


class CommitPath:
    """Takes the records of one generation and makes them durable. Not to be shared between tasks.

    What is guaranteed:

    - A record takes effect once. Its rows and the position of its partition change in one transaction, and only while
      the position is where the batch begins; else nothing changes and the write raises Fenced.
    - A position passes a record only with what became of it: its rows, or the record itself, which waits. Its dead
      letter, if there is one, was acknowledged before.
    - Batches are written one at a time, in the order of their records.
    - `before_write` has returned before the transaction begins, so that the cache takes no row from before it.
    - `durable` is never ahead of the database, nor are the offsets of the group, which are committed from it.

    So a process may end between any two steps. The next one reads again what was taken and not written, no more.
    """

    def __init__(self, projection: Projection, held: Workspace, before_write: BeforeWrite, write_rows: int) -> None:
        """`write_rows`: a batch is written once it has so many rows, or however few it has when that is asked for."""
        self._projection = projection
        self._held = held
        self._before_write = before_write
        self._write_rows = write_rows
        self._pending_max = max(PENDING_ROWS_MAX, write_rows)
        self._written = Written(projection.name)
        self._writer: Rows | None = None
        self._writing: asyncio.Task[None] | None = None

    async def take(self, fresh: Records, look_at: LookAt | None = None) -> None:
        """Records not taken before, in offset order a partition, into the batch to come.

        1. Decode, a part at a time.
        2. Read the rows they touch, except those still known.
        3. Fold, key by key.
        4. Set aside what can't be handled; its dead letters are acknowledged on return.
        5. Put positions, rows and what waits together into the batch to come.
        6. Have that written, if it is due and no other is under way: steps 7 to 10 are in `_write`.
        """
        held, decoded = self._held, Decoded()
        for tp, batch in fresh.items():  # 1
            for start in range(0, len(batch), RECORDS_A_TURN):
                held.decoder.decode(tp, batch[start : start + RECORDS_A_TURN], held.waiting, decoded)
                await asyncio.sleep(0)
        if look_at is not None:
            look_at(decoded, held.waiting)
        await held.read(decoded.changes)  # 2
        folded = fold(self._projection, decoded.changes, held.rows.get, held.waiting)  # 3
        decoded.in_order(held.waiting)
        aside = Aside()
        if decoded.poison or folded.rejected or decoded.behind or folded.behind or folded.early:
            by_place = {(*tp, record.offset): record for tp, batch in fresh.items() for record in batch}
            aside = await held.set_aside(by_place, decoded, folded)  # 4
        for tp, batch in fresh.items():  # 5
            if batch:
                held.advance(tp, batch[-1].offset + 1, len(batch))
                held.note_age(batch[0].timestamp)
        held.merge(folded, aside)
        count(self._projection.name, folded, len(decoded.poison), decoded.passed_over, len(decoded.behind))
        self._begin_to_write()  # 6

    async def _write(self) -> None:
        """Write batches, one after the other, as long as one is due: the next is begun without waiting for a poll.

        7. Close the batch to come; what is taken from now on goes into the one after it.
        8. Warn the cache of its rows.
        9. One transaction: positions, only from where the batch begins; rows; what waits, and what no longer does.
        10. Note what is durable. Live.handle answers it, and the consumer loop commits it to the group.
        """
        assert self._writer is not None
        held = self._held
        while held.pending.is_due(self._write_rows):
            held.in_flight, held.pending = held.pending, Pending()  # 7
            batch = held.in_flight.batch()
            with timed(self._written.seconds):
                await self._before_write(batch.rows, max(each.next_offset for each in batch.advances) - 1)  # 8
                await self._writer.write(batch)  # 9
            for each in batch.advances:  # 10
                held.durable[TopicPartition(each.topic, each.partition)] = each.next_offset
            self._written.count(held.in_flight)
            held.in_flight = Pending()

    async def make_room(self) -> None:
        """Wait while too much is pending; raises the error of a write."""
        while len(self._held.pending.rows) >= self._pending_max and self._writing is not None:
            await asyncio.wait({self._writing})
            self.raise_if_failed()
            self._begin_to_write()

    def write_soon(self) -> None:
        """Have what is pending written, however little, once the write before it is done."""
        if self._held.pending.advances:
            self._held.pending.hurried = True
        self._begin_to_write()

    async def flush(self) -> None:
        """Make durable all that was taken; raises the error of a write, once."""
        self.write_soon()
        while self._writing is not None:
            await asyncio.wait({self._writing})
            self.raise_if_failed()
            self._begin_to_write()

    def raise_if_failed(self) -> None:
        """Raise the error of the last write, once."""
        if self._writing is not None and self._writing.done():
            writing, self._writing = self._writing, None
            writing.result()

    async def begin(self, writer: Rows) -> None:
        """Write with this from now on; nothing is under way then."""
        await self.stop()
        self._writer = writer

    async def stop(self) -> None:
        """End the write under way, wherever it is."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.cancel()
            await asyncio.wait({writing})
            if not writing.cancelled():
                writing.exception()  # looked at, so that asyncio does not complain; the positions tell the truth

    async def attempt(self, work: Awaitable[None]) -> None:
        """All that the work comes to durable; or nothing, and what is held is as before. Nothing else is pending."""
        before = self._held.snapshot()
        try:
            await work
            await self.flush()
        except Exception:
            self._held.take_back(before)
            raise

    def _begin_to_write(self) -> None:
        if self._writing is None and self._held.pending.is_due(self._write_rows):
            self._writing = asyncio.create_task(self._write())
