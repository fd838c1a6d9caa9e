"""What breaks Avro's specification is named before it has an id."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from atlas_contracts.checks import add, check
from atlas_contracts.errors import BrokenSchemas
from atlas_contracts.folder import read_lock
from atlas_contracts.forms import NESTING_MAX, form_faults
from atlas_contracts.registry import Registry


def record(kind: Any, name: str = "f", **attributes: Any) -> dict[str, Any]:
    return {"type": "record", "name": "t.R", "fields": [{"name": name, "type": kind, **attributes}]}


def decimal(**attributes: Any) -> dict[str, Any]:
    return {"type": "bytes", "logicalType": "decimal", "precision": 4, **attributes}


def fixed(size: Any, **attributes: Any) -> dict[str, Any]:
    return {"type": "fixed", "name": "t.F", "size": size, **attributes}


def enum(*symbols: Any, **attributes: Any) -> dict[str, Any]:
    return {"type": "enum", "name": "t.E", "symbols": list(symbols), **attributes}


FORBIDDEN: list[tuple[Any, str]] = [
    (record([]), "/f: a union without branches"),
    (record({"type": "array", "items": []}), "/f/items: a union without branches"),
    (record(["null", ["int"]]), "/f: a union right inside a union"),
    (record(["int", "int"]), "/f: int is twice in the union"),
    (record(["int", {"type": "int", "name": "no.Name"}]), "/f: int is twice in the union"),
    (record([{"type": "array", "items": "int"}, {"type": "array", "items": "string"}]), "/f: array is twice"),
    (record([fixed(1), fixed(2)]), r"/f: t\.F is twice"),
    (record([{"type": "string", "logicalType": "uuid"}, "string"]), "/f: string is twice"),
    (record([{**fixed(1), "name": "F"}, "t.F"]), r"/f: t\.F is twice in the union"),
    (record([{**fixed(1), "name": "F"}, {"type": "F"}]), r"/f: t\.F is twice in the union"),
    (record([{**fixed(1), "name": "F", "namespace": ""}, "F"]), "/f: F is twice in the union"),
    (record("int", order="sideways"), "/f: the order 'sideways' is none of ascending, descending, ignore"),
    (record("int", order=None), "/f: the order None is none of"),
    (record(fixed("8")), "/f: the size of a fixed is '8'"),
    (record(fixed(-1)), "/f: the size of a fixed is -1"),
    (record(fixed(True)), "/f: the size of a fixed is True"),
    (record(fixed(2**40)), "/f: the size of a fixed is 1099511627776"),
    (record(fixed(None)), "/f: the size of a fixed is None"),
    (record("int", "1"), "the schema: the field's name '1' is not letters"),
    (record("int", "a-b"), "the field's name 'a-b'"),
    (record("int", "né"), "the field's name 'né'"),
    (record("int", "a\n"), "the field's name"),
    (record("int", ""), "the field's name ''"),
    (record("int", 1), "the field's name 1 is"),  # type: ignore[arg-type]
    (record("int", aliases=["a.b"]), "/f: the aliases"),
    (record("int", aliases="a"), "/f: the aliases 'a' are not a list"),
    (record(enum()), "/f: `symbols` is not"),
    (record(enum("A", "A")), "/f: the symbol A is there twice"),
    (record(enum("a b")), "/f: the symbol 'a b'"),
    (record(enum(1)), "/f: the symbol 1 is"),
    (record(enum("A", default="B")), "/f: the default 'B' is none of its symbols"),
    (record({"type": "array"}), "/f: the array has no `items`"),
    (record({"type": "map"}), "/f: the map has no `values`"),
    (record({"items": "int"}), "/f: no `type`"),
    (record(None), "/f: None is no type"),
    (record({"type": "record", "name": "1", "fields": []}), "/f: the name '1'"),
    (record({"type": "record", "name": "int", "namespace": "", "fields": []}), "/f: the name int is a primitive"),
    (record({"type": "record", "name": "x", "namespace": "a..b", "fields": []}), "/f: the namespace 'a..b'"),
    (record({"type": "record", "name": "x", "fields": {}}), "/f: `fields` is not a list"),
    ({"type": "record", "name": "t.R", "fields": [{"name": "a", "type": "int"}] * 2}, "/a: two fields of this name"),
    ({"type": "record", "name": "t.R", "fields": [{"name": "a"}]}, "/a: no `type`"),
    (
        {"type": "record", "name": "t.R", "fields": [{"name": n, "type": "int", "aliases": ["x"]} for n in "ab"]},
        "two fields have the alias x",
    ),
    (record(decimal(scale=5)), "/f: the scale of a decimal is 5"),
    (record(decimal(scale=-1)), "/f: the scale of a decimal is -1"),
    (record(decimal(precision=0)), "/f: the precision of a decimal is 0"),
    (record(decimal(precision="9")), "/f: the precision of a decimal is '9'"),
    (record({"type": "int", "logicalType": "decimal", "precision": 3}), "/f: a decimal is bytes or fixed"),
    (record(fixed(1, logicalType="decimal", precision=3)), "/f: 1 bytes can't hold a decimal of 3 digits"),
]


@pytest.mark.parametrize(("definition", "fault"), FORBIDDEN)
def test_a_broken_rule_is_named_with_its_place(definition: Any, fault: str) -> None:
    (found,) = form_faults(definition)
    assert re.search(fault, found), found


@pytest.mark.parametrize(
    "definition",
    [
        record(["null", "long", "double"]),
        record([fixed(0), enum("_"), {"type": "record", "name": "u.R", "fields": []}]),
        record(decimal(scale=4)),
        record(fixed(2, logicalType="decimal", precision=4)),
        record([fixed(2), fixed(2) | {"name": "F", "namespace": "u"}]),
        record("int", order="Ignore"),
        record(enum("A", default=None)),
        record(fixed(2) | {"name": "int", "namespace": "t"}),
        record({"type": {"type": "string", "avro.java.string": "String"}}),
        record({"type": "record", "name": "N", "namespace": "", "fields": [{"name": "n", "type": ["null", "N"]}]}),
    ],
)
def test_what_the_specification_allows_has_no_fault(definition: Any) -> None:
    assert form_faults(definition) == []


def test_types_inside_types_without_end_are_a_fault_and_no_crash() -> None:
    kind: Any = "int"
    for _ in range(10_000):
        kind = {"type": "array", "items": kind}
    assert [fault.rpartition(": ")[2] for fault in form_faults(record(kind))] == [f"nested deeper than {NESTING_MAX}"]


def test_no_id_is_given_and_no_service_starts_with_such_a_schema(folder: Path) -> None:
    path = "shop/order_placed.v2.avsc"
    definition = json.loads((folder / "shop/order_placed.v1.avsc").read_text())
    definition["fields"].append({"name": "a-b", "type": [], "default": None})
    (folder / path).write_text(json.dumps(definition))
    before = read_lock(folder)
    with pytest.raises(BrokenSchemas, match=r"order_placed\.v2\.avsc: the schema: the field's name 'a-b'"):
        add(folder, path)
    assert read_lock(folder) == before
    assert any("the field's name 'a-b'" in fault for fault in check(folder))
    with pytest.raises(BrokenSchemas, match=r"not in ids\.lock"):
        Registry.load(folder)
