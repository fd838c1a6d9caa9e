"""The walk over schemas."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from atlas_avro.meaning import Meaning
from atlas_avro.walk import fold, parts, without_logical_types

UUID = {"type": "fixed", "name": "t.U", "size": 16, "logicalType": "uuid"}
NODE = {
    "type": "record",
    "name": "t.Node",
    "fields": [
        {"name": "id", "type": UUID},
        {"name": "other", "type": ["null", "t.U"]},
        {"name": "next", "type": {"type": ["null", "t.Node"]}},
        {"name": "kind", "type": {"type": "enum", "name": "t.E", "symbols": ["A"]}},
        {"name": "days", "type": {"type": "array", "items": {"type": {"type": "int", "logicalType": "date"}}}},
        {"name": "kinds", "type": {"type": "map", "values": {"type": "t.E"}}},
    ],
}


class Names:
    """Writes a type out; a record's text is filled in later, so it is a list."""

    def leaf(self, definition: Any, meaning: Meaning) -> Any:
        return meaning.name

    def enum(self, definition: Mapping[str, Any]) -> Any:
        return definition["name"]

    def record(self, definition: Mapping[str, Any]) -> tuple[Any, Callable[[Sequence[Any]], None]]:
        made: list[Any] = []
        return made, made.extend

    def array(self, definition: Mapping[str, Any], items: Any) -> Any:
        return ("array", items)

    def map(self, definition: Mapping[str, Any], values: Any) -> Any:
        return ("map", values)

    def union(self, branches: Sequence[Any], made: Sequence[Any]) -> Any:
        return ("union", *made)


def test_each_kind_is_made_once_and_a_record_may_hold_itself() -> None:
    names: dict[str, Any] = {}
    made = fold(NODE, Names(), names)
    assert made[0] == "uuid"
    assert made[1] == ("union", "null", "uuid")
    assert made[2][2] is made
    assert made[3:] == ["t.E", ("array", "date"), ("map", "t.E")]
    assert names == {"t.Node": made, "t.U": "uuid", "t.E": "t.E"}
    assert fold(["null", "t.Node"], Names(), names) == ("union", "null", made)


def test_parts_are_all_that_is_written_out() -> None:
    found = list(parts(NODE))
    assert found[0] is NODE
    assert [part for part in found if part in ("t.Node", "t.U", "t.E")] == ["t.U", "t.Node"], (
        "but not of a type that is a name"
    )
    assert {"type": "int", "logicalType": "date"} in found
    assert UUID in found


def test_logical_types_are_taken_off_but_not_in_a_default() -> None:
    odd = {"name": "f", "type": {"type": "long", "logicalType": "date"}, "default": {"logicalType": "date"}}
    record = {"type": "record", "name": "t.R", "fields": [odd, {"name": "u", "type": UUID}]}
    bare = {key: part for key, part in UUID.items() if key != "logicalType"}
    assert without_logical_types(record)["fields"] == [{**odd, "type": {"type": "long"}}, {"name": "u", "type": bare}]
    assert without_logical_types(record, but_known=True)["fields"][1]["type"] == UUID
    assert without_logical_types(record, but_known=True)["fields"][0] == {**odd, "type": {"type": "long"}}
