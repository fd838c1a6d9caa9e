"""How an export reads events: in the shape of their type's newest schema, as every other reader does."""

import json
from typing import Any

from atlas_archive.tables.export import Reading, Readings
from atlas_avro.names import parse
from atlas_avro.walk import parts, without_logical_types
from atlas_contracts.errors import UnknownSchema
from atlas_contracts.reading.branch_reader import compile_branch_reader
from atlas_contracts.registry import Registry


def readings_of(registry: Registry | None) -> Readings:
    """Of a schema of the registry its type's newest; any other, whoever has written it, is read as it is."""
    known: dict[int, tuple[str, Reading]] = {}

    def reading(schema_id: int, definition: Any) -> Reading:
        text = json.dumps(definition, sort_keys=True)
        if schema_id not in known or known[schema_id][0] != text:
            known[schema_id] = (text, _reading(registry, schema_id, definition))
        return known[schema_id][1]

    return reading


def _reading(registry: Registry | None, schema_id: int, definition: Any) -> Reading:
    writer = without_logical_types(parse(definition), but_known=True)
    newest = _newest(registry, schema_id, definition) or writer
    read = compile_branch_reader(writer, newest)
    return Reading(newest, read, 0 if newest == writer else _default_bytes(newest))


def _newest(registry: Registry | None, schema_id: int, definition: Any) -> Any | None:
    try:
        schema = None if registry is None else registry.schema(schema_id)
    except UnknownSchema:
        return None
    # Ids are for good within one mesh; what another one has archived may have the same id for another schema.
    if registry is None or schema is None or json.loads(schema.text) != definition:
        return None
    return registry.latest(schema.type).parsed


def _default_bytes(definition: Any) -> int:
    """What the defaults of a definition take, about."""
    fields = (field for part in parts(definition) if isinstance(part, dict) for field in part.get("fields", ()))
    return sum(len(json.dumps(field["default"])) for field in fields if "default" in field)
