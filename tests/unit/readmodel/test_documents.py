from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from atlas_avro.durations import Duration
from atlas_readmodel.documents import DocumentModel, Documents, dump, field_of, plain_row, root, shown


def test_equal_rows_are_equal_bytes() -> None:
    assert dump({"b": [1, {"y": None, "x": 2.5}], "a": "ü"}) == dump({"a": "ü", "b": [1, {"x": 2.5, "y": None}]})


def test_a_value_that_json_has_not_is_refused() -> None:
    with pytest.raises(TypeError):
        dump({"a": b"bytes"})


def test_what_json_has_no_form_of_is_refused_with_its_field() -> None:
    row = {"a": 1, "b": [Decimal("1.50"), Duration(1, 2, 3)], "c": date(2024, 2, 29)}
    assert dump(plain_row(row)) == b'{"a":1,"b":["1.50","P1M2DT0.003S"],"c":"2024-02-29"}'
    for value in (date(2024, 2, 29), Decimal(1), datetime.now(UTC), Duration(1, 2, 3)):
        with pytest.raises(TypeError):
            dump({"a": [value]})
    with pytest.raises(ValueError, match="field b: JSON has no form of object, found <object"):
        plain_row({"a": 1, "b": object()})
    assert plain_row(["no row"]) == ["no row"]


@pytest.mark.parametrize("part", [Decimal("1.0"), 1.0])
def test_a_key_has_one_form(part: object) -> None:
    with pytest.raises(TypeError, match="can't be found by"):
        field_of(("a", part))
    assert field_of((date(2024, 2, 29), UUID(int=0), b"\xff")) == (
        '["2024-02-29","00000000-0000-0000-0000-000000000000","ÿ"]'.encode()
    )


def test_readers_see_what_the_functions_made() -> None:
    assert shown(dump({"a": 1, "_offset": 7, "_partition": 2})) == {"a": 1}


def test_names() -> None:
    assert root("atlas", "departures") == "atlas:{departures}"
    assert field_of(("JFK", 3)) == b'["JFK",3]'
    assert Documents(("origin",), per_partition=True).primary_key == ("origin", "_partition")
    assert Documents(("origin",)).primary_key == ("origin",)


def test_what_can_not_be_a_read_model_is_refused() -> None:
    with pytest.raises(ValueError, match="key"):
        Documents(())
    with pytest.raises(ValueError, match="positions"):
        DocumentModel("positions", 1, ("t",), Documents(("id",)))
