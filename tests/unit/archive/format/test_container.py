"""Any schema, any bytes: the originals come back exactly, and an outside reader (fastavro) reads typed values."""

import io
import json
import math
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

import cramjam
import fastavro
import pytest
from atlas_archive.format.container import CorruptFile, read_file
from atlas_archive.format.headers import EXACT
from atlas_archive.format.layout import framing
from atlas_archive.format.records import Record
from atlas_archive.writing.batches import pack
from atlas_archive.writing.splicer import Finished, Splicer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.usefixtures("early_runs")

RELAXED = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
Texts = Callable[[int], str | None]


def outside_reader(data: bytes) -> list[dict[str, Any]]:
    """The file as fastavro alone reads it; its zstd support needs a package of its own, so the block codec is lent."""

    def zstandard(decoder: Any) -> io.BytesIO:
        packed: Any = fastavro.schemaless_reader(decoder, {"type": "bytes"})
        return io.BytesIO(bytes(cramjam.zstd.decompress(packed)))

    import_module("fastavro._read").BLOCK_READERS["zstandard"] = zstandard
    rows: Any = fastavro.reader(io.BytesIO(data))
    return list(rows)


def splice(records: Sequence[Record], texts: Texts, **options: Any) -> list[Finished]:
    splicer = Splicer(texts, **options)
    splicer.add([pack(records)])
    return splicer.finish()


def _blocks(file: Finished) -> Iterator[list[Record]]:
    return read_file(b"".join(file.chunks), "x").blocks(EXACT)


def read_back(files: Sequence[Finished]) -> list[Record]:
    found = [record for file in files for block in _blocks(file) for record in block]
    return sorted(found, key=lambda record: record.offset)


def encode(schema: Any, value: Any) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema, named_schemas={}), value)
    return out.getvalue()


# -- any schema, with values of it ---------------------------------------------------------------------------------

_PRIMITIVES: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32, allow_nan=False),
    "double": st.floats(allow_nan=False),
    "bytes": st.binary(max_size=300),
    "string": st.text(max_size=100),
}
_NAMED: dict[str, tuple[dict[str, Any], st.SearchStrategy[Any]]] = {
    "enum": ({"symbols": ["A", "B", "C"]}, st.sampled_from(["A", "B", "C"])),
    "fixed": ({"size": 7}, st.binary(min_size=7, max_size=7)),
}
# Names that may clash with the envelope's own, with and without a namespace.
_NAMES = st.sampled_from(["ArchivedRecord", "ArchivedHeader", "atlas.Thing", "Thing", "a.b.c.Value", "ArchivedRecord_"])


@st.composite
def typed(
    draw: st.DrawFn, depth: int = 0, taken: set[str] | None = None, space: str = ""
) -> tuple[Any, st.SearchStrategy[Any]]:
    """A schema and a strategy of its values; a name without a namespace is one of the enclosing record's, `space`."""
    taken = set() if taken is None else taken
    kinds = ["primitive"] if depth > 2 else ["primitive", "record", "array", "map", "optional", "enum", "fixed"]
    kind = draw(st.sampled_from(kinds))
    if kind in ("record", "enum", "fixed"):
        name = draw(_NAMES)
        full = name if "." in name or not space else f"{space}.{name}"
        if full in taken:
            kind = "primitive"
        taken.add(full)
    if kind == "record":
        within = full.rpartition(".")[0]
        fields = [draw(typed(depth + 1, taken, within)) for _ in range(draw(st.integers(0, 4)))]
        schema = {
            "type": "record",
            "name": name,
            "fields": [{"name": f"f{i}", "type": field} for i, (field, _) in enumerate(fields)],
        }
        return schema, st.fixed_dictionaries({f"f{i}": values for i, (_, values) in enumerate(fields)})
    if kind == "array":
        items, values = draw(typed(depth + 1, taken, space))
        return {"type": "array", "items": items}, st.lists(values, max_size=5)
    if kind == "map":
        items, values = draw(typed(depth + 1, taken, space))
        return {"type": "map", "values": items}, st.dictionaries(st.text(max_size=5), values, max_size=5)
    if kind == "optional":
        primitive = draw(st.sampled_from(sorted(_PRIMITIVES.keys() - {"null"})))
        return ["null", primitive], st.none() | _PRIMITIVES[primitive]
    if kind in ("enum", "fixed"):
        more, values = _NAMED[kind]
        return {"type": kind, "name": name, **more}, values
    primitive = draw(st.sampled_from(sorted(_PRIMITIVES)))
    return primitive, _PRIMITIVES[primitive]


_names_of_headers = st.text(max_size=8) | st.binary(max_size=3).map(lambda name: name.decode(errors=EXACT))


@st.composite
def envelopes(draw: st.DrawFn, values: st.SearchStrategy[bytes | None]) -> list[Record]:
    """Records with rising offsets, gaps among them, and any envelope."""
    offset = draw(st.integers(0, 2**40))
    records = []
    for value in draw(st.lists(values, min_size=1, max_size=12)):
        records.append(
            Record(
                offset,
                draw(st.integers(-1, 2**45)),
                draw(st.none() | st.binary(max_size=40)),
                tuple(draw(st.lists(st.tuples(_names_of_headers, st.none() | st.binary(max_size=20)), max_size=3))),
                value,
            )
        )
        offset += draw(st.sampled_from([1, 1, 1, 2, 5000]))
    return records


@RELAXED
@given(data=st.data(), codec=st.sampled_from(["zstandard", "deflate", "null"]), block=st.sampled_from([1, 200, 10**6]))
def test_typed_values_read_by_an_outside_reader(data: st.DataObject, codec: str, block: int) -> None:
    schema, values = data.draw(typed())
    written = data.draw(st.lists(values, min_size=1, max_size=8))
    framed = [framing(7) + encode(schema, value) for value in written]
    records = [Record(10 + i, 1000 + i, b"k", (("h", b"v"),), value) for i, value in enumerate(framed)]
    files = splice(records, lambda _: json.dumps(schema), codec=codec, block_bytes=block)
    assert read_back(files) == records
    (file,) = files
    assert file.schema_id == 7
    rows = outside_reader(b"".join(file.chunks))
    expected = [fastavro.schemaless_reader(io.BytesIO(v[5:]), fastavro.parse_schema(schema, {})) for v in framed]
    assert [row["value"] for row in rows] == expected
    assert [(row["offset"], row["timestamp_ms"], row["key"]) for row in rows] == [r[:3] for r in records]
    assert all(row["headers"] == [{"name": "h", "value": b"v"}] for row in rows)
    assert [row["value_length"] for row in rows] == [len(value) - 5 for value in framed]


_SCHEMAS = {
    1: {"type": "record", "name": "One", "fields": [{"name": "a", "type": "string"}, {"name": "b", "type": "long"}]},
    2: {"type": "record", "name": "Two", "fields": [{"name": "c", "type": ["null", "int"]}]},
}


def _texts(schema_id: int) -> str | None:
    return json.dumps(_SCHEMAS[schema_id]) if schema_id in _SCHEMAS else None


_any_value = st.one_of(
    st.none(),
    st.binary(max_size=50),
    st.binary(max_size=30).map(lambda body: framing(1) + body),  # mostly not a One
    st.builds(lambda a, b: framing(1) + encode(_SCHEMAS[1], {"a": a, "b": b}), st.text(), _PRIMITIVES["long"]),
    st.builds(lambda c: framing(2) + encode(_SCHEMAS[2], {"c": c}), st.none() | _PRIMITIVES["int"]),
    st.binary(max_size=5).map(lambda body: framing(99) + body),
)


@RELAXED
@given(records=envelopes(_any_value), block=st.sampled_from([1, 100, 10**6]), checked=st.booleans())
def test_any_bytes_come_back(records: list[Record], block: int, checked: bool) -> None:
    files = splice(records, _texts, block_bytes=block, check=checked)
    assert read_back(files) == records
    assert sum(file.records for file in files) == len(records)
    if checked:
        for file in files:  # no value derails an outside reader
            assert len(outside_reader(b"".join(file.chunks))) == file.records


def test_a_body_that_is_not_of_its_schema_goes_to_the_raw_file() -> None:
    good = framing(1) + encode(_SCHEMAS[1], {"a": "x", "b": 1})
    values = [good, good + b"\0", good[:-1], framing(1), framing(1) + b"\x02\xff\x02", None, b"", b"json", good]
    records = [Record(i, 0, None, (), value) for i, value in enumerate(values)]
    typed_file, raw = splice(records, _texts)
    assert (typed_file.schema_id, typed_file.records) == (1, 2)
    assert (raw.schema_id, raw.records) == (None, 7)
    assert read_back([typed_file, raw]) == records
    assert [row["value"] for row in outside_reader(b"".join(raw.chunks))] == values[1:-1]


def test_a_splicer_takes_records_call_by_call() -> None:
    records = [Record(i * 3, i // 10, b"%d" % i, (), framing(2) + encode(_SCHEMAS[2], {"c": i})) for i in range(500)]
    splicer = Splicer(_texts, block_bytes=500, metadata={"topic": "hauls"})
    sizes = []
    for i in range(0, 500, 50):
        splicer.add([pack(records[i : i + 50])])
        sizes.append(splicer.size)
    (file,) = splicer.finish()
    assert sizes[-1] > 4 * max(sizes[0], 1)  # what is held grows, by the compressed size of what was added
    assert splicer.records == file.records == 500
    assert (file.first_offset, file.last_offset) == (0, 499 * 3)
    assert file.size == sum(map(len, file.chunks))
    opened = read_file(b"".join(file.chunks), "x")
    assert opened.metadata["topic"] == "hauls"
    assert opened.schema_id == 2
    blocks = list(opened.blocks())
    assert len(blocks) > 5
    assert [record for block in blocks for record in block] == records


def _file(codec: str = "zstandard") -> tuple[bytes, list[int]]:
    """A file of five blocks, and where each begins."""
    records = [
        Record(i, 0, b"key-of-20-bytes-%04d" % i, (), framing(2) + encode(_SCHEMAS[2], {"c": i})) for i in range(50)
    ]
    splicer = Splicer(_texts, block_bytes=300, codec=codec)
    splicer.add([pack(records)])
    (file,) = splicer.finish()
    starts = [sum(map(len, file.chunks[:i])) for i in range(1, len(file.chunks))]
    assert len(starts) >= 5
    return b"".join(file.chunks), starts


def _read(data: bytes) -> int:
    return sum(len(block) for block in read_file(data, "bucket/object.avro").blocks())


@pytest.mark.parametrize("codec", ["zstandard", "deflate", "null"])
def test_a_damaged_block_is_named(codec: str) -> None:
    data, starts = _file(codec)
    assert _read(data) == 50
    sync = starts[3] - 16  # that of block 2
    damaged = data[:sync] + bytes(16) + data[sync + 16 :]
    with pytest.raises(CorruptFile, match=r"^bucket/object\.avro, block 2: .*sync") as caught:
        _read(damaged)
    assert caught.value.block == 2


def test_a_truncated_file_is_named() -> None:
    data, starts = _file()
    with pytest.raises(CorruptFile, match=r"block 3: truncated") as caught:
        _read(data[: starts[4] - 20])
    assert caught.value.name == "bucket/object.avro"
    with pytest.raises(CorruptFile, match=r"^bucket/object\.avro: "):
        _read(data[: starts[0] - 20])
    with pytest.raises(CorruptFile, match="does not begin"):
        _read(b"")


_place = st.integers(0, 10**6)  # taken modulo the length, which differs a little from file to file


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["zstandard", "deflate", "null"]), st.lists(st.tuples(_place, st.integers(1, 255))), _place)
def test_damage_never_raises_anything_else(codec: str, damage: list[tuple[int, int]], cut: int) -> None:
    original, _ = _file(codec)
    damaged = bytearray(original)
    for place, bits in damage:
        damaged[place % len(damaged)] ^= bits
    cut %= len(damaged)
    for case in (bytes(damaged), bytes(damaged[:cut]), original[:cut]):
        with suppress(CorruptFile):
            _read(case)


def test_floats_and_uuids_keep_their_bits() -> None:
    schema = {
        "type": "record",
        "name": "N",
        "fields": [{"name": "d", "type": "double"}, {"name": "f", "type": "float"}],
    }
    value = framing(1) + encode(schema, {"d": math.nan, "f": -0.0})
    records = [Record(2**62, -1, uuid.uuid4().bytes, (), value)]
    assert read_back(splice(records, lambda _: json.dumps(schema))) == records


def test_names_that_are_not_utf8_have_a_file_of_their_own_which_others_read() -> None:
    good, odd = (("h", b"v"),), (("\udce9", b"1"), ("h", None), ("h", b""))
    value = framing(2) + encode(_SCHEMAS[2], {"c": 1})
    records = [Record(i, 0, b"k", odd if i % 2 else good, value) for i in range(20)]
    typed_file, names = splice(records, _texts)
    assert (typed_file.kind, names.kind) == ("2", "raw-names")
    assert read_back([typed_file, names]) == records
    rows = outside_reader(b"".join(names.chunks))
    assert rows[0]["headers"] == [
        {"name": b"\xe9", "value": b"1"},
        {"name": b"h", "value": None},
        {"name": b"h", "value": b""},
    ]
    (block,) = read_file(b"".join(names.chunks), "x").blocks()
    assert block[0].headers == (("\\xe9", b"1"), ("h", None), ("h", b""))
