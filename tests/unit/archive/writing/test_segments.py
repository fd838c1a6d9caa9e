"""A segment from its first record to its manifest, step by step."""

import hashlib
import json

import pytest
from atlas_archive.chain.manifests import PartitionPath, last_manifest
from atlas_archive.format.layout import framing
from atlas_archive.format.records import Record
from atlas_archive.history import read_segment
from atlas_archive.store import MemoryStore
from atlas_archive.writing import segments
from atlas_archive.writing.batches import pack
from atlas_archive.writing.segments import Options, Segment, store_segment

PATH = PartitionPath("hauls", "id-1", 0)
SCHEMA = json.dumps("int")
RECORDS = [Record(i, 5000 - i, b"k", (), framing(1) + b"\2" if i % 3 else None) for i in range(10, 30)]


def segment(start: int = 0, records: list[Record] | None = None) -> Segment:
    made = Segment(PATH, start, 0, {1: SCHEMA}.get, Options(codec="deflate"))
    made.add([pack(RECORDS if records is None else records)])
    return made


async def test_what_a_manifest_says_is_so() -> None:
    store = MemoryStore()
    stored = await store_segment(store, segment(), "me")
    manifest = stored.manifest
    assert stored.won
    assert await last_manifest(store, PATH) == manifest
    assert (manifest.start_offset, manifest.first_offset, manifest.last_offset, manifest.next_offset) == (0, 10, 29, 30)
    assert (manifest.records, manifest.min_timestamp_ms, manifest.max_timestamp_ms) == (20, 4971, 4990)
    assert (manifest.writer, manifest.partition, manifest.incarnation) == ("me", 0, "id-1")
    assert [item.schema_id for item in manifest.objects] == [1, None]
    for item in manifest.objects:
        data = store.objects[item.key]
        assert (item.size, item.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert item.key.startswith(PATH.data(0, 4990))
    assert store.objects["topics/hauls/id-1/schemas/1.avsc"] == SCHEMA.encode()
    assert [record async for block in read_segment(store, manifest) for record in block] == RECORDS


def test_records_must_rise() -> None:
    made = segment()
    with pytest.raises(ValueError, match="offset 29 comes after 29"):
        made.add([pack(RECORDS[-1:])])
    made.add([])
    assert (made.records, made.next_offset) == (20, 30)


async def test_a_taken_place_is_seen_before_anything_is_stored() -> None:
    store = MemoryStore()
    await store_segment(store, segment(), "first")
    before = dict(store.objects)
    stored = await store_segment(store, segment(), "second")
    assert (stored.won, stored.manifest.writer) == (False, "first")
    assert store.objects == before


class Unheard(MemoryStore):
    """The answer to the first manifest is lost."""

    lost = False

    async def put_if_absent(self, key: str, data: bytes) -> bool:
        done = await super().put_if_absent(key, data)
        if "/manifest/" in key and not self.lost:
            self.lost = True
            raise ConnectionError("the answer was lost")
        return done


async def test_one_whose_answer_was_lost_is_stored_by_calling_again() -> None:
    store, ours = Unheard(), segment()
    with pytest.raises(ConnectionError):
        await store_segment(store, ours, "me")
    stored = await store_segment(store, ours, "me")
    assert stored.won
    assert await last_manifest(store, PATH) == stored.manifest


async def test_the_winner_removes_what_others_left_at_its_place_only() -> None:
    store = MemoryStore()
    left = PATH.data(0, 4990) + "crashed-raw.avro"
    elsewhere = PATH.data(30, 4990) + "still-writing-raw.avro"
    store.objects |= {left: b"x", elsewhere: b"y"}
    stored = await store_segment(store, segment(), "me")
    data = {key for key in store.objects if "/data/" in key}
    assert data == {elsewhere, *(item.key for item in stored.manifest.objects)}


def test_what_is_looked_for_is_found_in_every_block_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "_FOUND_MAX", 5)
    options = Options(block_bytes=100, find=lambda block: ["x"] * block.count(b"needle"))
    segment = Segment(PATH, 0, 0, lambda _: None, options)
    segment.add([pack([Record(i, 0, None, (), b"needle %d" % i) for i in range(4)])])
    segment.finish()
    assert segment.found == ["x"] * 4
    many = Segment(PATH, 0, 0, lambda _: None, options)
    many.add([pack([Record(i, 0, None, (), b"needle" * 3) for i in range(9)])])
    many.finish()
    assert many.found == ["x"] * 5
