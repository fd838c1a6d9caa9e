"""Limits of a value that no size of its bytes sets: how deep it may nest, how many items without a byte it may have.

A schema in which a type holds itself allows any depth, and the items of an array of nulls take no byte at all: both let
a small record end a process. What is encoded keeps these limits, and what is decoded has to.
"""

from collections.abc import Mapping
from typing import Any

from atlas_avro.names import NAMED
from atlas_avro.walk import parts

from atlas_contracts.resolution import named_types

# Arrays, maps and records around a value. Readers and renderers take up to four frames for each, of the 1,000 that
# Python allows by default, and JSON writers stop at 254.
NESTING_MAX = 200
# Items of arrays that take no byte (null, a record without fields), in one value. Each is 8 bytes of memory.
EMPTY_ITEMS_MAX = 65_536


def needs_limits(parsed: Any) -> bool:
    """Whether values of a definition that fastavro has parsed could break a limit and still be small."""
    named = named_types(parsed)
    return holds_itself(parsed) or any(
        isinstance(part, Mapping) and part["type"] == "array" and may_be_empty(part["items"], named)
        for part in parts(parsed)
    )


def holds_itself(parsed: Any, within: frozenset[str] = frozenset()) -> bool:
    """Whether a type of this definition holds itself, at any distance; `within`: the names of the types around it."""
    if isinstance(parsed, str):
        return parsed in within
    if isinstance(parsed, list):
        return any(holds_itself(branch, within) for branch in parsed)
    kind = parsed["type"]
    if kind in ("record", "error"):
        inside = within | {parsed["name"]}
        return any(holds_itself(field["type"], inside) for field in parsed["fields"])
    if kind in ("array", "map"):
        return holds_itself(parsed["items" if kind == "array" else "values"], within)
    return kind not in NAMED and holds_itself(kind, within)


def may_be_empty(parsed: Any, named: Mapping[str, Any]) -> bool:
    """Whether a value of this definition may take no byte. `named`: the types it refers to by name."""
    if isinstance(parsed, str):
        # A type that holds itself without a byte in between has no finite value.
        return parsed == "null" or (
            parsed in named and not holds_itself(named[parsed]) and _empty(named[parsed], named)
        )
    return isinstance(parsed, dict) and _empty(parsed, named)


def _empty(parsed: Mapping[str, Any], named: Mapping[str, Any]) -> bool:
    kind = parsed["type"]
    if kind in ("record", "error"):
        return all(may_be_empty(field["type"], named) for field in parsed["fields"])
    if kind == "fixed":
        return int(parsed["size"]) == 0
    return kind not in ("array", "map", "enum") and may_be_empty(kind, named)
