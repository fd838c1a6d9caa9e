"""Values with their branches: the writer's own, those that a newer schema has, and those of defaults."""

from typing import Any

from atlas_avro.names import parse
from atlas_contracts.reading.branch_reader import compile_branch_reader
from atlas_contracts.reading.resolving_reader import compile_resolving_reader


def record(*fields: dict[str, Any]) -> Any:
    return parse({"type": "record", "name": "R", "fields": list(fields)})


def test_a_branch_is_told_where_the_value_does_not_say() -> None:
    both = record({"name": "a", "type": ["null", "int", "long"]}, {"name": "b", "type": ["null", "long"]})
    read = compile_branch_reader(both, both)
    assert read(b"\x02\x0a\x02\x0a", 0) == {"a": (1, 5), "b": 5}
    assert read(b"\x04\x0a\x00", 0) == {"a": (2, 5), "b": None}
    assert read(b"\x00\x00", 0) == {"a": (0, None), "b": None}


def test_of_an_older_schema_it_is_the_newer_ones_branch() -> None:
    default = {"name": "n", "type": {"type": "array", "items": ["string", "bytes"]}, "default": ["x"]}
    inner = {"type": "record", "name": "I", "fields": [{"name": "u", "type": ["long", "string"], "default": 3}]}
    newer = record(
        {"name": "a", "type": ["string", "double", "long"]}, default, {"name": "i", "type": inner, "default": {}}
    )
    for writer, body, found in (
        ("int", b"\x0a", (1, 5.0)),  # the first that it is promoted to
        ("long", b"\x0a", (2, 5)),
        (["long", "string"], b"\x02\x02x", (0, "x")),
    ):
        older = record({"name": "a", "type": writer})
        value = compile_branch_reader(older, newer)(body, 0)
        assert value == {"a": found, "n": [(0, "x")], "i": {"u": (0, 3)}}
        plain = compile_resolving_reader(older, newer)(body, 0)
        tag = ("string", "double", "long")[found[0]]
        assert plain == {"a": {tag: found[1]}, "n": [{"string": "x"}], "i": {"u": 3}}
