"""What a reader of Parquet must find for a value of Avro's, said anew; and what it finds."""

import json
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import fastavro
import pyarrow
from atlas_archive.tables.columns import branch_names
from atlas_avro.decimals import from_bytes
from atlas_avro.table import logical
from atlas_avro.walk import without_logical_types
from atlas_contracts.reading.branch_reader import tells_branches

from tests.conformance.properties import as_fastavro_has_it
from tests.conformance.values import comparable

PARTS = {"months": 0, "days": 4, "milliseconds": 8}


def by_fastavro(definition: Any, body: bytes) -> Any:
    """fastavro's reading of the bases; of a union of several types as an object whose one member is the branch."""
    schema = as_fastavro_has_it(without_logical_types(with_members(definition, iter(range(10_000)))))
    return fastavro.schemaless_reader(BytesIO(body), fastavro.parse_schema(schema, named_schemas={}), None)


def with_members(definition: Any, numbers: Any) -> Any:
    """Each branch of such a union within a record of one field, which takes no bytes of its own."""
    if isinstance(definition, list):
        members = branch_names(definition)
        branches = [with_members(branch, numbers) for branch in definition]
        return [
            {"type": "record", "name": f"Branch{next(numbers)}", "fields": [{"name": member, "type": branch}]}
            if tells_branches(definition) and branch != "null"
            else branch
            for member, branch in zip(members, branches, strict=True)
        ]
    if not isinstance(definition, dict):
        return definition
    made = {
        key: with_members(part, numbers) if key in ("items", "values") else part for key, part in definition.items()
    }
    if "fields" in made:
        made["fields"] = [field | {"type": with_members(field["type"], numbers)} for field in made["fields"]]
    return made


def plain(cell: Any) -> Any:
    """A cell without Python's own types of time, which know no nanoseconds."""
    if not cell.is_valid:
        return None
    if isinstance(cell, pyarrow.MapScalar):
        return {entry["key"].as_py(): plain(entry["value"]) for entry in cell.values}
    if isinstance(cell, pyarrow.ListScalar):
        return [plain(item) for item in cell.values]
    if isinstance(cell, pyarrow.StructScalar):
        return {name: plain(part) for name, part in cell.items()}
    return cell.value if hasattr(cell, "value") else cell.as_py()


def check(definition: Any, value: Any, cell: Any, names: Mapping[str, Any], around: tuple[str, ...]) -> None:
    """That a cell is a value of Avro's; where a type holds itself, it is JSON text."""
    if isinstance(definition, list):
        if tells_branches(definition) and value is not None:
            ((member, inner),) = value.items()
            assert {name for name, part in cell.items() if part is not None} <= {member}
            check(definition[branch_names(definition).index(member)], inner, cell[member], names, around)
        elif value is not None:
            check(next(branch for branch in definition if branch != "null"), value, cell, names, around)
        else:
            assert cell is None
        return
    if isinstance(definition, str) and definition in around:
        assert isinstance(json.loads(cell), dict)
        return
    definition = names.get(definition, definition) if isinstance(definition, str) else definition
    kind = definition if isinstance(definition, str) else definition["type"]
    if kind in ("record", "error"):
        assert list(cell if definition["fields"] else json.loads(cell)) == list(value)
        for field in definition["fields"]:
            name = field["name"]
            check(field["type"], value[name], cell[name], names, (*around, definition["name"]))
    elif kind == "array":
        for item, part in zip(value, cell, strict=True):
            check(definition["items"], item, part, names, around)
    elif kind == "map":
        assert list(value) == list(cell)
        for key, item in value.items():
            check(definition["values"], item, cell[key], names, around)
    else:
        assert comparable(cell) == comparable(leaf(definition, value))


def leaf(definition: Any, value: Any) -> Any:
    """What a cell must be of a base, said anew."""
    name = logical(definition)
    if name == "decimal":
        return from_bytes(value, definition.get("scale", 0))
    if name == "time-millis":
        return value * 1000
    if name == "duration":
        return {part: int.from_bytes(value[at : at + 4], "little") for part, at in PARTS.items()}
    if name == "uuid" and isinstance(value, bytes):
        digits = value.hex()
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    return value
