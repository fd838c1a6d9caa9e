"""Random pairs of schemas: whatever the check accepts, every old value is read as Avro's rules say.

The rules stand here a second time, in the plainest form, over values that still know their branch.
"""

import copy
import struct
from typing import Any

import pytest
from atlas_avro.varints import long as zigzag
from atlas_avro.walk import without_logical_types
from atlas_contracts.evolution.compatibility import incompatibilities
from atlas_contracts.evolution.resolution import branch_for, fields, named_types
from atlas_contracts.forms import form_faults
from atlas_contracts.reading.binary_reader import BROKEN
from atlas_contracts.reading.resolving_reader import compile_resolving_reader
from atlas_contracts.values.shapes import compile_shape
from atlas_contracts.values.unions import branches_of
from fastavro.schema import parse_schema
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

FIELDS = ("a", "b", "c", "d")
SYMBOLS = ("A", "B", "C")
NAMES = ("t.X", "t.Y", "u.X")
PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "string", "bytes")


@st.composite
def types(draw: st.DrawFn, depth: int, taken: list[str]) -> Any:  # noqa: PLR0911 - one a kind of type
    """A type of the specification; each name is defined once and referred to afterwards."""
    kinds = ["primitive"] * 3 + (["record", "enum", "fixed", "array", "map", "union", "known"] if depth else [])
    kind = draw(st.sampled_from(kinds))
    if kind == "known" and taken:
        return draw(st.sampled_from(taken))
    free = [name for name in NAMES if name not in taken]
    if kind in ("record", "enum", "fixed") and free:
        name = draw(st.sampled_from(free))
        taken.append(name)
        aliases = {"aliases": ["t.Y"]} if draw(st.booleans()) else {}
        if kind == "record":
            return {"type": "record", "name": name, "fields": draw(records(depth - 1, taken)), **aliases}
        if kind == "enum":
            symbols = draw(st.lists(st.sampled_from(SYMBOLS), unique=True, min_size=1))
            default = {"default": symbols[0]} if draw(st.booleans()) else {}
            return {"type": "enum", "name": name, "symbols": symbols, **default, **aliases}
        return {"type": "fixed", "name": name, "size": draw(st.integers(0, 2)), **aliases}
    if kind == "array":
        return {"type": "array", "items": draw(types(depth - 1, taken))}
    if kind == "map":
        return {"type": "map", "values": draw(types(depth - 1, taken))}
    if kind == "union":
        branches = [draw(types(0, taken)) for _ in range(draw(st.integers(1, 3)))]
        branches += [draw(types(depth - 1, taken)) for _ in range(draw(st.integers(0, 1)))]
        return [branch for branch in branches if not isinstance(branch, list)] or ["null"]
    return draw(st.sampled_from(PRIMITIVES))


@st.composite
def records(draw: st.DrawFn, depth: int, taken: list[str]) -> list[dict[str, Any]]:
    names = draw(st.lists(st.sampled_from(FIELDS), unique=True, max_size=3))
    made = []
    for name in names:
        field: dict[str, Any] = {"name": name, "type": draw(types(depth, taken))}
        if (alias := draw(st.sampled_from([None, None, *FIELDS]))) is not None:
            field["aliases"] = [alias]
        if draw(st.booleans()):
            field["default"] = draw(st.sampled_from([None, 0, "", "\u00ff", {}, [], "A", False]))
        made.append(field)
    return made


@st.composite
def schemas(draw: st.DrawFn) -> Any:
    """A record that fastavro parses and whose defaults fit; without logical types."""
    definition = {"type": "record", "name": "t.R", "fields": draw(records(2, ["t.R"]))}
    assume(not form_faults(definition))
    try:
        parsed = parse_schema(copy.deepcopy(definition))
        compile_shape(parsed, {})
    except Exception:  # noqa: BLE001 - a default that does not fit, in one of the ways that a parser knows
        assume(False)
    return without_logical_types(parsed)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Any, Any]:
    """Two schemas, most of the time the second a change of the first."""
    writer = draw(schemas())
    if draw(st.integers(0, 3)) == 0:
        return writer, draw(schemas())
    reader = copy.deepcopy({key: writer[key] for key in ("type", "name", "fields")})
    for field in list(reader["fields"]):
        change = draw(st.sampled_from(["keep", "keep", "promote", "nullable", "rename", "drop", "swap"]))
        if change == "promote" and field["type"] in ("int", "long", "float", "string"):
            wider = {"int": ["long", "float", "double"], "long": ["float", "double"], "float": ["double"]}
            field["type"] = draw(st.sampled_from(wider.get(field["type"], ["bytes"])))
            field.pop("default", None)
        elif change == "nullable" and not isinstance(field["type"], list) and field["type"] != "null":
            field["type"] = ["null", field["type"], *(["double"] if field["type"] == "int" else [])]
            field["default"] = None
        elif change == "rename":
            field["aliases"] = [field["name"]]
            field["name"] = draw(st.sampled_from(["e", "f", "g"]))
        elif change == "drop":
            reader["fields"].remove(field)
        elif change == "swap":
            reader["fields"].reverse()
    if draw(st.booleans()):
        reader["fields"].append({"name": "n", "type": ["null", "bytes"], "default": None})
        reader["fields"].append({"name": "m", "type": "bytes", "default": "\u00ff"})
    assume(not form_faults(reader))
    try:
        parsed = parse_schema(copy.deepcopy(reader))
        compile_shape(parsed, {})
    except Exception:  # noqa: BLE001 - as above
        assume(False)
    return writer, without_logical_types(parsed)


@st.composite
def written(draw: st.DrawFn, definition: Any, names: dict[str, Any], depth: int = 4) -> tuple[bytes, Any]:  # noqa: PLR0911
    """Bytes of a value and the value: of a union as (branch, value)."""
    if isinstance(definition, list):
        assume(depth > 0)
        index = draw(st.integers(0, len(definition) - 1))
        body, value = draw(written(definition[index], names, depth - 1))
        return zigzag(index) + body, (definition[index], value)
    if isinstance(definition, str) and definition in names:
        assume(depth > 0)
        return draw(written(names[definition], names, depth - 1))
    kind = definition if isinstance(definition, str) else definition["type"]
    if kind == "null":
        return b"", None
    if kind == "boolean":
        flag = draw(st.booleans())
        return bytes([flag]), flag
    if kind in ("int", "long"):
        bits = 31 if kind == "int" else 63
        number = draw(st.integers(-(2**bits), 2**bits - 1))
        return zigzag(number), number
    if kind == "float":
        single = draw(st.floats(width=32, allow_nan=False))
        return struct.pack("<f", single), single
    if kind == "double":
        double = draw(st.floats(allow_nan=False))
        return struct.pack("<d", double), double
    if kind in ("string", "bytes"):
        text = draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=3))
        body = text.encode() if kind == "string" else draw(st.binary(max_size=3))
        return zigzag(len(body)) + body, text if kind == "string" else body
    if kind == "enum":
        index = draw(st.integers(0, len(definition["symbols"]) - 1))
        return zigzag(index), definition["symbols"][index]
    if kind == "fixed":
        body = draw(st.binary(min_size=definition["size"], max_size=definition["size"]))
        return body, body
    if kind == "record":
        parts = {field["name"]: draw(written(field["type"], names, depth - 1)) for field in definition["fields"]}
        return b"".join(body for body, _ in parts.values()), {name: value for name, (_, value) in parts.items()}
    items = [draw(written(definition["items" if kind == "array" else "values"], names, depth - 1))]
    items *= draw(st.integers(0, 2)) if depth > 1 else 0
    if kind == "array":
        return (zigzag(len(items)) + b"".join(b for b, _ in items) if items else b"") + b"\x00", [v for _, v in items]
    keyed = {f"k{number}": item for number, item in enumerate(items)}
    bodies = b"".join(zigzag(2) + key.encode() + body for key, (body, _) in keyed.items())
    return (zigzag(len(keyed)) + bodies if keyed else b"") + b"\x00", {key: value for key, (_, value) in keyed.items()}


class Rules:
    """Avro's resolution of one value, step by step."""

    def __init__(self, writer: Any, reader: Any) -> None:
        self.writer_names, self.reader_names = named_types(writer), named_types(reader)
        self.shapes: dict[str, Any] = {}
        compile_shape(reader, self.shapes)

    def read(self, writer: Any, reader: Any, value: Any) -> Any:  # noqa: PLR0911
        writer, reader = self.writer_names.get(str(writer), writer), self.reader_names.get(str(reader), reader)
        if isinstance(writer, list):
            return self.read(value[0], reader, value[1])
        if isinstance(reader, list):
            told = branches_of(reader, self.reader_names)
            branch = branch_for(reader, writer, self.reader_names)
            name, found = told.names[reader.index(branch)], self.read(writer, branch, value)
            return {name: found} if told.tagged and name != "null" else found
        kind = reader if isinstance(reader, str) else reader["type"]
        if kind == "record":
            found = fields(reader, writer)
            result = {of["name"]: None for of in reader["fields"]}
            for old in writer["fields"]:
                if (new := found.of_written.get(old["name"])) is not None:
                    result[new["name"]] = self.read(old["type"], new["type"], value[old["name"]])
            for new in found.new:
                result[new["name"]] = compile_shape(new["type"], self.shapes, self.reader_names)(
                    new["default"], "default"
                )
            return result
        if kind == "array":
            return [self.read(writer["items"], reader["items"], item) for item in value]
        if kind == "map":
            return {key: self.read(writer["values"], reader["values"], item) for key, item in value.items()}
        if kind == "enum":
            return value if value in reader["symbols"] else reader["default"]
        if kind == "float":
            return struct.unpack("<f", struct.pack("<f", value))[0]
        if kind == "double":
            return float(value)
        return value.encode() if kind == "bytes" and isinstance(value, str) else value


@given(pairs(), st.data())
@settings(max_examples=200, deadline=None)
def test_what_the_check_accepts_is_read_to_the_value(pair: tuple[Any, Any], data: st.DataObject) -> None:
    writer, reader = pair
    accepted = not incompatibilities(reader, writer)
    event(f"accepted: {accepted}")
    body, value = data.draw(written(writer, named_types(writer)))
    read = compile_resolving_reader(writer, reader)
    if not accepted:
        try:
            result = read(b"xxxxx" + body, 5)
        except BROKEN:
            return
        compile_shape(reader, {})(result, False)  # this value is one of those that can be read
        return
    result = read(b"xxxxx" + body, 5)
    assert repr(result) == repr(Rules(writer, reader).read(writer, reader, value))
    compile_shape(reader, {})(result, False)  # a value of the newest schema, which can be written again


@given(pairs(), st.data())
@settings(max_examples=100, deadline=None)
def test_broken_bytes_are_refused_and_nothing_else_happens(pair: tuple[Any, Any], data: st.DataObject) -> None:
    writer, reader = pair
    try:
        result = compile_resolving_reader(writer, reader)(data.draw(st.binary(max_size=30)), 0)
    except BROKEN:
        return
    compile_shape(reader, {})(result, False)


def record(*of: dict[str, Any]) -> Any:
    return parse_schema({"type": "record", "name": "t.R", "fields": list(of)})


def field(name: str, kind: Any, **attributes: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **attributes}


def test_bytes_that_are_new_take_their_default_as_bytes() -> None:
    inner = {"type": "record", "name": "t.I", "fields": [field("b", "bytes", default="\u00ff")]}
    was = record(field("a", "int"))
    now = record(field("a", "int"), field("b", "bytes", default="\u00ff\u0000"), field("i", inner, default={}))
    assert incompatibilities(now, was) == []
    first, second = (compile_resolving_reader(was, now)(b"\x02", 0) for _ in range(2))
    assert first == {"a": 1, "b": b"\xff\x00", "i": {"b": b"\xff"}}
    assert first["i"] is not second["i"]


def test_a_field_renamed_by_alias_whose_old_name_comes_back_is_read_by_the_alias() -> None:
    was = record(field("a", "int"))
    now = record(field("b", "int", aliases=["a"]), field("a", "int", default=7))
    assert incompatibilities(now, was) == []
    assert compile_resolving_reader(was, now)(b"\x02", 0) == {"b": 1, "a": 7}


def test_an_alias_of_a_field_that_is_there_as_well_is_refused() -> None:
    was = record(field("a", "int"), field("b", "int"))
    now = record(field("b", "int", aliases=["a"]))
    assert [str(found) for found in incompatibilities(now, was)] == [
        "/b: two fields of older events have its name and its alias"
    ]


@pytest.mark.parametrize(("scale", "precision"), [(3, 6), (2, 7)])
def test_a_decimal_keeps_scale_and_precision(scale: int, precision: int) -> None:
    kinds = [
        {"type": "bytes", "logicalType": "decimal", "precision": p, "scale": s} for p, s in ((6, 2), (precision, scale))
    ]
    was, now = (record(field("a", kind)) for kind in kinds)
    (found,) = incompatibilities(now, was)
    assert "decimal" in found.reason
    assert found.path == "/a"


@pytest.mark.parametrize("number", [(1 << 60) + (1 << 36) + 1, -(1 << 60) - (1 << 36) - 1, 2**63 - 1, -(2**63), 3])
def test_a_long_becomes_a_float_without_a_stop_at_double(number: int) -> None:
    """The nearest of 24 bits, which the nearest of 53 bits may be halfway from."""
    read = compile_resolving_reader(record(field("a", "long")), record(field("a", "float")))
    found = read(zigzag(number), 0)["a"]
    assert abs(int(found) - number) * 2 <= 2 ** max(number.bit_length() - 24, 0)
    assert struct.unpack("<f", struct.pack("<f", found)) == (found,)


def test_a_default_of_a_float_is_what_a_float_holds() -> None:
    now = record(field("a", "float", default=0.1))
    assert compile_resolving_reader(record(), now)(b"", 0) == {"a": struct.unpack("<f", struct.pack("<f", 0.1))[0]}


def test_a_branch_of_the_whole_name_goes_before_one_of_its_alias() -> None:
    kept = {"type": "record", "name": "t.A", "fields": [field("x", "int")]}
    other = {"type": "record", "name": "t.B", "aliases": ["t.A"], "fields": []}
    assert compile_resolving_reader(record(field("u", [kept])), record(field("u", [other, kept])))(b"\x00\x02", 0) == {
        "u": {"t.A": {"x": 1}}
    }


def test_an_error_is_a_record() -> None:
    inner = {"name": "t.A", "fields": [field("x", "int")]}
    was, now = record(field("u", {"type": "error", **inner})), record(field("u", {"type": "record", **inner}))
    assert incompatibilities(now, was) == []
    assert compile_resolving_reader(was, now)(b"\x02", 0) == {"u": {"x": 1}}
