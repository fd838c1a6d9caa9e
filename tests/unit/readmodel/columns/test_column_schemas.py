"""Values of every column type over HTTP: they fit their JSON schema, and come back from a parameter's text."""

from typing import Any

import jsonschema
import orjson
import pytest
from atlas_readmodel.columns.column_schemas import json_schema, of_text
from atlas_readmodel.columns.column_types import column_type
from atlas_readmodel.columns.json_rows import dumps, plain
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.readmodel.edge_values import TAKEN, held

EDGES = [(declared, held(pair)) for declared, pairs in TAKEN.items() for pair in pairs]


@pytest.mark.parametrize(("declared", "value"), EDGES)
def test_a_value_fits_its_schema(declared: str, value: Any) -> None:
    schema = json_schema(column_type(declared))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(orjson.loads(dumps(plain(value))), schema)
    jsonschema.validate(None, schema)


@pytest.mark.parametrize("declared", sorted(TAKEN))
def test_null_is_told_apart(declared: str) -> None:
    required = json_schema(column_type(f"{declared} NOT NULL"))
    if required:  # a jsonb may be anything
        assert not jsonschema.Draft202012Validator(required).is_valid(None)


def test_epoch_milliseconds_are_a_moment() -> None:
    schema = json_schema(column_type("bigint NOT NULL"), moment=True)
    jsonschema.validate("2024-01-01T00:00:00.000Z", schema)
    jsonschema.validate(2**62, schema)


@pytest.mark.parametrize(
    ("declared", "value"),
    [(d, v) for d, v in EDGES if column_type(d).in_key and not column_type(d).array and len(dumps(plain(v))) < 300],
)
def test_a_value_comes_back_from_the_text_of_a_parameter(declared: str, value: Any) -> None:
    text = plain(value)
    given_text = text if isinstance(text, str) else orjson.dumps(text).decode()
    assert of_text(column_type(declared), given_text) == value


@given(st.text(max_size=40), st.sampled_from([name for name in sorted(TAKEN) if column_type(name).in_key]))
def test_any_text_is_a_value_of_its_type_or_refused(text: str, declared: str) -> None:
    column = column_type(declared)
    try:
        value = of_text(column, text)
    except ValueError:
        return
    assert column.check(value) is None
