"""Avro as JSON schema: what the schema takes, the codec takes."""

import json
from pathlib import Path

import jsonschema
import pytest
from atlas_contracts.codec import Codec
from atlas_contracts.errors import InvalidEvent
from atlas_contracts.registry import Registry
from atlas_gateway.event_shapes import json_schema
from hypothesis import given
from hypothesis import strategies as st

REGISTRY = Registry.load(Path(__file__).parents[3] / "schemas")
CODEC = Codec(REGISTRY)
DEACTIVATED = json_schema(json.loads(REGISTRY.latest("users.UserDeactivated").text))


@pytest.mark.parametrize("event_type", REGISTRY.event_types)
def test_every_schema_of_the_mesh_has_a_shape(event_type: str) -> None:
    shape = json_schema(json.loads(REGISTRY.latest(event_type).text))
    jsonschema.Draft202012Validator.check_schema(shape)
    assert shape["additionalProperties"] is False


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "user_id": st.text(max_size=3) | st.integers(),
            "reason": st.none() | st.text(max_size=3) | st.booleans(),
            "deactivated_at": st.integers(-(2**64), 2**64) | st.just("2020-01-01T00:00:00Z"),
            "other": st.none(),
        },
    )
)
def test_shape_and_codec_agree(value: dict[str, object]) -> None:
    try:
        CODEC.encode_json("users.UserDeactivated", value)
        taken = True
    except InvalidEvent:
        taken = False
    assert jsonschema.Draft202012Validator(DEACTIVATED).is_valid(value) is taken


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
        ],
    }  # fmt: skip
    properties = json_schema(avro)["properties"]
    assert properties["again"] == properties["kind"] == {"type": "string", "enum": ["X"]}
    assert (properties["hash"]["minLength"], properties["list"]["items"]) == (4, {"type": "number"})
    assert properties["map"]["additionalProperties"]["anyOf"][0] == {"type": "null"}
    assert properties["child"]["anyOf"][1] == {}
