import copy
import json
import re
from random import Random
from typing import Any

import fastavro
import pytest
from atlas_avro.names import NotASchema, UnknownType, outline, parse
from hypothesis import given
from hypothesis import strategies as st

from tests.conformance.schemas import Maker, spelled


def record(name: str, *fields: Any, **attributes: Any) -> dict[str, Any]:
    made = [{"name": f"f{number}", "type": kind} for number, kind in enumerate(fields)]
    return {"type": "record", "name": name, "fields": made, **attributes}


@pytest.mark.parametrize(
    "definition",
    [
        record("t.R", "int", ["null", "R"], {"type": "array", "items": "t.R"}),
        record("R", {"type": "enum", "name": "E", "symbols": ["A"]}, {"type": "map", "values": "E"}, namespace="t.u"),
        record("R", {"type": "fixed", "name": "u.F", "size": 2}, "u.F", namespace="t"),
        record("t.R", record("In", record("Deep", "In", "t.R"), namespace="u.v"), "u.v.Deep") | {"doc": "x"},
        record("a.b.R", {"type": "long", "logicalType": "timestamp-millis"}, {"type": "array", "items": "R"}),
    ],
)
def test_names_are_those_of_fastavro(definition: Any) -> None:
    before = copy.deepcopy(definition)
    names: dict[str, Any] = {}
    expected: dict[str, Any] = {}
    fastavro.parse_schema(copy.deepcopy(definition), expected)
    assert names_in(parse(definition, names)) == names_in(fastavro.parse_schema(definition, {}))
    assert set(names) == set(expected)
    assert definition == before


def names_in(definition: Any) -> Any:
    """What a definition is, without what fastavro adds to it."""
    if isinstance(definition, list):
        return [names_in(part) for part in definition]
    if isinstance(definition, dict):
        return {key: names_in(part) for key, part in definition.items() if not key.startswith("__")}
    return definition


def test_a_name_that_is_not_known_around_it_is_looked_for_without_a_namespace() -> None:
    outer = record("R", record("t.In", {"type": "fixed", "name": "F", "namespace": "", "size": 1}, "F", "R"))
    inner = parse(outer)["fields"][0]["type"]
    assert [field["type"] for field in inner["fields"]][1:] == ["F", "R"]


def test_aliases_are_in_the_namespace_of_what_they_name() -> None:
    assert parse(record("t.R", aliases=["Old", "u.Old"]))["aliases"] == ["t.Old", "u.Old"]


def test_a_type_defined_again_in_the_same_way_is_the_same() -> None:
    """As some generators write it, and Avro's Java library takes it."""
    deep = record("In", "int", {"type": "array", "items": record("Deep", "In", "t.R")})
    parsed = parse(record("t.R", deep, {"type": "map", "values": {**deep, "doc": "said again"}}))
    assert parsed["fields"][0]["type"]["name"] == "t.In"
    assert parsed["fields"][1]["type"]["values"] == "t.In"


def test_types_of_other_schemas_may_be_known() -> None:
    names = {"t.Money": {}}
    assert parse(record("t.R", "Money"), names)["fields"][0]["type"] == "t.Money"
    assert set(names) == {"t.Money", "t.R"}


def test_a_default_is_nobodys_type() -> None:
    """A number without a point is a default of a double too; and what looks like a type in a default is none."""
    made = record("t.R", "double")
    made["fields"][0]["default"] = -2
    assert parse(made)["fields"][0]["default"] == -2


def test_a_type_without_a_namespace_inside_one_says_so_and_may_be_named_in_any() -> None:
    fixed = {"type": "fixed", "name": "F", "namespace": "", "size": 1}
    parsed = parse(record("a.R", fixed, "F", record("b.In", "F", dict(fixed))))
    assert parsed["fields"][0]["type"] == fixed
    assert [field["type"] for field in parsed["fields"][2]["type"]["fields"]] == ["F", "F"]


@given(st.randoms(use_true_random=False))
def test_what_is_parsed_is_parsed(random: Random) -> None:
    whole = spelled(random, Maker(random).whole(4))
    if random.randint(0, 1):  # some of it in no namespace
        whole = json.loads(re.sub(r'"namespace": "[tu]"', '"namespace": ""', json.dumps(whole)))
    try:
        parsed = parse(whole)
    except NotASchema:
        return
    assert parse(parsed) == parsed


def test_what_is_wrong_is_told_with_its_place() -> None:
    inner = record("In", "int", ["null", {"type": "array", "items": "Nope"}])
    with pytest.raises(UnknownType, match=r"^/f0/f1/items: no type is named t\.Nope$") as raised:
        parse(record("t.R", inner))
    assert (raised.value.name, raised.value.path) == ("t.Nope", "/f0/f1/items")


def test_an_outline_has_names_for_the_types_inside() -> None:
    parsed = parse(
        record("t.R", record("In", "int"), {"type": "map", "values": {"type": "fixed", "name": "F", "size": 1}})
    )
    assert [field["type"] for field in outline(parsed)["fields"]] == ["t.In", {"type": "map", "values": "t.F"}]
    fixed = {"type": "fixed", "name": "F", "size": 1}
    assert outline(fixed) == fixed


@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        ("nope", "no type is named nope"),
        (record("t.R", "Nope"), r"no type is named t\.Nope"),
        (record("t.R", record("R")), r"t\.R is defined twice, and not alike"),
        (record("t.R", record("R", "int"), 3), r"t\.R is defined twice, and not alike"),
        (record("t.R", record("In", "int"), record("In", "long")), r"t\.In is defined twice"),
        (record("t.R", record("In", "int"), {"type": "enum", "name": "In", "symbols": ["A"]}), "defined twice"),
        (3, "3 is no type"),
        ({}, "is no type"),
        ({"type": "array"}, "no `items`"),
        ({"type": "map"}, "no `values`"),
        (record("t.R", {"type": {"type": "array", "items": "R"}}), "expected a name"),
        (record("t.R", {"type": ["null", "int"]}), "expected a name"),
        ({"type": "enum", "symbols": ["A"]}, "an object of type enum without a name"),
        ({"type": "record", "name": "R", "fields": [{"name": "x"}]}, "is no field"),
        ({"type": "record", "name": "R", "fields": [3]}, "is no field"),
    ],
)
def test_what_is_no_schema_says_why(definition: Any, reason: str) -> None:
    with pytest.raises(NotASchema, match=reason):
        parse(definition)
