"""The steps of a batch come in their order, and the next batch is taken while one is written."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from aiokafka import TopicPartition
from atlas_local.waiting import wait_until
from atlas_projector.apply.commit_path import BeforeWrite, CommitPath, nothing_first
from atlas_projector.apply.workspace import Workspace
from atlas_projector.source import Record
from atlas_readmodel.postgres.writer import Batch

from tests.unit.projector.applying import CODEC, PLACE, ParkingWriter, history, picky

DEADLINE_S = 10.0
PROJECTION = picky([True])


class GatedWriter(ParkingWriter):
    """Writes when it is let; notes what happened."""

    def __init__(self) -> None:
        super().__init__()
        self.happened: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()

    async def write(self, batch: Batch) -> None:
        self.begun.set()
        await self.gate.wait()
        await super().write(batch)
        self.happened.append(f"{len(batch.rows)} rows up to {batch.advances[0].next_offset}")


async def started(
    writer: GatedWriter, before_write: BeforeWrite = nothing_first, write_rows: int = 0
) -> tuple[CommitPath, Workspace]:
    async def set_aside(_place: TopicPartition, record: Record, _reason: str) -> None:
        writer.happened.append(f"dead letter {record.offset}")

    held = Workspace(PROJECTION, CODEC, set_aside, strict=False)
    path = CommitPath(PROJECTION, held, before_write, write_rows)
    await path.begin(writer)  # type: ignore[arg-type]
    await held.begin(writer, {PLACE: 0}, None)  # type: ignore[arg-type]
    return path, held


async def test_dead_letters_then_the_cache_then_the_transaction_then_what_is_durable() -> None:
    writer = GatedWriter()

    async def lay(rows: Mapping[Any, Any], last_offset: int) -> None:
        writer.happened.append(f"floors of {len(rows)} rows at {last_offset}, durable {held.durable[PLACE]}")

    path, held = await started(writer, lay)
    good, bad, other = history(["a", "b", "c"])
    await path.take({PLACE: [good, replace(bad, value=b"garbage"), other]})
    assert held.durable == {PLACE: 0}
    await path.flush()
    assert writer.happened == ["dead letter 1", "floors of 2 rows at 2, durable 0", "2 rows up to 3"]
    assert (held.durable, writer.next_offset) == ({PLACE: 3}, 3)


async def test_what_is_taken_while_a_batch_is_written_is_written_next_without_another_call() -> None:
    writer = GatedWriter()
    path, held = await started(writer)
    records = history(["a", "b", "c", "b"])
    writer.gate.clear()
    await path.take({PLACE: records[:1]})
    async with asyncio.timeout(DEADLINE_S):
        await writer.begun.wait()
        await path.take({PLACE: records[1:3]})
        await path.take({PLACE: records[3:]})
        assert (writer.happened, held.durable) == ([], {PLACE: 0})
        writer.gate.set()
    await wait_until("both are durable", lambda: held.durable == {PLACE: 4}, DEADLINE_S)
    assert writer.happened == ["1 rows up to 1", "2 rows up to 4"]


async def test_a_batch_of_few_rows_is_written_once_that_is_asked_for() -> None:
    writer = GatedWriter()
    path, held = await started(writer, write_rows=3)
    records = history(["a", "b", "c", "d", "e"])
    path.write_soon()  # there is nothing yet: no reason to hurry with what comes
    await path.take({PLACE: records[:2]})
    assert (writer.begun.is_set(), len(held.pending.rows)) == (False, 2)
    await path.take({PLACE: records[2:3]})
    await path.flush()
    await path.take({PLACE: records[3:4]})
    path.write_soon()
    await wait_until("it is durable", lambda: held.durable == {PLACE: 4}, DEADLINE_S)
    await path.take({PLACE: records[4:]})
    assert (writer.happened, len(held.pending.rows)) == (["3 rows up to 3", "1 rows up to 4"], 1)


async def test_where_the_cache_could_not_be_warned_nothing_is_written() -> None:
    writer = GatedWriter()

    async def refuse(_rows: Mapping[Any, Any], _last_offset: int) -> None:
        raise ConnectionError("no cache")

    path, held = await started(writer, refuse)
    await path.take({PLACE: history(["a"])})
    with pytest.raises(ConnectionError, match="no cache"):
        await path.flush()
    assert (writer.happened, held.durable, writer.next_offset) == ([], {PLACE: 0}, 0)


async def test_an_attempt_that_is_refused_leaves_nothing_behind() -> None:
    writer = GatedWriter()
    path, held = await started(writer)
    records = history(["a", "b"])
    await path.attempt(path.take({PLACE: records[:1]}))
    writer.next_offset = 7  # somebody else has moved it
    with pytest.raises(Exception, match="moved on"):
        await path.attempt(path.take({PLACE: records[1:]}))
    assert (held.expected, held.events, held.rows) == ({PLACE: 1}, 1, {})
    assert not held.pending.rows
    assert not held.in_flight.rows


async def test_no_more_than_so_many_rows_are_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atlas_projector.apply.commit_path.PENDING_ROWS_MAX", 2)
    writer = GatedWriter()
    path, held = await started(writer)
    records = history(["a", "b", "c"])
    writer.gate.clear()
    await path.take({PLACE: records[:1]})
    async with asyncio.timeout(DEADLINE_S):
        await writer.begun.wait()
        await path.take({PLACE: records[1:]})
        room = asyncio.create_task(path.make_room())
        for _ in range(10):
            await asyncio.sleep(0)
        assert not room.done()
        writer.gate.set()
        await room
    assert (writer.happened[0], held.durable[PLACE] >= 1) == ("1 rows up to 1", True)
