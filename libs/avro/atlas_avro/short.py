"""Short words for the types that people declare most: `uuid`, `date`, `timestamp`, `decimal(9,2)`, `string`."""

from collections.abc import Mapping
from typing import Any

SHORT: Mapping[str, Any] = {
    "string": "string",
    "int": "int",
    "long": "long",
    "double": "double",
    "boolean": "boolean",
    "uuid": {"type": "string", "logicalType": "uuid"},
    "date": {"type": "int", "logicalType": "date"},
    "timestamp": {"type": "long", "logicalType": "timestamp-millis"},
}


def decimal(digits: int, behind: int) -> dict[str, Any]:
    """A decimal of so many digits, so many of them behind the point, in bytes."""
    return {"type": "bytes", "logicalType": "decimal", "precision": digits, "scale": behind}


def digits_of(definition: Mapping[str, Any]) -> tuple[int, int]:
    """Of a decimal: all its digits, and those behind the point."""
    return int(definition["precision"]), int(definition.get("scale", 0))
