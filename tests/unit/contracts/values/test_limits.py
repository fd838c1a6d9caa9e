"""Small bytes of any producer end no process and take little memory; what is written keeps the same limits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from atlas_avro.names import parse
from atlas_avro.varints import long as zigzag
from atlas_contracts.codec import Codec
from atlas_contracts.errors import InvalidEvent, Undecodable
from atlas_contracts.evolution.resolution import named_types
from atlas_contracts.reading.binary_reader import BROKEN, compile_reader
from atlas_contracts.reading.run_pattern import run_pattern
from atlas_contracts.registry import Registry
from atlas_contracts.values.limits import EMPTY_ITEMS_MAX, NESTING_MAX, empty_types, holds_itself, needs_limits
from fastavro.schema import parse_schema
from hypothesis import given
from hypothesis import strategies as st

NODE = {
    "type": "record",
    "name": "t.Node",
    "fields": [{"name": "id", "type": "string"}, {"name": "next", "type": ["null", "Node"], "default": None}],
}
TREE = {
    "type": "record",
    "name": "t.Tree",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "below", "type": {"type": "array", "items": "Tree"}},
        {"name": "named", "type": {"type": "map", "values": ["null", "Tree"]}},
    ],
}
NULLS = {
    "type": "record",
    "name": "t.Nulls",
    "fields": [{"name": "id", "type": "string"}, {"name": "nulls", "type": {"type": "array", "items": "null"}}],
}
TOPIC = "topics:\n  t.events: {key: id, events: [t.%s], partitions: 1, retention: 1d}\n"

MakeCodec = Callable[..., Codec]


@pytest.fixture
def make_codec(tmp_path: Path, release: Callable[..., Any]) -> MakeCodec:
    def make(*versions: dict[str, Any]) -> Codec:
        name = versions[0]["name"].rpartition(".")[2]
        (tmp_path / "topics.yaml").write_text(TOPIC % name)
        for number, version in enumerate(versions, start=1):
            release(tmp_path, f"t/{name.lower()}.v{number}.avsc", version)
        return Codec(Registry.load(tmp_path))

    return make


def chain(depth: int) -> bytes:
    """The body of a Node that holds `depth` - 1 others, one in the other."""
    return b"\x02a\x02" * (depth - 1) + b"\x02a\x00"


def nested(depth: int) -> dict[str, Any] | None:
    value: dict[str, Any] | None = None
    for _ in range(depth):
        value = {"id": "a", "next": value}
    return value


def branching(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {"id": "a", "below": [], "named": {}}
    for level in range(depth):
        around = {"below": [value]} if level % 2 else {"named": {"x": value}}
        value = {"id": "a", "below": [], "named": {}} | around
    return value


@pytest.mark.parametrize("depth", [NESTING_MAX + 1, 5_000, 300_000])
def test_bytes_nested_too_deep_are_undecodable(make_codec: MakeCodec, depth: int) -> None:
    codec = make_codec(NODE)
    with pytest.raises(Undecodable, match=f"nested deeper than {NESTING_MAX}"):
        codec.decode(b"\x00\x00\x00\x00\x01" + chain(depth))


@pytest.mark.parametrize("depth", [NESTING_MAX + 1, 300_000])
def test_nor_does_an_older_schema_let_them_through(make_codec: MakeCodec, depth: int) -> None:
    newer = NODE | {"fields": [*NODE["fields"], {"name": "more", "type": "string", "default": ""}]}
    codec = make_codec(NODE, newer)
    with pytest.raises(Undecodable, match=f"nested deeper than {NESTING_MAX}"):
        codec.decode(b"\x00\x00\x00\x00\x01" + chain(depth))
    assert codec.decode(b"\x00\x00\x00\x00\x01" + chain(2)).value["next"] == {"id": "a", "next": None, "more": ""}


def test_what_is_as_deep_as_allowed_is_written_read_and_rendered(make_codec: MakeCodec) -> None:
    codec = make_codec(NODE)
    framed = codec.encode_json("t.Node", nested(NESTING_MAX))
    event = codec.decode(framed)
    assert event.value == nested(NESTING_MAX) == codec.to_json(event)
    assert framed[5:] == chain(NESTING_MAX)


def test_what_is_deeper_is_refused_when_it_is_written(make_codec: MakeCodec) -> None:
    codec = make_codec(NODE)
    for write in (codec.encode, codec.encode_json):
        for depth in (NESTING_MAX + 1, 400, 5_000):
            with pytest.raises(InvalidEvent, match="nest"):
                write("t.Node", nested(depth) or {})


def test_every_container_counts(make_codec: MakeCodec) -> None:
    codec = make_codec(TREE)
    fits = branching((NESTING_MAX - 1) // 2)
    assert codec.decode(codec.encode("t.Tree", fits)).value == fits
    with pytest.raises(InvalidEvent, match=f"nested deeper than {NESTING_MAX}"):
        codec.encode("t.Tree", branching(NESTING_MAX // 2 + 1))


@pytest.mark.parametrize("count", [EMPTY_ITEMS_MAX + 1, 2**40, 2**62])
@pytest.mark.parametrize("sign", [1, -1])
def test_items_without_a_byte_are_counted_before_they_are_made(make_codec: MakeCodec, count: int, sign: int) -> None:
    codec = make_codec(NULLS)
    size = b"" if sign > 0 else b"\x00"
    body = b"\x02a" + zigzag(count * sign) + size + b"\x00"
    with pytest.raises(Undecodable, match="empty items"):
        codec.decode(b"\x00\x00\x00\x00\x01" + body)


def test_they_are_counted_over_all_blocks_and_when_they_are_written(make_codec: MakeCodec) -> None:
    codec = make_codec(NULLS)
    blocks = zigzag(EMPTY_ITEMS_MAX // 2) * 3 + b"\x00"
    with pytest.raises(Undecodable, match="empty items"):
        codec.decode(b"\x00\x00\x00\x00\x01\x02a" + blocks)
    fits = {"id": "a", "nulls": [None] * EMPTY_ITEMS_MAX}
    assert codec.decode(codec.encode("t.Nulls", fits)).value == fits
    with pytest.raises(InvalidEvent, match="empty items"):
        codec.encode_json("t.Nulls", {"id": "a", "nulls": [None] * (EMPTY_ITEMS_MAX + 1)})


@pytest.mark.parametrize("kind", ["string", "bytes", "boolean", "long", "double"])
@pytest.mark.parametrize("count", [2**31, 2**40, 2**62, -(2**62)])
def test_a_count_of_items_that_are_not_there_is_refused(kind: str, count: int) -> None:
    read = compile_reader(parse_schema({"type": "array", "items": kind}))
    with pytest.raises(BROKEN):
        read(zigzag(count) + b"\x02" * 20, 0)


@pytest.mark.parametrize(("kind", "bits"), [("int", 32), ("long", 64)])
@given(number=st.integers(0, 2**70 - 1))
def test_numbers_beyond_their_type_are_refused_alone_and_in_runs(kind: str, bits: int, number: int) -> None:
    encoded = bytearray()
    rest = number
    while rest > 0x7F:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    encoded.append(rest)
    fits = number < 2**bits
    parsed = parse_schema({"type": "record", "name": "t.One", "fields": [{"name": "n", "type": kind}]})
    pattern = run_pattern(b"", parsed)
    assert pattern is not None
    (first, *_rest) = pattern.regex.findall(bytes(encoded).decode("latin-1"))
    assert (first[0] == bytes(encoded).decode("latin-1")) is fits
    try:
        value = compile_reader(parsed)(bytes(encoded), 0)["n"]
    except BROKEN:
        assert not fits
    else:
        assert fits
        assert value == (number >> 1) ^ -(number & 1)


@pytest.mark.parametrize("branches", [64, 65, 200])
def test_a_union_of_many_branches(branches: int) -> None:
    parsed = parse_schema([{"type": "fixed", "name": f"t.F{number}", "size": 1} for number in range(branches)])
    read = compile_reader(parsed)
    assert [read(zigzag(index) + b"x", 0) for index in range(branches)] == [{f"t.F{n}": b"x"} for n in range(branches)]
    with pytest.raises(BROKEN):
        read(zigzag(branches) + b"x", 0)


@pytest.mark.parametrize(
    ("schema", "itself", "limits"),
    [
        ("long", False, False),
        (NODE, True, True),
        (TREE, True, True),
        (NULLS, False, True),
        ({"type": "array", "items": ["null", "string"]}, False, False),
        ({"type": "array", "items": {"type": "record", "name": "t.E", "fields": []}}, False, True),
        (
            {
                "type": "record",
                "name": "t.Twice",
                "fields": [
                    {"name": "a", "type": {"type": "fixed", "name": "t.F", "size": 2}},
                    {"name": "b", "type": {"type": "array", "items": "t.F"}},
                ],
            },
            False,
            False,
        ),
        (
            {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "t.Twice",
                    "fields": [
                        {"name": "a", "type": {"type": "record", "name": "t.E", "fields": []}},
                        {"name": "b", "type": "t.E"},
                    ],
                },
            },
            False,
            True,
        ),
    ],
)
def test_which_schemas_need_limits(schema: Any, itself: bool, limits: bool) -> None:
    parsed = parse_schema(schema)
    assert holds_itself(parsed) is itself
    assert needs_limits(parsed) is limits


EMPTY = {"type": "record", "name": "t.E", "fields": []}


def record(name: str, *fields: Any) -> dict[str, Any]:
    named = [{"name": f"f{number}", "type": kind} for number, kind in enumerate(fields)]
    return {"type": "record", "name": name, "fields": named}


@pytest.mark.parametrize(
    ("definition", "parts"),
    [
        (EMPTY, {"t.E": 1}),
        (record("t.R", "null", EMPTY, "t.E", {"type": "t.E"}), {"t.E": 1, "t.R": 5}),
        (record("t.R", "null", {"type": "fixed", "name": "t.F", "size": 0}), {"t.F": 1, "t.R": 3}),
        (record("t.R", "null", "int", EMPTY), {"t.E": 1}),
        (record("t.R", ["null"]), {}),
        (record("t.R", {"type": "array", "items": "null"}), {}),
        (record("t.R", "t.R"), {}),
        (record("t.R", record("t.A", record("t.B", "t.R", EMPTY))), {"t.E": 1}),
    ],
)
def test_which_types_take_no_byte_and_what_is_in_them(definition: Any, parts: dict[str, int]) -> None:
    assert empty_types(named_types(parse(definition))) == parts


def test_items_without_bytes_count_with_all_that_is_in_them() -> None:
    read = compile_reader(parse({"type": "array", "items": record("t.R", "null", "null", EMPTY)}))
    most = EMPTY_ITEMS_MAX // 4
    assert len(read(zigzag(most) + b"\x00", 0)) == most
    with pytest.raises(ValueError, match=f"more than {EMPTY_ITEMS_MAX} empty items"):
        read(zigzag(most + 1) + b"\x00", 0)
