"""The schema of an archive file: the record's envelope, then its value typed as it was written.

    offset        long                     the record's place in its partition
    timestamp_ms  long                     the record's timestamp, epoch ms (-1: none)
    key           null | bytes
    headers       array of {name: string, value: bytes} (in a raw file: null | bytes)
    value_length  long                     the bytes of the next field's encoding
    value         the writer schema        (in a raw file: null | bytes)

An Avro `bytes` is its length and then the bytes: so `value_length` and `value` together read as one `bytes` field, and
the original comes back without any decoding. The original value of a typed file is `framing(schema id)` and that; the
id is the file's metadata `atlas.schema.id`. A raw file has no such metadata.

Kafka takes any bytes as a header's name, an Avro string does not. Records with a name that is not UTF-8 have a raw file
of their own, in whose schema names are `bytes`; both types are laid out alike, so that is all the difference.
"""

import json
from collections.abc import Collection
from typing import Any

from atlas_avro.names import NAMED
from atlas_avro.names import parse as with_full_names
from fastavro import parse_schema

MAGIC = b"Obj\x01"
METADATA_PREFIX = "atlas."
_NULLABLE = ["null", "bytes"]
_KINDS = (*NAMED, "array", "map")


class BadSchema(ValueError):
    """The text is no Avro schema."""


def framing(schema_id: int) -> bytes:
    """The five bytes before an Avro body: Confluent's magic 0 and the schema's id."""
    return b"\0" + schema_id.to_bytes(4, "big")


def parse(text: str) -> Any:
    """The parsed schema: every name full. Raises BadSchema."""
    try:
        # Names by the specification, and no defaults: fastavro refuses some of each that are right, and of defaults
        # nothing is read here. Without a registry of its own it would keep names from one call to the next.
        names: dict[str, Any] = {}
        whole = _without_defaults(with_full_names(json.loads(text), names))
        return parse_schema(_in_a_namespace(whole, {name for name in names if "." not in name}), named_schemas={})
    except Exception as error:
        raise BadSchema(f"not an Avro schema: {error!r}") from error


def _without_defaults(definition: Any) -> Any:
    if isinstance(definition, list):
        return [_without_defaults(part) for part in definition]
    if isinstance(definition, dict):
        return {key: _without_defaults(part) for key, part in definition.items() if key != "default"}
    return definition


def _in_a_namespace(definition: Any, bare: Collection[str]) -> Any:
    """The types without a namespace in one of their own: fastavro can't refer to them from within another."""
    if isinstance(definition, str):
        return f"_.{definition}" if definition in bare else definition
    if isinstance(definition, list):
        return [_in_a_namespace(part, bare) for part in definition]
    made = {key: part for key, part in definition.items() if key != "namespace"}
    if "name" in made:
        made["name"] = _in_a_namespace(made["name"], bare)
    if "fields" in made:
        made["fields"] = [{**field, "type": _in_a_namespace(field["type"], bare)} for field in made["fields"]]
    for part in ("type", "items", "values"):
        if part in made and made[part] not in _KINDS:
            made[part] = _in_a_namespace(made[part], bare)
    return made


def raw_schema(names: str = "string") -> dict[str, Any]:
    """The schema of a raw file: value and header values may be null and are bytes; `names` is the type of names."""
    return _schema(_NULLABLE, _NULLABLE, names)


def file_schema(value: Any) -> dict[str, Any]:
    """The schema of a file whose values have the schema `value` (JSON, not parsed).

    The envelope's own names are in no namespace, so names without one in `value` stay so, and they step aside for any
    name that `value` defines.
    """
    return _schema(value, "bytes")


def _schema(value: Any, header_value: Any, name: str = "string") -> dict[str, Any]:
    taken = set(_names(value))
    header = {
        "type": "record",
        "name": _free("ArchivedHeader", taken),
        "fields": [{"name": "name", "type": name}, {"name": "value", "type": header_value}],
    }
    fields = [
        {"name": "offset", "type": "long"},
        {"name": "timestamp_ms", "type": "long"},
        {"name": "key", "type": _NULLABLE},
        {"name": "headers", "type": {"type": "array", "items": header}},
        {"name": "value_length", "type": "long"},
        {"name": "value", "type": value},
    ]
    return {"type": "record", "name": _free("ArchivedRecord", taken), "fields": fields}


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _names(schema: Any) -> list[str]:
    """Every string that may be a name (or alias) in the schema; too many does no harm."""
    if isinstance(schema, str):
        return [schema]
    if isinstance(schema, dict):
        return [name for part in schema.values() for name in _names(part)]
    if isinstance(schema, list):
        return [name for part in schema for name in _names(part)]
    return []
