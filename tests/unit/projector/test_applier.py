"""Pipelined batches give the rows of one big one: rows in flight, rows kept and rows read must agree."""

import asyncio
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry
from atlas_projector import applier
from atlas_projector.applier import Applier
from atlas_projector.projections.users import USERS
from atlas_projector.source import Record
from atlas_readmodel.writer import Batch, Fenced, Waits
from hypothesis import given, settings
from hypothesis import strategies as st

CODEC = Codec(Registry.load(Path(__file__).resolve().parents[3] / "schemas"))
PLACE = TopicPartition("users.events", 0)


class MemoryWriter:
    """The writer's promises, kept in a dict; each write takes a few turns of the loop."""

    def __init__(self) -> None:
        self.rows: dict[Any, Any] = {}
        self.next_offset = 0
        self.writes = 0
        self.loaded = 0

    async def load(self, keys: Collection[Any]) -> dict[Any, Any]:
        self.loaded += len(keys)
        await asyncio.sleep(0)
        return {key: dict(self.rows[key]) for key in keys if key in self.rows}

    async def waiting(self, _partitions: Any) -> Waits:
        return Waits((), {}, {})

    async def write(self, batch: Batch) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
        (advance,) = batch.advances
        if advance.expected != self.next_offset:
            raise Fenced("moved on")
        self.writes += 1
        self.next_offset = advance.next_offset
        for key, row in batch.rows.items():
            self.rows[key] = row


async def never(_place: TopicPartition, _record: Record, reason: str) -> None:
    raise AssertionError(reason)


def record(offset: int, user: str, version: int, email: str) -> Any:
    kind = "users.UserRegistered" if version == 1 else "users.UserProfileChanged"
    value: Mapping[str, Any] = {"user_id": user, "email": email, "display_name": email, "country": None}
    time = {"registered_at": offset} if version == 1 else {"changed_at": offset}
    framed = CODEC.encode(kind, {**value, **time})
    headers = (("ce_sequence", str(version).encode()),)
    return ConsumerRecord(PLACE.topic, 0, offset, 0, 0, user.encode(), framed, None, 0, 0, headers)


def history(users: list[str]) -> list[Any]:
    versions: dict[str, int] = {}
    records = []
    for offset, user in enumerate(users):
        versions[user] = versions.get(user, 0) + 1
        records.append(record(offset, user, versions[user], f"{offset}@x"))
    return records


async def started(writer: MemoryWriter, at: int = 0) -> Applier:
    fresh = Applier(USERS, CODEC, never)
    await fresh.begin(writer, {PLACE: at})  # type: ignore[arg-type]
    return fresh


async def run(records: list[Any], edges: list[int]) -> MemoryWriter:
    writer = MemoryWriter()
    under_test = await started(writer)
    for start, end in zip([0, *edges], [*edges, len(records)], strict=True):
        await under_test.apply({PLACE: records[start:end]})
    await under_test.flush()
    assert under_test.durable == {PLACE: len(records)}
    return writer


@settings(max_examples=60)
@given(
    users=st.lists(st.sampled_from("abcdefgh"), max_size=30), cuts=st.sets(st.integers(1, 29)), kept=st.integers(0, 3)
)
def test_any_split_into_batches_gives_the_same_rows(users: list[str], cuts: set[int], kept: int) -> None:
    records = history(users)
    edges = sorted(cut for cut in cuts if cut < len(records))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(applier, "ROWS_KEPT", kept)
        split = asyncio.run(run(records, edges))
    assert split.rows == asyncio.run(run(records, [])).rows


async def test_records_behind_the_position_are_passed_over() -> None:
    records, writer = history(["a", "b", "a"]), MemoryWriter()
    under_test = await started(writer)
    for batch in (records[:2], records[:3], records):
        await under_test.apply({PLACE: batch})
    await under_test.flush()
    assert (writer.writes, under_test.events) == (2, 3)
    assert writer.rows[("a",)]["version"] == 2


async def test_a_row_still_known_is_not_read_again() -> None:
    records, writer = history(["a"] * 6), MemoryWriter()
    under_test = await started(writer)
    for n in range(6):
        await under_test.apply({PLACE: records[n : n + 1]})
    await under_test.flush()
    assert writer.loaded == 1


async def test_the_error_of_a_write_comes_with_the_next_call() -> None:
    records, writer = history(["a", "b"]), MemoryWriter()
    under_test = await started(writer)
    writer.next_offset = 7
    await under_test.apply({PLACE: records[:1]})
    with pytest.raises(Fenced):
        await under_test.flush()
    assert under_test.durable == {PLACE: 0}
    # Begun again from what is durable, nothing is left of what failed.
    writer.next_offset = 0
    await under_test.begin(writer, {PLACE: 0})  # type: ignore[arg-type]
    await under_test.apply({PLACE: records})
    await under_test.flush()
    assert {row["email"] for row in writer.rows.values()} == {"0@x", "1@x"}


async def test_poison_is_reported_before_the_position_passes_it() -> None:
    seen: list[int] = []
    writer = MemoryWriter()

    async def note(_place: TopicPartition, bad: Record, reason: str) -> None:
        assert writer.next_offset == 0
        assert "not framed Avro" in reason
        seen.append(bad.offset)

    under_test = Applier(USERS, CODEC, note)
    await under_test.begin(writer, {PLACE: 0})  # type: ignore[arg-type]
    good, bad = history(["a", "b"])
    bad = ConsumerRecord(PLACE.topic, 0, 1, 0, 0, None, b"garbage", None, 0, 0, ())
    await under_test.apply({PLACE: [good, bad]})
    await under_test.flush()
    assert (seen, writer.next_offset, len(writer.rows)) == ([1], 2, 1)
