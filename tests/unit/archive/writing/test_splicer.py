"""Which file a value goes to, and what a splicer says of itself; the bytes are test_container's."""

import json
import time

import pytest
from atlas_archive.format.layout import framing
from atlas_archive.format.records import Record
from atlas_archive.writing.batches import pack
from atlas_archive.writing.splicer import Splicer

INT = json.dumps("int")


def record(offset: int, value: bytes | None) -> Record:
    return Record(offset, 0, None, (), value)


def test_a_file_each_schema_and_one_for_the_rest() -> None:
    splicer = Splicer({1: INT, 2: INT}.get)
    splicer.add([pack([record(0, framing(2) + b"\2"), record(1, None), record(2, framing(1) + b"\4")])])
    splicer.add([pack([record(7, framing(2) + b"\6"), record(9, framing(3) + b"\6")])])
    files = splicer.finish()
    assert [(f.schema_id, f.records, f.first_offset, f.last_offset) for f in files] == [
        (1, 1, 2, 2),
        (2, 2, 0, 7),
        (None, 2, 1, 9),
    ]


def test_each_schema_is_asked_for_once() -> None:
    asked: list[int] = []

    def text(schema_id: int) -> str:
        asked.append(schema_id)
        return INT

    splicer = Splicer(text)
    for offset in range(50):
        splicer.add([pack([record(offset, framing(offset % 3) + b"\2")])])
    assert sorted(asked) == [0, 1, 2]


@pytest.mark.parametrize("text", [None, "no JSON", '"unknown"'])
def test_without_a_schema_that_reads_a_value_is_raw(text: str | None) -> None:
    splicer = Splicer(lambda _: text)
    splicer.add([pack([record(0, framing(1) + b"\2")])])
    assert [file.schema_id for file in splicer.finish()] == [None]


def test_values_of_endless_prefixes_are_not_remembered_for_ever() -> None:
    splicer = Splicer(lambda _: None)
    splicer.add([pack([record(i, i.to_bytes(8, "little")) for i in range(3000)])])
    assert len(splicer._by_prefix) <= 1000


def test_what_is_held_is_the_compressed_size() -> None:
    splicer = Splicer(lambda _: None, block_bytes=10_000)
    splicer.add([pack([record(i, bytes(100)) for i in range(5000)])])
    assert splicer.size < 100_000
    (file,) = splicer.finish()
    assert file.size < splicer.size + 1000


def test_nothing_added_gives_no_file() -> None:
    splicer = Splicer(lambda _: INT)
    splicer.add([])
    assert splicer.finish() == []


@pytest.mark.parametrize("framed", [True, False])
def test_a_hundred_thousand_headers_cost_what_their_bytes_cost(framed: bool) -> None:
    headers = tuple((f"h{i}", b"v") for i in range(100_000))
    value = framing(1) + b"\2" if framed else None
    records = [Record(i, 0, b"k", headers if i % 20 == 10 else (("h", b"v"),), value) for i in range(60)]
    splicer = Splicer({1: INT}.get)
    packed = pack(records)
    began = time.process_time()
    splicer.add([packed])
    (file,) = splicer.finish()
    assert time.process_time() - began < 5  # of three such records; an expression for one takes 100 s and 4 GB
    assert file.records == 60


def test_schemas_without_end_are_not_compiled_into_one_expression() -> None:
    text = json.dumps(
        {"type": "record", "name": "R", "fields": [{"name": f"f{i}", "type": "string"} for i in range(9)]}
    )
    splicer = Splicer(lambda _: text)
    began = time.process_time()
    splicer.add([pack([record(i, framing(i) + b"\2a" * 9) for i in range(1000)])])
    assert time.process_time() - began < 10
    assert len(splicer.finish()) == 1000
    assert len(splicer._expected._schemas) <= 16


@pytest.mark.parametrize("layouts", [5000])
def test_thousands_of_layouts_of_headers_and_wide_records(layouts: int) -> None:
    splicer = Splicer({1: INT}.get)
    records = [
        Record(i, 0, None, tuple((f"{i}-{n}" * (i % 50), b"v" * n) for n in range(i % 40)), framing(1) + b"\2")
        for i in range(layouts)
    ]
    records.append(Record(layouts, 0, bytes(1_000_000), (), bytes(10_000_000)))
    began = time.process_time()
    splicer.add([pack(records)])
    files = splicer.finish()
    assert time.process_time() - began < 10
    assert sum(file.records for file in files) == layouts + 1
