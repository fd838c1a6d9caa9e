import pytest
from atlas_readmodel.documents import DocumentModel, Documents, dump, field_of, root, shown


def test_equal_rows_are_equal_bytes() -> None:
    assert dump({"b": [1, {"y": None, "x": 2.5}], "a": "ü"}) == dump({"a": "ü", "b": [1, {"x": 2.5, "y": None}]})


def test_a_value_that_json_has_not_is_refused() -> None:
    with pytest.raises(TypeError):
        dump({"a": b"bytes"})


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
