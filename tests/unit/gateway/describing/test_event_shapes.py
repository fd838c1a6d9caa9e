"""Avro as JSON schema: what the schema takes, the codec takes, and what the codec gives out the schema takes."""

import json
import re
from pathlib import Path
from random import Random
from typing import Any

import fastavro
import jsonschema
import pytest
from atlas_avro.names import parse
from atlas_avro.primitives import PRIMITIVES
from atlas_avro.table import meaning
from atlas_contracts.codec import Codec
from atlas_contracts.errors import InvalidEvent
from atlas_contracts.evolution.resolution import named_types
from atlas_contracts.reading.binary_reader import compile_reader
from atlas_contracts.registry import Registry
from atlas_contracts.values.json_form import compile_render
from atlas_contracts.values.scalars import Faults
from atlas_contracts.values.shapes import compile_shape
from atlas_gateway.describing.event_shapes import components
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from tests.conformance.schemas import Maker
from tests.conformance.values import Endless, Values
from tests.contexts import SCHEMAS
from tests.unit.avro.definitions import DEFINITIONS
from tests.unit.avro.large import LARGE, bounded

REGISTRY = Registry.load(SCHEMAS)
CODEC = Codec(REGISTRY)
PAGE = Path(__file__).parents[4] / "docs" / "types.md"


def validator(event_type: str, definition: Any) -> jsonschema.Draft202012Validator:
    schemas = components(event_type, definition)
    whole = {"$ref": f"#/components/schemas/{event_type}", "components": {"schemas": schemas}}
    jsonschema.Draft202012Validator.check_schema(whole)
    return jsonschema.Draft202012Validator(whole)


def of_field(definition: Any) -> jsonschema.Draft202012Validator:
    parsed = fastavro.parse_schema({"type": "record", "name": "t.Event", "fields": [{"name": "f", "type": definition}]})
    return validator("t.Event", parsed)


DEACTIVATED = validator("yards.YardDeactivated", REGISTRY.latest("yards.YardDeactivated").parsed)


@pytest.mark.parametrize("event_type", REGISTRY.event_types)
def test_every_schema_of_the_mesh_has_a_shape(event_type: str) -> None:
    shape = components(event_type, REGISTRY.latest(event_type).parsed)[event_type]
    jsonschema.Draft202012Validator.check_schema(shape)
    assert shape["additionalProperties"] is False


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "yard_id": st.text(max_size=3) | st.integers(),
            "reason": st.none() | st.text(max_size=3) | st.booleans(),
            "deactivated_at": st.integers(-(2**64), 2**64) | st.just("2020-01-01T00:00:00Z"),
            "other": st.none(),
        },
    )
)
def test_shape_and_codec_agree(value: dict[str, object]) -> None:
    try:
        CODEC.encode_json("yards.YardDeactivated", value)
        taken = True
    except InvalidEvent:
        taken = False
    assert DEACTIVATED.is_valid(value) is taken


NUMBERS = st.integers(-(2**70), 2**70) | st.integers(-5, 5)


@pytest.mark.parametrize("definition", DEFINITIONS, ids=str)
@given(number=NUMBERS)
def test_each_type_of_the_table_is_described_as_it_is_taken(definition: Any, number: int) -> None:
    """Numbers: the same are taken. Text that is given out is taken in again."""
    found = meaning(definition)
    assert found is not None
    schema = of_field(definition)
    shape, render = compile_shape(definition, {}), compile_render(definition, {})
    try:
        shape(number, True)
    except Exception:  # noqa: BLE001 - Faults, of whatever is wrong
        taken = False
    else:
        taken = True
    described = schema.is_valid({"f": number})
    if found.name != "decimal":  # whose digits are not in a JSON schema of numbers
        assert described is taken
    assert described or not taken
    if taken:
        assert schema.is_valid({"f": render(shape(number, True))})
    for odd in ([], {}, True, None):
        assert schema.is_valid({"f": odd}) is (
            (odd is True and found.name == "boolean") or (odd is None and found.name == "null")
        )


def test_named_types_and_containers() -> None:
    avro = {
        "type": "record", "name": "a.Tree",
        "fields": [
            {"name": "kind", "type": {"type": "enum", "name": "Kind", "namespace": "a", "symbols": ["X"]}},
            {"name": "again", "type": "a.Kind"},
            {"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 4}},
            {"name": "list", "type": {"type": "array", "items": "double"}},
            {"name": "map", "type": {"type": "map", "values": ["null", "bytes"]}},
            {"name": "child", "type": ["null", "a.Tree"], "default": None},
            {"name": "leaf", "type": {"type": "record", "name": "a.Leaf", "doc": "Green.", "fields": []}},
        ],
    }  # fmt: skip
    schemas = components("a.Tree", fastavro.parse_schema(avro))
    properties = schemas["a.Tree"]["properties"]
    assert properties["again"] == properties["kind"] == {"type": "string", "enum": ["X"]}
    assert properties["hash"]["minLength"] == 4
    assert properties["list"]["items"]["type"] == "number"
    assert properties["map"]["additionalProperties"]["anyOf"][0] == {"type": "null"}
    tree = {"$ref": "#/components/schemas/a.Tree"}
    tagged = {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": False}
    assert properties["child"] == {
        "anyOf": [{"type": "null"}, tree, tagged | {"properties": {"a.Tree": tree, "Tree": tree}}]
    }
    assert properties["leaf"] == {"$ref": "#/components/schemas/a.Tree-a.Leaf"}
    assert schemas["a.Tree-a.Leaf"]["description"] == "Green."


@settings(max_examples=60)
@given(st.randoms(use_true_random=False))
def test_what_is_taken_is_described_and_what_is_given_out(random: Random) -> None:
    """Any schema, any value: as it is given out, and with tags put on or taken off here and there."""
    definition = parse(Maker(random).whole(3))
    named = named_types(definition)
    try:
        body = Values(random, named, sound=True).written(definition)
        shape = compile_shape(definition, {})
    except (Endless, Faults):  # no value ends, or a default is of a record that is not whole yet
        reject()
    schema = validator("t.R", definition)
    given_out = json.loads(json.dumps(compile_render(definition, {})(compile_reader(definition)(body, 0))))
    shape(given_out, True)
    assert schema.is_valid(given_out)
    tags = [*PRIMITIVES, *named, *(name.rpartition(".")[2] for name in named), "array", "map"]
    for _ in range(5):
        value = retagged(random, given_out, [tag for tag in tags if tag != "null"])
        try:
            shape(value, True)
        except Faults:
            continue
        assert schema.is_valid(value), (definition, value)


def retagged(random: Random, value: Any, tags: list[str]) -> Any:
    if isinstance(value, list):
        value = [retagged(random, part, tags) for part in value]
    if isinstance(value, dict):
        value = {key: retagged(random, part, tags) for key, part in value.items()}
        if len(value) == 1 and random.randint(0, 2) == 0:
            return next(iter(value.values()))
    return {random.choice(tags): value} if random.randint(0, 5) == 0 else value


def unions_of_the_page() -> list[tuple[Any, list[str], list[str]]]:
    """The rows of docs/types.md whose union is written as such: what it takes, what it gives out."""
    rows = re.findall(r"^\| `(\[.+?\])` \| (.+?) \| (.+?) \|$", PAGE.read_text(), re.MULTILINE)
    return [
        (json.loads(union), *(re.findall(r"`([^`]+)`(?! is refused)", cell) for cell in cells))
        for union, *cells in rows
    ]


@pytest.mark.parametrize(("union", "taken", "given_out"), unions_of_the_page(), ids=str)
def test_unions_are_described_as_the_page_has_them(union: Any, taken: list[str], given_out: list[str]) -> None:
    schema = of_field(union)
    shape, render = compile_shape(union, {}), compile_render(union, {})
    assert all(schema.is_valid({"f": json.loads(text)}) for text in [*taken, *given_out])
    assert {json.dumps(render(shape(json.loads(text), True))) for text in taken} == set(given_out)


def test_the_page_has_unions() -> None:
    assert len(unions_of_the_page()) >= 3


def test_a_union_in_a_union_in_a_union_stays_small() -> None:
    definition: Any = "int"
    for _ in range(50):
        definition = ["null", {"type": "array", "items": definition}]
    schemas = components("t.R", fastavro.parse_schema(record_of(definition)))
    assert len(json.dumps(schemas)) < 50_000
    assert validator("t.R", fastavro.parse_schema(record_of(definition))).is_valid({"f": [[{"array": [None]}]]})


def record_of(definition: Any) -> dict[str, Any]:
    return {"type": "record", "name": "t.R", "fields": [{"name": "f", "type": definition}]}


@pytest.mark.parametrize("name", LARGE)
def test_large_schemas_cost_no_more_than_they_may(name: str) -> None:
    with bounded():
        assert len(json.dumps(components("t.R", parse(LARGE[name])))) < 1_000_000


def test_a_schema_that_nests_by_names_stays_small() -> None:
    """Each level holds the one below twice: written out it would double with each."""
    definition: Any = "int"
    for level in range(40):
        fields = [{"name": "a", "type": definition}, {"name": "b", "type": f"t.R{level - 1}" if level else "int"}]
        definition = {"type": "record", "name": f"t.R{level}", "fields": fields}
    assert len(json.dumps(components("t.R39", fastavro.parse_schema(definition)))) < 20_000
