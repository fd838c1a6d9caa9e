"""Fields as they are typed: each kind is the same thing in a schema, a body, a column and an example."""

import json
from typing import Any

import pytest
from atlas_avro.table import meaning
from atlas_cli.scaffold.fields import KINDS, field, fields, of_schema
from atlas_cli.terminal.output import CommandError
from atlas_readmodel.columns.column_types import column_type
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

typed = st.builds(
    "{}{}{}".format,
    st.sampled_from(sorted(KINDS))
    | st.integers(1, 38).flatmap(lambda digits: st.integers(0, digits).map(lambda scale: f"decimal({digits},{scale})")),
    st.sampled_from(["", "[]"]),
    st.sampled_from(["", "?"]),
)


@given(typed)
def test_a_field_is_found_again_in_its_schema(text: str) -> None:
    each = field(f"thing:{text}")
    assert of_schema({"name": "X", "fields": [each.in_schema()]}) == (each,)


@given(typed)
def test_its_columns_are_columns_and_its_example_fits_them(text: str) -> None:
    each = field(f"thing:{text}")
    column_type(each.in_state())
    column = column_type(f"{each.in_read_model()} NOT NULL")
    from decimal import Decimal

    value = eval(each.python(), {"Decimal": Decimal})
    assert column.check(value) is None


@given(typed)
def test_its_example_is_taken_by_its_annotation_and_by_its_type(text: str) -> None:
    each = field(f"thing:{text}")
    annotation, wanted = each.in_body()
    scope: dict[str, Any] = {}
    for name in wanted:
        module, _, attribute = name.partition(":")
        exec(f"from {module} import {attribute}", scope)
    taken = TypeAdapter(eval(annotation.removesuffix(" = None"), scope))
    taken.validate_json(each.example(), strict=True)
    found = meaning(each.one)
    assert found is not None
    example = json.loads(each.example())
    for one in example if each.many else [example]:
        found.parse(one)


@pytest.mark.parametrize(
    "text",
    [
        "", "name", "name:", ":string", "Name:string", "name:String", "name:str", "1st:int", "name:decimal",
        "class:int", "name:decimal(0,0)", "name:decimal(2,3)", "name:decimal(99999,2)", "name:string??", "order:int",
        "name:int(1,2)", "copy:int", "version:long", "model_fields:int", "na me:int", "name:int\n", "x" * 33 + ":int",
    ],
)  # fmt: skip
def test_what_is_no_field_is_refused_by_name(text: str) -> None:
    with pytest.raises(CommandError) as refused:
        field(text)
    assert repr(text.partition(":")[0])[1:-1] in str(refused.value)


def test_a_field_that_stands_twice_is_refused() -> None:
    with pytest.raises(CommandError, match="the field a stands twice"):
        fields(["a:int", "b:int", "a:string"])


@pytest.mark.parametrize(
    "shape", [{"type": "map", "values": "int"}, ["null", "int", "string"], "bytes", {"type": "array", "items": "bytes"}]
)
def test_a_type_that_nothing_is_written_for_is_named(shape: Any) -> None:
    with pytest.raises(CommandError, match="odd of X is of a type that nothing is written for"):
        of_schema({"name": "X", "fields": [{"name": "odd", "type": shape}]})
