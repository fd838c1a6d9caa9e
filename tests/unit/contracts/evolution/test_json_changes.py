"""What two versions of a schema give out differently is named, and nothing else is."""

import json
from random import Random
from typing import Any

import pytest
from atlas_avro.names import parse
from atlas_contracts.evolution.compatibility import incompatibilities
from atlas_contracts.evolution.json_changes import json_changes
from atlas_contracts.evolution.resolution import named_types
from atlas_contracts.reading.binary_reader import compile_reader
from atlas_contracts.reading.resolving_reader import compile_resolving_reader
from atlas_contracts.values.json_form import compile_render
from atlas_contracts.values.scalars import Faults
from atlas_contracts.values.shapes import compile_shape
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conformance.schemas import PRIMITIVES, Maker
from tests.conformance.values import Endless, Values

LOOK_ALIKE = ["int", "long"]


def array(items: Any) -> Any:
    return {"type": "array", "items": items}


def mapping(values: Any) -> Any:
    return {"type": "map", "values": values}


def record(kind: Any, name: str = "t.R", **attributes: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": "f", "type": kind, **attributes}]}


def told(name: str, kind: Any, **attributes: Any) -> dict[str, Any]:
    return {"type": "record", "name": "t.R", "fields": [{"name": name, "type": kind, **attributes}]}


@pytest.mark.parametrize(
    ("older", "newer", "changes"),
    [
        (record(["null", "long"]), record(["null", "long", "double"]), [("/f", True, "long")]),
        (record("string"), record(["string", "bytes"]), [("/f", True, "string")]),
        (record(["long", "double"]), record("double"), [("/f", False, "long")]),
        (record(["int", "long"]), record(["null", "long"]), [("/f", False, "int")]),
        (record(array("int")), record(array(LOOK_ALIKE)), [("/f/items", True, "int")]),
        (record(mapping("int")), record(mapping(LOOK_ALIKE)), [("/f/values", True, "int")]),
        (record(record("int", "t.In")), record(record(["int", "long"], "t.In")), [("/f/f", True, "int")]),
        (record(["null", record("int", "t.N")]), record(["null", record(LOOK_ALIKE, "t.N")]), [("/f/f", True, "int")]),
        (record("int", aliases=["e"]), record(LOOK_ALIKE, aliases=["f"]), [("/f", True, "int")]),
        (record("int"), told("g", LOOK_ALIKE, aliases=["f"]), [("/g", True, "int")]),
        (record(["null", "t.R"]), record(["null", "t.R", "string"]), []),
        (record(["int", "long"]), record(["int", "long", "string"]), []),
        (record("int"), record("long"), []),
        (record("int"), told("g", LOOK_ALIKE, default=1), []),
    ],
)  # fmt: skip
def test_each_change_is_named_with_its_field(older: Any, newer: Any, changes: list[tuple[str, bool, str]]) -> None:
    assert [(found.path, found.tagged, found.tag) for found in json_changes(newer, older)] == changes


def test_what_it_says() -> None:
    (found,) = json_changes(record(["string", "bytes"]), record("string"))
    now = 'with their type\'s name, as {"string": …}'
    assert (
        str(found) == f"/f: its values were given out plain, and are now {now}, in JSON and to handlers, old events too"
    )


@settings(max_examples=200)
@given(st.randoms(use_true_random=False))
def test_a_branch_more_changes_how_old_values_are_given_out_only_where_it_is_said(random: Random) -> None:
    """Any schema, a branch more in any of its unions, any old value: as it was given out, unless a change is named."""
    older = parse(Maker(random).whole(3))
    newer = json.loads(json.dumps(older))
    unions = list(_unions(newer))
    if not unions:
        return
    random.choice(unions).append(random.choice([*PRIMITIVES, {"type": "fixed", "name": "t.New", "size": 1}]))
    if any(len(set(map(_kind, union))) < len(union) for union in unions) or incompatibilities(newer, older):
        return  # no schema has two branches of one type: a logical type tells them not apart
    try:
        body = Values(random, named_types(older), sound=True).written(older)
    except Endless:
        return
    new = parse(newer)
    try:
        compile_shape(new, {})
    except Faults:  # a default that would hold itself for ever: the check refuses such a schema
        return
    was = compile_render(older, {})(compile_reader(older)(body, 0))
    now = compile_render(new, {})(compile_resolving_reader(older, new)(body, 0))
    assert was == now or json_changes(newer, older), (older, newer, was, now)


def _kind(branch: Any) -> str:
    return branch if isinstance(branch, str) else str(branch.get("name", branch["type"]))


def _unions(definition: Any) -> Any:
    if isinstance(definition, list):
        yield definition
        for branch in definition:
            yield from _unions(branch)
    elif isinstance(definition, dict):
        for part in ("items", "values"):
            yield from _unions(definition.get(part))
        for field in definition.get("fields", ()):
            yield from _unions(field["type"])
