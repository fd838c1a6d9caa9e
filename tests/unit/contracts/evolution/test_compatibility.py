"""What a new schema may change. Each verdict is held against what fastavro really reads."""

import re
from io import BytesIO
from typing import Any

import pytest
from atlas_contracts.evolution.compatibility import incompatibilities
from fastavro import schemaless_reader, schemaless_writer
from fastavro.schema import parse_schema


def record(*fields: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    return {"type": "record", "name": "t.R", "fields": list(fields), **attributes}


def field(kind: Any, name: str = "f", **attributes: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **attributes}


def enum(*symbols: str, **attributes: Any) -> dict[str, Any]:
    return {"type": "enum", "name": "t.E", "symbols": list(symbols), **attributes}


def fixed(size: int) -> dict[str, Any]:
    return {"type": "fixed", "name": "t.F", "size": size}


def inner(*fields: dict[str, Any], name: str = "t.In", **attributes: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields), **attributes}


def arrays(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def maps(values: Any) -> dict[str, Any]:
    return {"type": "map", "values": values}


def read(reader: dict[str, Any], writer: dict[str, Any], value: Any) -> Any:
    out = BytesIO()
    schemaless_writer(out, parse_schema(writer), value)
    out.seek(0)
    return schemaless_reader(out, parse_schema(writer), parse_schema(reader))


# was, is now, a value that was written
FINE = {
    "the same": (field("int"), field("int"), 1),
    "int to long": (field("int"), field("long"), 1),
    "int to double": (field("int"), field("double"), 1),
    "long to float": (field("long"), field("float"), 1),
    "float to double": (field("float"), field("double"), 1.5),
    "string to bytes": (field("string"), field("bytes"), "x"),
    "made nullable": (field("int"), field(["null", "int"]), 1),
    "made nullable and wider": (field("int"), field(["null", "long"]), 1),
    "a union more": (field(["null", "int"]), field(["null", "int", "string"]), 1),
    "a union in another order": (field(["null", "int"]), field(["int", "null"]), None),
    "an enum with more symbols": (field(enum("A")), field(enum("A", "B")), "A"),
    "an enum that lost one and has a default": (field(enum("A", "B")), field(enum("A", default="A")), "B"),
    "array items promoted": (field(arrays("int")), field(arrays("long")), [1]),
    "map values promoted": (field(maps("int")), field(maps("double")), {"a": 1}),
    "a nested field with a default": (
        field(inner(field("int", "x"))),
        field(inner(field("int", "x"), field("int", "y", default=0))),
        {"x": 1},
    ),
    "a nested field removed": (
        field(inner(field("int", "x"), field("int", "y"))),
        field(inner(field("int", "x"))),
        {"x": 1, "y": 2},
    ),
    "a nested record renamed with an alias": (
        field(inner(field("int", "x"), name="t.Old")),
        field(inner(field("int", "x"), name="t.New", aliases=["Old"])),
        {"x": 1},
    ),
    "a record in a union that grew": (
        field(["null", inner(field("int", "x"))]),
        field(["null", inner(field("int", "x"), field("int", "y", default=0))]),
        {"x": 1},
    ),
}

# was, is now, a value that was written and can't be read, path, reason
BROKEN = {
    "int to string": (field("int"), field("string"), 1, "/f", "int was written, and string can't read it"),
    "long to int": (field("long"), field("int"), 1, "/f", "long was written, and int can't read it"),
    "double to float": (field("double"), field("float"), 1.5, "/f", "double was written, and float can't read it"),
    "bytes to string": (field("bytes"), field("string"), b"\xff", "/f", "bytes was written, and string can't read it"),
    "no longer nullable": (field(["null", "int"]), field("int"), None, "/f", r"where the old union held null"),
    "a union less": (
        field(["null", "int", "string"]),
        field(["null", "int"]),
        "x",
        "/f",
        r"string was written, and no branch of \[null, int\] reads it",
    ),
    "an enum that lost symbols": (
        field(enum("A", "B", "C")),
        field(enum("A")),
        "B",
        "/f",
        "the enum lost B, C and has no default",
    ),
    "a fixed of another size": (field(fixed(2)), field(fixed(3)), b"ab", "/f", "the size was 2 and is now 3"),
    "array items": (field(arrays("string")), field(arrays("int")), ["x"], "/f/items", "string was written"),
    "map values": (field(maps("string")), field(maps("int")), {"a": "x"}, "/f/values", "string was written"),
    "a nested field without a default": (
        field(inner(field("int", "x"))),
        field(inner(field("int", "x"), field("int", "y"))),
        {"x": 1},
        "/f/y",
        "the field is new and has no default",
    ),
    "a nested record renamed": (
        field(inner(field("int", "x"), name="t.Old")),
        field(inner(field("int", "x"), name="t.New")),
        {"x": 1},
        "/f",
        r"t\.Old was written; it is now t\.New, with no such alias",
    ),
    "a nullable record broken inside": (
        field(["null", inner(field("int", "x"))]),
        field(["null", inner(field("string", "x"))]),
        {"x": 1},
        "/f/x",
        "int was written, and string can't read it",
    ),
}


@pytest.mark.parametrize("case", FINE)
def test_what_avro_can_read_is_allowed(case: str) -> None:
    was, now, value = FINE[case]
    assert incompatibilities(record(now), record(was)) == []
    read(record(now), record(was), {"f": value})


@pytest.mark.parametrize("case", BROKEN)
def test_what_avro_can_not_read_is_refused_with_path_and_reason(case: str) -> None:
    was, now, value, path, reason = BROKEN[case]
    found = incompatibilities(record(now), record(was))
    assert [one.path for one in found] == [path]
    assert re.search(reason, found[0].reason), found[0].reason
    with pytest.raises(Exception, match=r"."):
        read(record(now), record(was), {"f": value})


def test_a_new_field_needs_a_default() -> None:
    was = record(field("int", "a"))
    assert incompatibilities(record(field("int", "a"), field("int", "b", default=0)), was) == []
    assert [str(found) for found in incompatibilities(record(field("int", "a"), field("int", "b")), was)] == [
        "/b: the field is new and has no default, so older events have no value for it"
    ]


def test_a_removed_field_is_no_hindrance() -> None:
    assert incompatibilities(record(field("int", "a")), record(field("int", "a"), field("int", "b"))) == []


def test_a_renamed_field_needs_an_alias() -> None:
    was = record(field("int", "a"))
    assert incompatibilities(record(field("long", "b", aliases=["a"])), was) == []
    assert [found.path for found in incompatibilities(record(field("string", "b", aliases=["a"])), was)] == ["/b"]
    assert [found.path for found in incompatibilities(record(field("int", "b")), was)] == ["/b"]


def test_a_name_that_two_old_fields_claim_is_refused() -> None:
    """By name and by alias; also where each of the two has a field of its own to go to, as some readers would not."""
    was = record(field("int", "a"), field("int", "b"))
    now = record(field("int", "b", aliases=["a"]), field("int", "c", aliases=["b"]))
    assert [str(found) for found in incompatibilities(now, was)] == [
        "/b: two fields of older events have its name and its alias"
    ]


def test_a_field_that_another_one_claims_by_alias_must_fit_all_the_same() -> None:
    was = record(field("int", "a"))
    now = record(field("string", "a", default=""), field("int", "b", aliases=["a"]))
    assert [found.path for found in incompatibilities(now, was)] == ["/a"]


def test_a_default_may_be_a_number_without_a_point() -> None:
    assert incompatibilities(record(field("int"), field("double", "g", default=-2)), record(field("int"))) == []


def test_numbers_of_another_meaning_are_refused() -> None:
    millis, micros = ({"type": "long", "logicalType": f"timestamp-{unit}"} for unit in ("millis", "micros"))
    assert [str(found) for found in incompatibilities(record(field(micros)), record(field(millis)))] == [
        "/f: the logical type was timestamp-millis and is now timestamp-micros: other values for the same bytes"
    ]


def decimal(precision: int, scale: int, size: int | None = None) -> dict[str, Any]:
    base = {"type": "bytes"} if size is None else {"type": "fixed", "name": "t.D", "size": size}
    return {**base, "logicalType": "decimal", "precision": precision, "scale": scale}


def logical(base: str, name: str) -> dict[str, Any]:
    return {"type": base, "logicalType": name}


@pytest.mark.parametrize(
    ("was", "now", "reason"),
    [
        (decimal(6, 2), decimal(6, 3), "the decimal was numeric(6, 2) and is now numeric(6, 3)"),
        (decimal(6, 2), decimal(7, 2), "the decimal was numeric(6, 2) and is now numeric(7, 2)"),
        (decimal(6, 2, 8), decimal(6, 1, 8), "the decimal was numeric(6, 2)"),
        (decimal(6, 2), decimal(6, 2, 8), "bytes was written, and t.D can't read it"),
        (logical("int", "date"), logical("int", "time-millis"), "the logical type was date and is now time-millis"),
        (logical("int", "date"), logical("long", "timestamp-millis"), "the logical type was date"),
        (logical("long", "timestamp-millis"), logical("long", "local-timestamp-millis"), "the logical type was"),
        (decimal(6, 2), decimal(6, 2), None),
        ("string", logical("string", "uuid"), None),
        (logical("string", "uuid"), "string", None),
        ("bytes", decimal(6, 2), None),
        (decimal(6, 2), "bytes", None),
        ("int", logical("long", "timestamp-millis"), None),
        (logical("string", "colour"), logical("string", "hue"), None),
        (logical("string", "date"), logical("string", "uuid"), None),
        ({**decimal(6, 2), "precision": 0}, decimal(6, 2), None),
    ],
    ids=str,
)
def test_two_logical_types_must_be_one(was: Any, now: Any, reason: str | None) -> None:
    found = incompatibilities(record(field(now)), record(field(was)))
    assert [each.path for each in found] == ([] if reason is None else ["/f"])
    assert reason is None or found[0].reason.startswith(reason)


def test_every_reason_is_given_at_once() -> None:
    was = record(field("int", "a"), field("string", "b"))
    now = record(field("string", "a"), field("int", "b"), field("int", "c"))
    assert [found.path for found in incompatibilities(now, was)] == ["/a", "/b", "/c"]


def test_a_record_that_holds_itself_is_compared_once() -> None:
    def node(kind: str) -> dict[str, Any]:
        return record(field(kind, "x"), field(["null", "t.R"], "next"))

    assert incompatibilities(node("long"), node("int")) == []
    assert [found.path for found in incompatibilities(node("int"), node("long"))] == ["/x"]
