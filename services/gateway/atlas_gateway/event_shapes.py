"""Avro definitions as JSON schemas: what the value of a posted event may be."""

from collections.abc import Mapping
from typing import Any

from atlas_gateway.routes import Part

_SIMPLE: dict[str, Part] = {
    "null": {"type": "null"},
    "boolean": {"type": "boolean"},
    "int": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    "long": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    "float": {"type": "number"},
    "double": {"type": "number"},
    "string": {"type": "string"},
    "bytes": {"type": "string", "description": "Bytes as code points 0 to 255"},
}
_TIMESTAMP: Part = {"anyOf": [{"type": "string", "format": "date-time"}, _SIMPLE["long"]]}


def json_schema(avro: Any, named: dict[str, Part] | None = None) -> Part:
    """The JSON schema of an Avro definition as parsed JSON.

    `named` has the types defined so far, by name; one that holds itself is left open where it does.
    """
    named = {} if named is None else named
    if isinstance(avro, list):
        return {"anyOf": [json_schema(branch, named) for branch in avro]}
    if isinstance(avro, str):
        return _SIMPLE.get(avro) or named.get(avro, {})
    if avro["type"] in ("record", "enum", "fixed"):
        return _named(avro, named)
    if avro["type"] == "array":
        return {"type": "array", "items": json_schema(avro["items"], named)}
    if avro["type"] == "map":
        return {"type": "object", "additionalProperties": json_schema(avro["values"], named)}
    return _TIMESTAMP if avro.get("logicalType") == "timestamp-millis" else json_schema(avro["type"], named)


def _named(avro: Mapping[str, Any], named: dict[str, Part]) -> Part:
    if avro["type"] == "enum":
        shape: Part = {"type": "string", "enum": avro["symbols"]}
    elif avro["type"] == "fixed":
        shape = {"type": "string", "minLength": avro["size"], "maxLength": avro["size"]}
    else:
        shape = _record(avro, named)
    named[avro["name"]] = shape
    if "namespace" in avro:
        named[f"{avro['namespace']}.{avro['name']}"] = shape
    return shape


def _record(avro: Mapping[str, Any], named: dict[str, Part]) -> Part:
    properties: dict[str, Part] = {}
    for field in avro["fields"]:
        shape = json_schema(field["type"], named)
        properties[field["name"]] = {**shape, "description": field["doc"]} if "doc" in field else shape
    return {
        "type": "object",
        "description": avro.get("doc", avro["name"]),
        "required": [field["name"] for field in avro["fields"] if "default" not in field],
        "properties": properties,
        "additionalProperties": False,
    }
